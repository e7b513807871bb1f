namespace FusionGen.Weights.Layouts;

/// <summary>timm's own names, perhaps behind a prefix: timm, MAE, MoCo v3 and the backbones of PFD's tuned checkpoints.</summary>
internal sealed class TimmLayout(string name, string prefix) : WeightLayout
{
    /// <summary>Prefixes of a layout's backbone.</summary>
    private static readonly Dictionary<string, string[]> Prefixes = new(StringComparer.Ordinal)
    {
        ["pfd"] = ["backbone."],
        // Pretraining, the same without data parallelism, and linear evaluation.
        ["moco-v3"] = ["module.base_encoder.", "base_encoder.", "module."],
        ["moco-v3-momentum"] = ["module.momentum_encoder.", "momentum_encoder."],
        ["mae"] = [""],
    };

    /// <inheritdoc/>
    public override string Name => name;

    /// <summary>A layout, where a file is in it.</summary>
    public static TimmLayout? Find(WeightFile file, string layout) =>
        Prefixes[layout].FirstOrDefault(prefix => IsUnder(file, prefix)) is { } found ? new TimmLayout(layout, found) : null;

    /// <summary>Whether there is a backbone of timm's names behind a prefix.</summary>
    public static bool IsUnder(WeightFile file, string prefix) => file.Has(prefix + "patch_embed.proj.weight") || file.Has(prefix + "blocks.0.norm1.weight");

    /// <summary>Whether MAE's decoder is still there.</summary>
    public static bool HasDecoder(WeightFile file) => file.Has("mask_token");

    /// <inheritdoc/>
    // PFD keeps its head beside the backbone, not in it; in a MoCo pretraining 'head' is the projector.
    internal override IReadOnlyList<WeightSource> Sources(string parameter) =>
        parameter.StartsWith("fc_norm.", StringComparison.Ordinal) && name == "mae" ? []
        : [new WeightSource(name == "pfd" && parameter.StartsWith("head.", StringComparison.Ordinal) ? parameter : prefix + parameter)];

    /// <summary>VPT pools MAE's patches before a norm of its own, which starts, and is frozen, as one and zero (METHOD §1.2).</summary>
    internal override float? Constant(string parameter) => name != "mae" ? null : parameter switch
    {
        "fc_norm.weight" => 1,
        "fc_norm.bias" => 0,
        _ => null,
    };

    /// <inheritdoc/>
    internal override string? Drops(string tensor)
    {
        var own = tensor.StartsWith(prefix, StringComparison.Ordinal) ? tensor[prefix.Length..] : null;
        return own switch
        {
            not null when own.StartsWith("head.", StringComparison.Ordinal) => name.StartsWith("moco", StringComparison.Ordinal) && own is not ("head.weight" or "head.bias") ? "the projector" : "the head",
            not null when own.StartsWith("pre_logits.", StringComparison.Ordinal) => "pre-logits",
            not null when own.EndsWith(".relative_position_index", StringComparison.Ordinal) || own.EndsWith(".attn_mask", StringComparison.Ordinal) => "follows from the sizes",
            "norm.weight" or "norm.bias" when name == "mae" => "the class token's norm",
            "mask_token" when name == "mae" => "the decoder",
            not null when name == "mae" && own.StartsWith("decoder_", StringComparison.Ordinal) => "the decoder",
            null when name.StartsWith("moco", StringComparison.Ordinal) => MocoPart(tensor),
            null when name == "pfd" => PfdPart(tensor),
            _ => null,
        };
    }

    private static string? MocoPart(string tensor)
    {
        var bare = tensor.StartsWith("module.", StringComparison.Ordinal) ? tensor["module.".Length..] : tensor;
        return bare.StartsWith("momentum_encoder.", StringComparison.Ordinal) || bare.StartsWith("base_encoder.", StringComparison.Ordinal) ? "the other encoder"
            : bare.StartsWith("predictor.", StringComparison.Ordinal) ? "the predictor"
            : null;
    }

    private static string? PfdPart(string tensor) => tensor.StartsWith("head.", StringComparison.Ordinal) ? "the head"
        : tensor.StartsWith("prompts.", StringComparison.Ordinal) || tensor.StartsWith("fusion_banks.", StringComparison.Ordinal)
            || tensor is "architecture_logits" or "selected_operators" or "operator_costs" ? "tuned, not of the backbone"
        : null;
}
