using FusionGen.Compiler.Problems;

namespace FusionGen.Compiler.Spec.Yaml;

/// <summary>A node of a YAML document: where it stands in the document (<paramref name="Path"/>) and in the text [<paramref name="Start"/>, <paramref name="End"/>).</summary>
internal abstract record YamlNode(string Path, int Start, int End)
{
    /// <summary>What a message calls the node.</summary>
    public abstract string Describe();
}

/// <summary>A scalar. Quoted scalars are always text.</summary>
internal sealed record YamlScalar(string Path, int Start, int End, string Value, bool Plain) : YamlNode(Path, Start, End)
{
    public bool IsNull => this.Plain && this.Value is "" or "~" or "null";

    public override string Describe() => this switch
    {
        { IsNull: true, Value: "" } => "nothing",
        { IsNull: true } => "null",
        { Plain: false } => $"the text {Short(this.Value, '"')}",
        _ => Short(this.Value, '\''),
    };

    private static string Short(string value, char quote)
    {
        var line = value.Split('\n', '\r')[0];
        return quote + (line.Length < value.Length || line.Length > 40 ? line.Substring(0, Math.Min(line.Length, 40)) + "…" : line) + quote;
    }
}

/// <summary>A list.</summary>
internal sealed record YamlList(string Path, int Start, int End, IReadOnlyList<YamlNode> Items) : YamlNode(Path, Start, End)
{
    public override string Describe() => "a list";
}

/// <summary>A map. <paramref name="Flow"/>: written with braces.</summary>
internal sealed record YamlMap(string Path, int Start, int End, bool Flow, IReadOnlyList<YamlEntry> Entries) : YamlNode(Path, Start, End)
{
    public override string Describe() => "a map";

    /// <summary>The entry of a key.</summary>
    public YamlEntry? Entry(string key) => this.Entries.FirstOrDefault(e => e.Key == key);

    /// <summary>The value of a key.</summary>
    public YamlNode? Value(string key) => this.Entry(key)?.Value;
}

/// <summary>A node that was reported already (an alias): nothing more is to be said of it.</summary>
internal sealed record YamlInvalid(string Path, int Start, int End) : YamlNode(Path, Start, End)
{
    public override string Describe() => "an alias";
}

/// <summary>A key and its value.</summary>
internal sealed record YamlEntry(string Key, int Start, int End, YamlNode Value);

/// <summary>A document; <paramref name="Root"/> is null where there is none or it could not be read.</summary>
internal sealed record YamlTree(YamlNode? Root, SpecPositions Positions, ProblemList Problems);
