using System.Diagnostics.CodeAnalysis;

namespace FusionGen.Kernels;

/// <summary>Where the gradients of <see cref="AttentionInputs"/> go; what is empty is not computed.</summary>
/// <param name="qkv">(b, T, 3d), overwritten.</param>
/// <param name="prefix">As the prefix, added to: (P, 2d) is the sum over the samples.</param>
/// <param name="prefixLogit">As the prefix logits, added to.</param>
/// <param name="bias">As the bias, added to.</param>
[SuppressMessage("Performance", "CA1815", Justification = "An argument, never compared.")]
public readonly ref struct AttentionGradients(
    Span<float> qkv, Span<float> prefix = default, Span<float> prefixLogit = default, Span<float> bias = default)
{
    internal Span<float> Qkv { get; } = qkv;

    internal Span<float> Prefix { get; } = prefix;

    internal Span<float> PrefixLogit { get; } = prefixLogit;

    internal Span<float> Bias { get; } = bias;

    internal void Check(AttentionInputs inputs)
    {
        Kernels.Check.LengthOrEmpty(this.Qkv, inputs.Qkv.Length, "gradients.Qkv");
        Kernels.Check.LengthOrEmpty(this.Prefix, inputs.Prefix.Length, "gradients.Prefix");
        Kernels.Check.LengthOrEmpty(this.PrefixLogit, inputs.PrefixLogit.Length, "gradients.PrefixLogit");
        Kernels.Check.LengthOrEmpty(this.Bias, inputs.Bias.Length, "gradients.Bias");
    }
}
