using System.Text.RegularExpressions;
using FusionGen.Compiler.Spec;

namespace FusionGen.Cli.Parity;

/// <summary>Visual prompt tuning's code (Jia et al. 2022), deep prompts and what it compares them with: separate queries, keys and values, prompts of the first layer apart from the others.</summary>
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

    private static readonly Dictionary<string, string> Adapters = new(StringComparer.Ordinal) { ["adapter_downsample"] = "down", ["adapter_upsample"] = "up" };

    /// <summary>What the case tunes: prompts as key and value rows or adapters in every layer, or a part of the backbone.</summary>
    public static string Spec(ReferenceCase reference)
    {
        var type = reference.Text("transfer_type");
        return Header(reference, "VptReference") + type switch
        {
            "linear" => "",
            "end2end" => "tune: all\n",
            "tinytl-bias" => "tune: bias\n",
            "adapter" => Everywhere("adapter", $"kind: adapter, reduction: {reference.Integer("adapter_reduction")}"),
            _ when type.StartsWith("partial-", StringComparison.Ordinal) => $"tune: {{ last: {type["partial-".Length..]} }}\n",
            _ => $"prompts: {{ tokens: {reference.Integer("prompt_length")} }}\n" + Everywhere("deep", "kind: prefix"),
        };

        string Everywhere(string name, string options) =>
            $"operators: {{ {name}: {{ {options} }} }}\nlayers: [ {{ at: 0..{reference.Integer("depth") - 1}, candidates: [{name}] }} ]\n";
    }

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

    /// <summary>A bias of the keys adds the same to every logit, so its gradient is zero (METHOD §6.1, S5): what there is of one is rounding, 2e-7 in the reference.</summary>
    public override double GradientFloor(string name) => name.EndsWith(".attn.key.bias", StringComparison.Ordinal) ? 1e-6 : base.GradientFloor(name);

    [GeneratedRegex(@"^encoder\.layer\.(\d+)\.(.+)\.(weight|bias)$")]
    private static partial Regex Block { get; }

    private IEnumerable<Placement> PlaceInBlock(string name, string rest)
    {
        if (Block.Match(rest) is not { Success: true } match)
            return [];
        var (block, module, kind) = ($"blocks.{Index(match.Groups[1])}", match.Groups[2].Value, match.Groups[3].Value);
        if (Adapters.TryGetValue(module, out var part))
            return [new Placement($"operators.adapter.{Index(match.Groups[1])}.{part}.{kind}", name)];
        if (Modules.TryGetValue(module, out var ours))
            return [new Placement($"{block}.{ours}.{kind}", name)];
        var projection = Array.IndexOf(["attn.query", "attn.key", "attn.value"], module);
        return projection < 0 ? [] : [new Placement($"{block}.attn.qkv.{kind}", name) { Row = (long)projection * spec.Backbone.Width }];
    }
}
