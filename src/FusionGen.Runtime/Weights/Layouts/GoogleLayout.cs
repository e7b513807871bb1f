namespace FusionGen.Weights.Layouts;

/// <summary>
/// Google's Flax names, in NumPy archives: the original ImageNet-21k and AugReg files, big_vision's (other numbers, positions at the top, layers perhaps
/// stacked along a first axis), behind a prefix or none. Kernels are (inputs, outputs), heads a dimension of their own (METHOD §1.3).
/// </summary>
internal sealed class GoogleLayout : WeightLayout
{
    private const string Patches = "embedding/kernel";
    private const string Position = "Transformer/posembed_input/pos_embedding";
    private static readonly string[] Prefixes = ["", "params/", "opt/target/", "target/"];

    private readonly string prefix;
    private readonly string position;
    private readonly string attention;
    private readonly string mlp;
    private readonly string secondNorm;
    private readonly bool isStacked;

    private GoogleLayout(WeightFile file, string prefix)
    {
        this.prefix = prefix;
        bool Has(string part) => HasUnder(file, $"{prefix}Transformer/encoderblock{(this.isStacked ? "" : "_0")}/{part}");
        this.isStacked = HasUnder(file, prefix + "Transformer/encoderblock/");
        this.attention = Has("MultiHeadDotProductAttention_0/") ? "MultiHeadDotProductAttention_0" : "MultiHeadDotProductAttention_1";
        this.mlp = Has("MlpBlock_0/") ? "MlpBlock_0" : "MlpBlock_3";
        this.secondNorm = Has("LayerNorm_1/") ? "LayerNorm_1" : "LayerNorm_2";
        this.position = file.Has(prefix + "pos_embedding") || (this.attention == "MultiHeadDotProductAttention_0" && !file.Has(prefix + Position)) ? "pos_embedding" : Position;
    }

    /// <inheritdoc/>
    public override string Name => "google";

    /// <summary>The layout, where a file is in it.</summary>
    public static GoogleLayout? Find(WeightFile file, bool byName) =>
        Prefixes.FirstOrDefault(prefix => file.Has(prefix + Patches) || HasUnder(file, prefix + "Transformer/encoderblock")) is { } found ? new GoogleLayout(file, found) : null;

    /// <inheritdoc/>
    internal override IReadOnlyList<WeightSource> Sources(string parameter) => parameter switch
    {
        "patch_embed.proj.weight" => [this.At(Patches, Reshaping.Convolution)],
        "patch_embed.proj.bias" => [this.At("embedding/bias")],
        "cls_token" => [this.At("cls")],
        "pos_embed" => [this.At(this.position)],
        "norm.weight" => [this.At("Transformer/encoder_norm/scale")],
        "norm.bias" => [this.At("Transformer/encoder_norm/bias")],
        "head.weight" => [this.At("head/kernel", Reshaping.Inputs)],
        "head.bias" => [this.At("head/bias")],
        _ => BlockName.Of(parameter) is { } name ? this.InBlock(name) : [],
    };

    /// <inheritdoc/>
    internal override string? Drops(string name)
    {
        var own = name.StartsWith(this.prefix, StringComparison.Ordinal) ? name[this.prefix.Length..] : null;
        return own switch
        {
            "head/kernel" or "head/bias" => "the head",
            "pre_logits/kernel" or "pre_logits/bias" => "pre-logits",
            null when name.StartsWith("opt/", StringComparison.Ordinal) || name.StartsWith("state/", StringComparison.Ordinal) => "the optimizer's state",
            _ => null,
        };
    }

    private IReadOnlyList<WeightSource> InBlock(BlockName name)
    {
        var isWeight = name.Kind == "weight";
        var scale = isWeight ? "scale" : "bias";
        WeightSource In(string module, string kind, Reshaping reshaping) => this.isStacked
            ? this.At($"Transformer/encoderblock/{module}/{kind}", reshaping) with { Layer = name.Block }
            : this.At($"Transformer/encoderblock_{name.Block}/{module}/{kind}", reshaping);
        WeightSource Kernel(string module, Reshaping reshaping) => isWeight ? In(module, "kernel", reshaping) : In(module, "bias", Reshaping.Flat);

        return name.Module switch
        {
            "norm1" => [In("LayerNorm_0", scale, Reshaping.None)],
            "norm2" => [In(this.secondNorm, scale, Reshaping.None)],
            "attn.qkv" => [Kernel($"{this.attention}/query", Reshaping.Inputs), Kernel($"{this.attention}/key", Reshaping.Inputs), Kernel($"{this.attention}/value", Reshaping.Inputs)],
            "attn.proj" => [Kernel($"{this.attention}/out", Reshaping.Outputs)],
            "mlp.fc1" => [Kernel($"{this.mlp}/Dense_0", Reshaping.Inputs)],
            "mlp.fc2" => [Kernel($"{this.mlp}/Dense_1", Reshaping.Inputs)],
            _ => [],
        };
    }

    private static bool HasUnder(WeightFile file, string prefix) => file.Entries.Any(entry => entry.Name.StartsWith(prefix, StringComparison.Ordinal));

    private WeightSource At(string name, Reshaping reshaping = Reshaping.None) => new(this.prefix + name, reshaping);
}
