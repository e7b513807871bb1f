namespace FusionGen.Weights.Layouts;

/// <summary>
/// The backbone in a checkpoint that VPT's, VAPT's or E²VPT's code has tuned: names of their own with queries, keys and values apart for the supervised network, timm's for
/// MAE and MoCo v3.
/// </summary>
internal sealed class PromptTunedLayout(string name, bool isSupervised) : WeightLayout
{
    private const string Supervised = "enc.transformer.";
    private const string SelfSupervised = "enc.";
    private const string KeysValues = ".attn.deep_QKV_embeddings";

    /// <inheritdoc/>
    public override string Name => name;

    /// <summary>The layout, where a file is in it.</summary>
    public static PromptTunedLayout? Find(WeightFile file, string layout)
    {
        var isSupervised = file.Has(Supervised + "embeddings.patch_embeddings.weight") || file.Has(Supervised + "encoder.layer.0.attention_norm.weight");
        var isOurs = isSupervised || TimmLayout.IsUnder(file, SelfSupervised);
        bool Has(string part) => file.Entries.Any(entry => entry.Name.Contains(part, StringComparison.Ordinal));
        return isOurs && layout == (Has(".deep_prompt_downsample.") ? "vapt" : Has(KeysValues) ? "e2vpt" : "vpt") ? new PromptTunedLayout(layout, isSupervised) : null;
    }

    /// <inheritdoc/>
    internal override IReadOnlyList<WeightSource> Sources(string parameter) => parameter switch
    {
        "head.weight" or "head.bias" => [new WeightSource("head.last_layer" + parameter["head".Length..])],
        _ when !isSupervised => [new WeightSource(SelfSupervised + parameter)],
        "patch_embed.proj.weight" or "patch_embed.proj.bias" => [At("embeddings.patch_embeddings" + parameter["patch_embed.proj".Length..])],
        "cls_token" => [At("embeddings.cls_token")],
        "pos_embed" => [At("embeddings.position_embeddings")],
        "norm.weight" or "norm.bias" => [At("encoder.encoder_" + parameter)],
        _ => BlockName.Of(parameter) is { } block ? InBlock(block) : [],
    };

    /// <inheritdoc/>
    internal override string? Drops(string tensor)
    {
        if (tensor.StartsWith("head.", StringComparison.Ordinal))
            return "the head";
        var own = isSupervised ? Supervised : SelfSupervised;
        return tensor.StartsWith(own + "prompt_", StringComparison.Ordinal) || tensor.StartsWith(own + "deep_prompt_", StringComparison.Ordinal) || tensor.EndsWith(KeysValues, StringComparison.Ordinal) ? "tuned, not of the backbone" : null;
    }

    private static IReadOnlyList<WeightSource> InBlock(BlockName name)
    {
        string[] modules = name.Module switch
        {
            "norm1" => ["attention_norm"],
            "norm2" => ["ffn_norm"],
            "attn.qkv" => ["attn.query", "attn.key", "attn.value"],
            "attn.proj" => ["attn.out"],
            "mlp.fc1" => ["ffn.fc1"],
            "mlp.fc2" => ["ffn.fc2"],
            _ => [],
        };
        return [.. modules.Select(module => At($"encoder.layer.{name.Block}.{module}.{name.Kind}"))];
    }

    private static WeightSource At(string name) => new(Supervised + name);
}
