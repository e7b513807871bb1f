using FusionGen.Compiler.Problems;

namespace FusionGen.Compiler.Spec;

/// <summary>A node's place in the text.</summary>
public readonly record struct NodePosition(string Node, TextRange Range);

/// <summary>
/// Where each node of a document stands in its text. Kept apart from documents and problems, which so stay equal while
/// lines move. A value's path is <c>search.epochs</c> or <c>layers[0].candidates[2]</c>; the word of the key itself is
/// <see cref="Key"/> of that.
/// </summary>
/// <param name="Nodes">Every node with its range, by path in ordinal order.</param>
public sealed record SpecPositions(EquatableArray<NodePosition> Nodes)
{
    private const char Mark = '~';

    /// <summary>The path of a key's own word.</summary>
    public static string Key(string path) => Part(path, "key");

    /// <summary>The path of something that stands at a node but is no node: its anchor, a second key of the same name.</summary>
    public static string Part(string path, string part) => path + Mark + part;

    /// <summary>Path of an entry of a map.</summary>
    public static string Child(string path, string key) => path.Length == 0 ? key : path + "." + key;

    /// <summary>Path of an item of a list.</summary>
    public static string Item(string path, int index) => $"{path}[{Text.Invariant(index)}]";

    /// <summary>The range of a node, or of its nearest ancestor that exists.</summary>
    public TextRange Find(string node)
    {
        for (var path = node; ; path = Parent(path))
        {
            if (this.Exact(path) is { } range)
                return range;
            if (path.Length == 0)
                return default;
        }
    }

    private static string Parent(string path) => path.Substring(0, Math.Max(path.LastIndexOfAny([Mark, '.', '[']), 0));

    private TextRange? Exact(string path)
    {
        var (low, high) = (0, this.Nodes.Count - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            var order = string.CompareOrdinal(this.Nodes[middle].Node, path);
            if (order == 0)
                return this.Nodes[middle].Range;
            if (order < 0)
                low = middle + 1;
            else
                high = middle - 1;
        }

        return null;
    }
}
