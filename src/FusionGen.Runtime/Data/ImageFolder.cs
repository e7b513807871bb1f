namespace FusionGen.Data;

/// <summary>Folders <c>train|val|test/class/…/*.{jpg,jpeg,png}</c>; classes are the folders of <c>train</c>, in ordinal order.</summary>
internal static class ImageFolder
{
    public static ImageDataset Open(string root, long seed, double validationShare)
    {
        if (!Directory.Exists(root))
            throw new FusionException($"{root}: no such folder", ExitCode.Data);
        var train = Path.Combine(root, "train");
        if (!Directory.Exists(train))
            throw new FusionException($"{root}: has no folder 'train'; wanted train, val and test with one folder per class in each", ExitCode.Data);
        var files = new LabelledFiles(Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(root))));
        foreach (var part in LabelledFiles.Parts)
        {
            var folder = Path.Combine(root, part);
            if (!Directory.Exists(folder))
                continue;
            foreach (var labelled in Directory.EnumerateDirectories(folder))
            {
                var count = 0;
                foreach (var file in Directory.EnumerateFiles(labelled, "*", SearchOption.AllDirectories))
                {
                    if (!ImageFile.Extensions.Contains(Path.GetExtension(file).ToLowerInvariant()))
                        continue;
                    files.Add(part, Path.GetFileName(labelled), file);
                    count++;
                }
                if (count == 0)
                    throw new FusionException($"{labelled}: has no image ({string.Join(", ", ImageFile.Extensions)})", ExitCode.Data);
            }
        }
        return files.ToDataset(seed, validationShare);
    }
}
