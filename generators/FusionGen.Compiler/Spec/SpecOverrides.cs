using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec.Yaml;

namespace FusionGen.Compiler.Spec;

/// <summary>A spec's text after an override; the text is unchanged where <paramref name="Problems"/> has an error.</summary>
public sealed record OverrideResult(string Text, EquatableArray<Problem> Problems);

/// <summary>Sets single values of a spec from outside (<c>--set search.epochs=3</c>), leaving the rest of its text as it is.</summary>
public static class SpecOverrides
{
    /// <summary>Applies <c>path=value</c>. The value is YAML; a path that does not exist yet is added if the schema knows it.</summary>
    public static OverrideResult Apply(string text, string assignment)
    {
        var equals = assignment.IndexOf('=');
        var path = equals < 0 ? [] : Split(assignment.Substring(0, equals).Trim());
        var value = equals < 0 ? "" : assignment.Substring(equals + 1).Trim();
        if (path.Count == 0 || value.Length == 0 || value.IndexOfAny(['\n', '\r']) >= 0)
            return new OverrideResult(text, EquatableArray.Of(ProblemCatalogue.Override.At("", assignment, "write 'key.key=value' on one line")));

        var before = YamlReader.Read(text, "fusiongen");
        if (before.Root is null)
            return new OverrideResult(text, before.Problems.ToArray(before.Positions));
        if (Edit(text, before.Root, path, value) is not { } edited)
            return new OverrideResult(text, EquatableArray.Of(ProblemCatalogue.Override.At("", assignment, $"'{Path(path)}' does not exist and cannot be added")));

        // The edited text is judged by the one judge there is; what it says of the rest of the spec is not the override's affair.
        var known = SpecReader.Read(text).Problems;
        var problems = SpecReader.Read(edited).Problems.Where(p => p.Kind.Severity == Severity.Error && !known.Contains(p)).ToEquatableArray();
        return new OverrideResult(problems.Count == 0 ? edited : text, problems);
    }

    private static string? Edit(string text, YamlNode root, List<string> path, string value)
    {
        var node = root;
        for (var i = 0; i < path.Count; i++)
        {
            var next = Step(node, path[i]);
            if (next is null)
                return node is YamlMap map && path.Skip(i).All(p => !IsIndex(p)) ? Insert(text, map, path.Skip(i).ToList(), value) : null;
            if (i == path.Count - 1)
                return Replace(text, node, next, value);
            node = next;
        }

        return null;
    }

    private static YamlNode? Step(YamlNode node, string step) => node switch
    {
        YamlMap map => map.Value(step),
        YamlList list when IsIndex(step) && int.TryParse(step.Trim('[', ']'), out var index) && index < list.Items.Count => list.Items[index],
        _ => null,
    };

    // A block collection is replaced together with the line break before it, so that the new value follows its key or dash.
    private static string Replace(string text, YamlNode parent, YamlNode node, string value)
    {
        var entry = (parent as YamlMap)?.Entries.First(e => ReferenceEquals(e.Value, node));
        if (entry is null)
            return text.Substring(0, node.Start) + value + text.Substring(node.End);
        var colon = text.IndexOf(':', entry.End);
        return text.Substring(0, colon + 1) + " " + value + text.Substring(Math.Max(node.End, colon + 1));
    }

    private static string Insert(string text, YamlMap map, List<string> keys, string value)
    {
        var addition = $"{keys[keys.Count - 1]}: {value}";
        foreach (var key in Enumerable.Reverse(keys).Skip(1))
            addition = $"{key}: {{ {addition} }}";
        if (map.Flow)
            return text.Insert(map.Start + 1, $" {addition}{(map.Entries.Count > 0 ? "," : " ")}");
        var first = map.Entries[0].Start;
        var line = text.LastIndexOf('\n', Math.Max(first - 1, 0)) + 1;
        return text.Insert(first, $"{addition}\n{new string(' ', Math.Max(first - line, 0))}");
    }

    private static List<string> Split(string path) =>
        [.. path.Replace("[", ".[").Split('.').Select(p => p.Trim()).Where(p => p.Length > 0)];

    private static string Path(IReadOnlyList<string> path) => string.Join(".", path).Replace(".[", "[");

    private static bool IsIndex(string step) => step[0] == '[' && step[step.Length - 1] == ']';
}
