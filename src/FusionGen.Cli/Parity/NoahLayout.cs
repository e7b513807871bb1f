using System.Globalization;
using System.Text.RegularExpressions;

namespace FusionGen.Cli.Parity;

/// <summary>NOAH's released code (Zhang et al. 2022): timm's names, LoRA beside the joint projection, an adapter after the MLP.</summary>
internal sealed partial class NoahLayout : ReferenceLayout
{
    private static readonly Dictionary<string, string> Names = new(StringComparer.Ordinal)
    {
        ["attn.LoRA_a.weight"] = "operators.lora.{0}.qkv.down.weight",
        ["attn.LoRA_b.weight"] = "operators.lora.{0}.qkv.up.weight",
        ["adapter.ln1.weight"] = "operators.adapter.{0}.down.weight",
        ["adapter.ln1.bias"] = "operators.adapter.{0}.down.bias",
        ["adapter.ln2.weight"] = "operators.adapter.{0}.up.weight",
        ["adapter.sampled_bias_1"] = "operators.adapter.{0}.up.bias",
    };

    /// <summary>LoRA, of which the case may use the first ranks only, or the adapter.</summary>
    public static string Spec(ReferenceCase reference)
    {
        var (stored, active, adapter) = (reference.Integer("lora_rank_stored"), reference.Integer("lora_rank"), reference.Integer("adapter_dim"));
        var (name, options) = adapter > 0
            ? ("adapter", $"kind: adapter, hidden: {adapter}, activation: quick-gelu")
            : ("lora", string.Create(CultureInfo.InvariantCulture, $"kind: lora, rank: {stored}, active: {active}, scale: {reference.Number("lora_scale")}, init: noah"));
        return $$"""
            {{Header(reference, "NoahReference")}}operators: { {{name}}: { {{options}} } }
            layers: [ { at: 0..{{reference.Integer("depth") - 1}}, candidates: [{{name}}] } ]

            """;
    }

    /// <inheritdoc/>
    public override IEnumerable<Placement> Place(string name)
    {
        if (this.Ignores(name) is not null)
            return [];
        return Block.Match(name) is { Success: true } match && Names.TryGetValue(match.Groups[2].Value, out var ours)
            ? [new Placement(string.Format(CultureInfo.InvariantCulture, ours, Index(match.Groups[1])), name)]
            : [new Placement(name, name)];
    }

    /// <inheritdoc/>
    public override string? Ignores(string name) => name.EndsWith(".adapter.ln2.bias", StringComparison.Ordinal) ? "the same tensor as sampled_bias_1" : null;

    [GeneratedRegex(@"^blocks\.(\d+)\.(.+)$")]
    private static partial Regex Block { get; }
}
