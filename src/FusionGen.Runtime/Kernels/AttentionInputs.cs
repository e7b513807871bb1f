using System.Diagnostics.CodeAnalysis;

namespace FusionGen.Kernels;

/// <summary>What a self-attention is computed from.</summary>
/// <param name="qkv">(b, T, 3d): queries, keys and values side by side, heads contiguous.</param>
/// <param name="prefix">(P, 2d): further keys and values, the same for every sample; empty for none.</param>
/// <param name="prefixLogit">Added to the logits of the prefix: a number, or (P); empty for nothing.</param>
/// <param name="bias">Added to the logits: (H, T, T), or (n, H, T, T) of which sample k takes entry k mod n; empty for none.</param>
/// <param name="first">The number of the buffers' first sample, for callers that hold a part of a batch.</param>
[SuppressMessage("Performance", "CA1815", Justification = "An argument, never compared.")]
public readonly ref struct AttentionInputs(
    ReadOnlySpan<float> qkv, ReadOnlySpan<float> prefix = default, ReadOnlySpan<float> prefixLogit = default, ReadOnlySpan<float> bias = default, int first = 0)
{
    internal ReadOnlySpan<float> Qkv { get; } = qkv;

    internal ReadOnlySpan<float> Prefix { get; } = prefix;

    internal ReadOnlySpan<float> PrefixLogit { get; } = prefixLogit;

    internal ReadOnlySpan<float> Bias { get; } = bias;

    internal int First { get; } = first;

    internal void Check(AttentionShape shape)
    {
        shape.Check();
        Kernels.Check.Length(this.Qkv, (long)shape.Samples * shape.Tokens * 3 * shape.Width, "qkv");
        Kernels.Check.Length(this.Prefix, (long)shape.Prefix * 2 * shape.Width, "prefix");
        if (this.PrefixLogit.Length != 1)
            Kernels.Check.LengthOrEmpty(this.PrefixLogit, shape.Prefix, "prefixLogit");
        var entry = (long)shape.Heads * shape.Tokens * shape.Tokens;
        if (this.Bias.Length % entry != 0)
            Kernels.Check.Length(this.Bias, entry, "bias");
        ArgumentOutOfRangeException.ThrowIfNegative(this.First);
    }
}
