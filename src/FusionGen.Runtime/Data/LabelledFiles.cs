namespace FusionGen.Data;

/// <summary>Collects image files by split and class and makes a data set of them, in an order that no file system has a say in.</summary>
internal sealed class LabelledFiles(string name)
{
    private readonly Dictionary<string, List<(string Class, string Path)>> files = Parts.ToDictionary(part => part, _ => new List<(string, string)>(), StringComparer.Ordinal);

    public static IReadOnlyList<string> Parts { get; } = ["train", "val", "test"];

    public void Add(string part, string label, string path) => this.files[part].Add((label, path));

    public ImageDataset ToDataset(long seed, double validationShare)
    {
        var classes = this.files["train"].Select(file => file.Class).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToList();
        if (classes.Count < 2)
            throw new FusionException($"{name}: {classes.Count} class in the training split; two are the least", ExitCode.Data);
        var index = classes.Select((label, i) => (label, i)).ToDictionary(pair => pair.label, pair => pair.i, StringComparer.Ordinal);
        foreach (var part in Parts)
        {
            var stranger = this.files[part].Find(file => !index.ContainsKey(file.Class));
            if (stranger.Path is not null)
                throw new FusionException($"{stranger.Path}: class '{stranger.Class}' of the {part} split is not in the training split", ExitCode.Data);
            this.files[part].Sort((a, b) => string.CompareOrdinal(a.Path, b.Path));
        }
        var (train, val) = this.files["val"].Count > 0
            ? (this.files["train"], this.files["val"])
            : Stratify(this.files["train"], classes, seed, validationShare);
        return new ImageDataset(name, classes, ToSplit(train), ToSplit(val), ToSplit(this.files["test"]));

        Split ToSplit(List<(string Class, string Path)> part)
        {
            var paths = part.Select(file => file.Path).ToArray();
            return new Split([.. part.Select(file => index[file.Class])], i => ImageFile.Read(paths[i]));
        }
    }

    /// <summary>Sets a share of every class aside, one picture at least where the class has two.</summary>
    private static (List<(string Class, string Path)> Train, List<(string Class, string Path)> Val) Stratify(
        List<(string Class, string Path)> all, List<string> classes, long seed, double share)
    {
        var aside = new HashSet<string>(StringComparer.Ordinal);
        foreach (var label in classes)
        {
            var members = all.Where(file => file.Class == label).Select(file => file.Path).ToArray();
            SplitMix.For(seed, $"validation {label}").Shuffle<string>(members);
            var count = Math.Clamp((int)Math.Round(share * members.Length), Math.Min(1, members.Length - 1), members.Length - 1);
            aside.UnionWith(members.Take(count));
        }
        return ([.. all.Where(file => !aside.Contains(file.Path))], [.. all.Where(file => aside.Contains(file.Path))]);
    }
}
