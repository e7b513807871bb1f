using System.Globalization;
using System.Text;

namespace FusionGen.Data;

/// <summary>
/// A CSV file with the columns <c>path,label,split</c> in any order, fields quoted where need be (RFC 4180); paths are relative to the manifest
/// and do not leave its folder, or are absolute.
/// </summary>
internal static class Manifest
{
    public static ImageDataset Open(string path, long seed, double validationShare, Action<DataFault> report)
    {
        var text = DataFile.Text(path);
        var folder = new PictureFolder(Path.GetDirectoryName(Path.GetFullPath(path))!);
        var listed = new HashSet<string>(StringComparer.Ordinal);
        var files = new LabelledFiles(Path.GetFileNameWithoutExtension(path));
        int[]? columns = null;
        foreach (var (line, fields) in Records(text, path))
        {
            if (columns is null)
            {
                columns = [fields.IndexOf("path"), fields.IndexOf("label"), fields.IndexOf("split")];
                if (columns.Contains(-1))
                    throw At(path, line, $"wanted the columns path, label and split, found {string.Join(", ", fields)}");
                continue;
            }
            if (fields.Count <= columns.Max())
                throw At(path, line, string.Create(CultureInfo.InvariantCulture, $"{fields.Count} fields, too few"));
            var (file, label, part) = (fields[columns[0]], fields[columns[1]], fields[columns[2]]);
            if (!LabelledFiles.Parts.Contains(part))
                throw At(path, line, $"split '{part}' is none of {string.Join(", ", LabelledFiles.Parts)}");
            if (file.Length == 0 || label.Length == 0)
                throw At(path, line, "path or label is empty");
            var full = Path.IsPathRooted(file) ? file : folder.Find(file, path, line, report);
            if (full is not null && !File.Exists(full))
            {
                report(DataFault.At(FaultKind.Missing, path, line, $"'{file}' does not exist"));
                continue;
            }
            if (full is null)
                continue;
            if (!listed.Add(full))
            {
                report(DataFault.At(FaultKind.Twice, path, line, $"'{file}' is listed already"));
                continue;
            }
            files.Add(part, label, full);
        }
        return columns is null ? throw At(path, 1, "the file is empty") : files.ToDataset(seed, validationShare);
    }

    private static FusionException At(string path, int line, string what) =>
        new(string.Create(CultureInfo.InvariantCulture, $"{path}({line}): {what}"), ExitCode.Data);

    /// <summary>Records with the line each starts on; blank lines are skipped.</summary>
    private static IEnumerable<(int Line, List<string> Fields)> Records(string text, string path)
    {
        var line = 1;
        for (var at = 0; at < text.Length;)
        {
            var start = line;
            var fields = new List<string>();
            var field = new StringBuilder();
            var quoted = false;
            for (var ended = false; !ended; at++)
            {
                var c = at < text.Length ? text[at] : '\n';
                if (at >= text.Length && quoted)
                    throw At(path, start, "a quoted field does not end");
                if (c == '\n')
                    line++;
                if (quoted)
                {
                    if (c != '"')
                        field.Append(c);
                    else if (at + 1 < text.Length && text[at + 1] == '"')
                        field.Append(text[++at]);
                    else
                        quoted = false;
                }
                else if (c == '"' && field.Length == 0)
                {
                    quoted = true;
                }
                else if (c is ',' or '\n')
                {
                    if (c == '\n' && field.Length > 0 && field[^1] == '\r')
                        field.Length--;
                    fields.Add(field.ToString());
                    field.Clear();
                    ended = c == '\n';
                }
                else
                {
                    field.Append(c);
                }
            }
            if (fields.Count > 1 || fields[0].Length > 0)
                yield return (start, fields);
        }
    }
}
