using System.Text.RegularExpressions;
using FusionGen.Compiler.Spec;

namespace FusionGen.Cli.Parity;

/// <summary>Visual prompt tuning (Jia et al. 2022), deep: separate queries, keys and values, prompts of the first layer apart from the others.</summary>
internal sealed partial class VptLayout(SpecDocument spec) : ReferenceLayout
{
    private const string Root = "enc.transformer.";

    private static readonly Dictionary<string, string> Names = new(StringComparer.Ordinal)
    {
        ["embeddings.cls_token"] = "cls_token",
        ["embeddings.position_embeddings"] = "pos_embed",
        ["embeddings.patch_embeddings.weight"] = "patch_embed.proj.weight",
        ["embeddings.patch_embeddings.bias"] = "patch_embed.proj.bias",
        ["encoder.encoder_norm.weight"] = "norm.weight",
        ["encoder.encoder_norm.bias"] = "norm.bias",
    };

    private static readonly Dictionary<string, string> Modules = new(StringComparer.Ordinal)
    {
        ["attention_norm"] = "norm1",
        ["ffn_norm"] = "norm2",
        ["attn.out"] = "attn.proj",
        ["ffn.fc1"] = "mlp.fc1",
        ["ffn.fc2"] = "mlp.fc2",
    };

    /// <summary>Prompts as key and value rows in every layer.</summary>
    public static string Spec(ReferenceCase reference) =>
        $$"""
        {{Header(reference, "VptReference")}}prompts: { tokens: {{reference.Integer("prompt_length")}} }
        operators: { deep: { kind: prefix } }
        layers: [ { at: 0..{{reference.Integer("depth") - 1}}, candidates: [deep] } ]

        """;

    /// <inheritdoc/>
    public override IEnumerable<Placement> Place(string name)
    {
        if (name.StartsWith("head.last_layer.", StringComparison.Ordinal))
            return [new Placement("head." + name["head.last_layer.".Length..], name)];
        if (!name.StartsWith(Root, StringComparison.Ordinal))
            return [];
        var rest = name[Root.Length..];
        return rest switch
        {
            "prompt_embeddings" => [new Placement("prompts.0", name) { Entry = 0 }],
            "deep_prompt_embeddings" => Enumerable.Range(1, spec.Backbone.Depth - 1).Select(layer => new Placement($"prompts.{layer}", name) { Entry = layer - 1 }),
            _ when Names.TryGetValue(rest, out var ours) => [new Placement(ours, name)],
            _ => this.PlaceInBlock(name, rest),
        };
    }

    [GeneratedRegex(@"^encoder\.layer\.(\d+)\.(.+)\.(weight|bias)$")]
    private static partial Regex Block { get; }

    private IEnumerable<Placement> PlaceInBlock(string name, string rest)
    {
        if (Block.Match(rest) is not { Success: true } match)
            return [];
        var (block, module, kind) = ($"blocks.{Index(match.Groups[1])}", match.Groups[2].Value, match.Groups[3].Value);
        if (Modules.TryGetValue(module, out var ours))
            return [new Placement($"{block}.{ours}.{kind}", name)];
        var part = Array.IndexOf(["attn.query", "attn.key", "attn.value"], module);
        return part < 0 ? [] : [new Placement($"{block}.attn.qkv.{kind}", name) { Row = (long)part * spec.Backbone.Width }];
    }
}
