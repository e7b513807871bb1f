using System.Globalization;

namespace FusionGen.Data;

/// <summary>
/// A task of VTAB-1k as the community keeps it: <c>train800.txt</c>, <c>val200.txt</c>, <c>test.txt</c> and, as a list of its own with the same labels,
/// <c>train800val200.txt</c>; every line a path and a label. Classes are numbers: as many as the catalogue says of a folder of that name, else as many as occur.
/// </summary>
internal static class VtabFolder
{
    // More classes than any list of pictures has; keeps a wild label from making as many names.
    private const int MostClasses = 65_536;
    private const string Together = "train800val200.txt";

    private static readonly (string Part, string File)[] Lists = [("train", "train800.txt"), ("val", "val200.txt"), ("test", "test.txt")];

    public static ImageDataset Open(string root, Action<DataFault> report)
    {
        if (!Directory.Exists(root))
            throw new FusionException($"{root}: no such folder", ExitCode.Data);
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(root)));
        var known = TaskCatalogue.OfVtabFolder(name);
        var folder = new PictureFolder(root);
        var files = new LabelledFiles(name);
        var listed = new Dictionary<string, string>(StringComparer.Ordinal);
        var lists = Lists.ToDictionary(list => list.Part, list => Read(Path.Combine(root, list.File), folder, known, listed, report), StringComparer.Ordinal);
        var whole = File.Exists(Path.Combine(root, Together)) ? Read(Path.Combine(root, Together), folder, known, [], report) : null;
        if (whole is not null && !SameLabels([.. lists["train"], .. lists["val"]], whole))
            report(new DataFault(FaultKind.Miscounted, $"{Path.Combine(root, Together)}: its labels are not those of train800.txt and val200.txt together"));
        var classes = known?.Classes ?? 1 + lists.Values.SelectMany(entries => entries).Select(entry => entry.Label).DefaultIfEmpty(1).Max();
        foreach (var (part, entries) in lists)
        {
            foreach (var (path, label) in entries)
                files.Add(part, Name(label), path);
        }
        var data = files.ToDataset(0, 0, [.. Enumerable.Range(0, classes).Select(Name)]);
        return whole is null ? data : data with { TrainVal = new Split([.. whole.Select(entry => entry.Label)], i => ImageFile.Read(whole[i].Path), i => whole[i].Path) };
    }

    private static List<(string Path, int Label)> Read(string list, PictureFolder folder, BenchmarkTask? known, Dictionary<string, string> listed, Action<DataFault> report)
    {
        var entries = new List<(string, int)>();
        if (!File.Exists(list))
        {
            report(new DataFault(FaultKind.Missing, $"{list}: is missing"));
            return entries;
        }
        var line = 0;
        foreach (var raw in DataFile.Text(list).AsSpan().EnumerateLines())
        {
            line++;
            var text = raw.Trim();
            if (text.IsEmpty)
                continue;
            var space = text.LastIndexOfAny(' ', '\t');
            if (space < 0 || !int.TryParse(text[(space + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var label))
            {
                report(DataFault.At(FaultKind.Malformed, list, line, $"wanted a path and a label, found '{(text.Length > 200 ? text[..200] : text)}'"));
                continue;
            }
            if (label >= (known?.Classes ?? MostClasses))
            {
                report(DataFault.At(FaultKind.Label, list, line, string.Create(CultureInfo.InvariantCulture, $"label {label}; {(known is null ? "the largest that is read" : $"the largest of {known.Title}")} is {(known?.Classes ?? MostClasses) - 1}")));
                continue;
            }
            if (folder.Find(text[..space].TrimEnd().ToString(), list, line, report) is not { } path)
                continue;
            if (!listed.TryAdd(path, string.Create(CultureInfo.InvariantCulture, $"{Path.GetFileName(list)}({line})")))
                report(DataFault.At(FaultKind.Twice, list, line, $"'{text[..space].TrimEnd()}' is listed already, in {listed[path]}"));
            else
                entries.Add((path, label));
        }
        return entries;
    }

    private static bool SameLabels(List<(string, int Label)> a, List<(string, int Label)> b) => a.Select(entry => entry.Label).Order().SequenceEqual(b.Select(entry => entry.Label).Order());

    private static string Name(int label) => label.ToString(CultureInfo.InvariantCulture);
}
