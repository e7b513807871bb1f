using System.Globalization;
using System.Text.Json;

namespace FusionGen.Data;

/// <summary>
/// A fine-grained task as VPT's splits have it: <c>train.json</c>, <c>test.json</c> and perhaps <c>val.json</c>, each <c>{ "path": label }</c> with numbers or texts as labels,
/// and pictures beside the lists or in <c>images</c> there. Classes are the labels of the training split in their order (VPT sorts them so).
/// </summary>
internal static class FgvcFolder
{
    private static readonly string[] PictureFolders = ["", "images", "Images"];

    public static ImageDataset Open(string root, long seed, double validationShare, Action<DataFault> report)
    {
        if (!Directory.Exists(root))
            throw new FusionException($"{root}: no such folder", ExitCode.Data);
        var files = new LabelledFiles(Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(root))));
        var folder = new PictureFolder(root);
        var listed = new Dictionary<string, string>(StringComparer.Ordinal);
        string? beside = null;
        var labels = new HashSet<Label>();
        foreach (var part in LabelledFiles.Parts)
        {
            var list = Path.Combine(root, $"{part}.json");
            if (!File.Exists(list))
            {
                // A tenth of the training split takes its place, as in VPT.
                if (part != "val")
                    report(new DataFault(FaultKind.Missing, $"{list}: is missing"));
                continue;
            }
            foreach (var (name, label, line) in Read(list, report))
            {
                beside ??= PictureFolders.FirstOrDefault(above => folder.Has(Path.Combine(above, name)));
                if (folder.Find(Path.Combine(beside ?? "", name), list, line, report) is not { } path)
                    continue;
                if (!listed.TryAdd(path, list))
                {
                    report(DataFault.At(FaultKind.Twice, list, line, $"'{name}' is listed already, in {Path.GetFileName(listed[path])}"));
                    continue;
                }
                if (part == "train")
                    labels.Add(label);
                if (!labels.Contains(label))
                    report(DataFault.At(FaultKind.Label, list, line, $"label {label} is not in the training split"));
                else
                    files.Add(part, label.Text, path);
            }
            if (part == "train" && labels.Select(label => label.Number is null).Distinct().Count() > 1)
                report(new DataFault(FaultKind.Label, $"{list}: some labels are numbers and some are texts, so they have no order"));
        }
        return files.ToDataset(seed, validationShare, [.. labels.OrderBy(label => label.Number).ThenBy(label => label.Text, StringComparer.Ordinal).Select(label => label.Text)]);
    }

    private static List<(string Name, Label Label, long Line)> Read(string list, Action<DataFault> report)
    {
        var bytes = DataFile.Read(list);
        var entries = new List<(string, Label, long)>();
        var (line, counted) = (1L, 0);
        try
        {
            var json = new Utf8JsonReader(bytes, new JsonReaderOptions { MaxDepth = 2 });
            if (!json.Read() || json.TokenType != JsonTokenType.StartObject)
                throw new JsonException("wanted { \"path\": label, … }");
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                line += bytes.AsSpan(counted, (int)json.TokenStartIndex - counted).Count((byte)'\n');
                counted = (int)json.TokenStartIndex;
                var name = json.GetString()!;
                json.Read();
                Label? label = json.TokenType switch
                {
                    JsonTokenType.Number when json.TryGetInt32(out var number) && number >= 0 => new Label(number, number.ToString(CultureInfo.InvariantCulture)),
                    JsonTokenType.String when json.ValueSpan.Length is > 0 and <= 1000 => new Label(null, json.GetString()!),
                    _ => null,
                };
                if (label is null)
                {
                    report(DataFault.At(FaultKind.Label, list, line, $"the label of '{name}' is neither a number from 0 on nor a short text"));
                    json.Skip();
                    continue;
                }
                entries.Add((name, label, line));
            }
            if (json.TokenType != JsonTokenType.EndObject || json.Read())
                throw new JsonException("does not end after the object");
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            report(DataFault.At(FaultKind.Malformed, list, error is JsonException { LineNumber: { } at } ? at + 1 : line, $"not a list of pictures: {error.Message}"));
        }
        return entries;
    }

    private sealed record Label(int? Number, string Text)
    {
        public override string ToString() => $"'{this.Text}'";
    }
}
