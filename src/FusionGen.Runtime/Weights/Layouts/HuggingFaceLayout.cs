namespace FusionGen.Weights.Layouts;

/// <summary>Hugging Face's <c>ViTModel</c>, alone or under a classifier: queries, keys and values apart.</summary>
internal sealed class HuggingFaceLayout(string prefix) : WeightLayout
{
    private const string Patches = "embeddings.patch_embeddings.projection.weight";
    private const string Block = "encoder.layer.0.layernorm_before.weight";
    private static readonly string[] Prefixes = ["", "vit."];

    /// <inheritdoc/>
    public override string Name => "huggingface";

    /// <summary>The layout, where a file is in it.</summary>
    public static HuggingFaceLayout? Find(WeightFile file, bool byName) =>
        Prefixes.FirstOrDefault(prefix => file.Has(prefix + Patches) || file.Has(prefix + Block)) is { } found ? new HuggingFaceLayout(found) : null;

    /// <inheritdoc/>
    internal override IReadOnlyList<WeightSource> Sources(string parameter) => parameter switch
    {
        "patch_embed.proj.weight" => [this.At(Patches)],
        "patch_embed.proj.bias" => [this.At("embeddings.patch_embeddings.projection.bias")],
        "cls_token" => [this.At("embeddings.cls_token")],
        "pos_embed" => [this.At("embeddings.position_embeddings")],
        "norm.weight" or "norm.bias" => [this.At("layer" + parameter)],
        "head.weight" or "head.bias" => [new WeightSource("classifier" + parameter["head".Length..])],
        _ => BlockName.Of(parameter) is { } name ? this.InBlock(name) : [],
    };

    /// <inheritdoc/>
    internal override string? Drops(string name) => name.StartsWith("classifier.", StringComparison.Ordinal) ? "the head"
        : name.StartsWith(prefix + "pooler.", StringComparison.Ordinal) ? "the pooler"
        : name == prefix + "embeddings.mask_token" || name.StartsWith("decoder.", StringComparison.Ordinal) ? "the decoder"
        : null;

    private IReadOnlyList<WeightSource> InBlock(BlockName name)
    {
        string[] modules = name.Module switch
        {
            "norm1" => ["layernorm_before"],
            "norm2" => ["layernorm_after"],
            "attn.qkv" => ["attention.attention.query", "attention.attention.key", "attention.attention.value"],
            "attn.proj" => ["attention.output.dense"],
            "mlp.fc1" => ["intermediate.dense"],
            "mlp.fc2" => ["output.dense"],
            _ => [],
        };
        return [.. modules.Select(module => this.At($"encoder.layer.{name.Block}.{module}.{name.Kind}"))];
    }

    private WeightSource At(string name) => new(prefix + name);
}
