using System.Text.RegularExpressions;

namespace FusionGen.Cli.Parity;

/// <summary>SSF's released code (Lian et al. 2022): timm's names, and scales and shifts beside the layers they follow, numbered within a module.</summary>
internal sealed partial class SsfLayout : ReferenceLayout
{
    private static readonly Dictionary<string, string> Sites = new(StringComparer.Ordinal)
    {
        ["1"] = "norm1",
        ["2"] = "norm2",
        ["attn.1"] = "qkv",
        ["attn.2"] = "proj",
        ["mlp.1"] = "fc1",
        ["mlp.2"] = "fc2",
    };

    /// <summary>One kind everywhere.</summary>
    public static string Spec(ReferenceCase reference) =>
        $$"""
        {{Header(reference, "SsfReference")}}operators: { ssf: { kind: ssf } }
        layers: [ { at: [embed, 0..{{reference.Integer("depth") - 1}}, norm], candidates: [ssf] } ]

        """;

    /// <inheritdoc/>
    public override IEnumerable<Placement> Place(string name)
    {
        if (Block.Match(name) is { Success: true } match && Sites.TryGetValue(match.Groups[2].Value + match.Groups[4].Value, out var site))
            return [new Placement($"operators.ssf.{Index(match.Groups[1])}.{site}.{match.Groups[3].Value}", name)];
        if (Outside.Match(name) is { Success: true } outside)
            return [new Placement($"operators.ssf.{(outside.Groups[1].Length > 0 ? "embed.patches" : "norm.features")}.{outside.Groups[2].Value}", name)];
        return [new Placement(name, name)];
    }

    [GeneratedRegex(@"^blocks\.(\d+)\.(attn\.|mlp\.|)ssf_(scale|shift)_(\d)$")]
    private static partial Regex Block { get; }

    [GeneratedRegex(@"^(patch_embed\.|)ssf_(scale|shift)_1$")]
    private static partial Regex Outside { get; }
}
