using System.Text.RegularExpressions;
using FusionGen.Compiler.Spec;

namespace FusionGen.Cli.Parity;

/// <summary>
/// Visual prompt tuning's code (Jia et al. 2022), what it compares prompts with and what was built on it: separate queries, keys and values, prompts of the first layer apart from the others; its MAE variant
/// has timm's blocks.
/// </summary>
internal partial class VptLayout(SpecDocument spec) : ReferenceLayout
{
    private const string Encoder = "enc.";
    private const string Transformer = "transformer.";

    private static readonly Dictionary<string, string> Names = new(StringComparer.Ordinal)
    {
        ["embeddings.cls_token"] = "cls_token",
        ["embeddings.position_embeddings"] = "pos_embed",
        ["embeddings.patch_embeddings.weight"] = "patch_embed.proj.weight",
        ["embeddings.patch_embeddings.bias"] = "patch_embed.proj.bias",
        ["encoder.encoder_norm.weight"] = "norm.weight",
        ["encoder.encoder_norm.bias"] = "norm.bias",
        ["prompt_proj.weight"] = "prompts.projection.weight",
        ["prompt_proj.bias"] = "prompts.projection.bias",
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

    /// <summary>Blocks of the backbone.</summary>
    protected int Depth => spec.Backbone.Depth;

    /// <summary>The first layer whose only candidate is of a kind, and the candidate's name.</summary>
    protected (int Layer, string Name) First(string kind)
    {
        var layer = spec.Layers.ToList().FindIndex(each => each.Candidates.Count == 1 && spec.Operator(each.Candidates[0]).Kind == kind);
        return layer < 0 ? throw new FusionException($"{spec.Model} has no layer whose only candidate is of kind '{kind}', which the layout is of", ExitCode.Data) : (layer, spec.Layers[layer].Candidates[0]);
    }

    /// <summary>What the case tunes: prompts as key and value rows or adapters in every layer, prompts that propagate, or a part of the backbone.</summary>
    public static string Spec(ReferenceCase reference)
    {
        var type = reference.Text("transfer_type");
        return Header(reference, "VptReference", PooledRows(reference, "prompt")) + type switch
        {
            "linear" => "",
            "end2end" => "tune: all\n",
            "tinytl-bias" => "tune: bias\n",
            "adapter" => Everywhere("adapter", $"kind: adapter, reduction: {reference.Integer("adapter_reduction")}"),
            _ when type.StartsWith("partial-", StringComparison.Ordinal) => $"tune: {{ last: {type["partial-".Length..]} }}\n",
            _ => Prompts(reference) + (reference.Flag("prompt.DEEP", true)
                ? Everywhere("deep", "kind: prefix")
                : $"operators: {{ shallow: {{ kind: vpt-shallow }} }}\nlayers: [ {{ at: embed, candidates: [shallow] }}, {{ at: 0..{reference.Integer("depth") - 1}, candidates: [] }} ]\n"),
        };

        string Everywhere(string name, string options) =>
            $"operators: {{ {name}: {{ {options} }} }}\nlayers: [ {{ at: 0..{reference.Integer("depth") - 1}, candidates: [{name}] }} ]\n";
    }

    /// <inheritdoc/>
    public override IEnumerable<Placement> Place(string name)
    {
        if (name.StartsWith("head.last_layer.", StringComparison.Ordinal))
            return [new Placement("head." + name["head.last_layer.".Length..], name)];
        if (!name.StartsWith(Encoder, StringComparison.Ordinal))
            return [];
        var rest = name[Encoder.Length..];
        var isTimm = !rest.StartsWith(Transformer, StringComparison.Ordinal);
        rest = isTimm ? rest : rest[Transformer.Length..];
        return rest switch
        {
            "prompt_embeddings" => [new Placement(spec.Embed.Length > 0 ? "prompts.embed" : "prompts.0", name) { Entry = 0 }],
            _ when this.PlaceTuned(name, rest).ToList() is { Count: > 0 } tuned => tuned,
            _ when Names.TryGetValue(rest, out var ours) => [new Placement(ours, name)],
            _ => isTimm ? [new Placement(rest, name)] : this.PlaceInBlock(name, rest),
        };
    }

    /// <summary>A bias of the keys adds the same to every logit, so its gradient is zero (METHOD §6.1, S5): what there is of one is rounding, 2e-7 in the reference.</summary>
    public override double GradientFloor(string name) => name.EndsWith(".attn.key.bias", StringComparison.Ordinal) ? 1e-6 : base.GradientFloor(name);

    /// <summary>The places of what is tuned beyond the first layer's prompts; none for the backbone's.</summary>
    /// <param name="name">The reference's name.</param>
    /// <param name="rest">The same without the name of the encoder.</param>
    protected virtual IEnumerable<Placement> PlaceTuned(string name, string rest) => rest == "deep_prompt_embeddings"
        ? Enumerable.Range(1, this.DeepPrompts - 1).Select(layer => new Placement($"prompts.{layer}", name) { Entry = layer - 1 })
        : [];

    /// <summary>Layers that have prompts of their own.</summary>
    protected virtual int DeepPrompts => this.Depth;

    /// <summary>The rows that a mean-pooled variant averages.</summary>
    protected static string PooledRows(ReferenceCase reference, string section) => reference.Text($"{section}.VIT_POOL_TYPE") == "img_pool" ? "mean" : "mean-with-prompts";

    private static string Prompts(ReferenceCase reference)
    {
        var project = reference.Integer("prompt.PROJECT", -1);
        return $"prompts: {{ tokens: {reference.Integer("prompt_length")}{(project > 0 ? $", project: {project}" : "")} }}\n";
    }

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
