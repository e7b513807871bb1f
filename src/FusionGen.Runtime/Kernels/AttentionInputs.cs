using System.Diagnostics.CodeAnalysis;

namespace FusionGen.Kernels;

/// <summary>What a self-attention is computed from.</summary>
/// <param name="qkv">(b, T, 3d): queries, keys and values side by side, heads contiguous.</param>
/// <param name="prefix">Further keys and values, (P, 2d) for all samples or (b, P, 2d); empty for none.</param>
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

    /// <summary>Rows of the prefix that have a share: those of a candidate without one take part in nothing, not even in the order of sums.</summary>
    internal int Live(int prefix) => Live(prefix, this.PrefixLogit);

    internal static int Live(int prefix, ReadOnlySpan<float> logits)
    {
        if (logits.Length == 1)
            return float.IsNegativeInfinity(logits[0]) ? 0 : prefix;
        var live = prefix;
        foreach (var logit in logits)
            live -= float.IsNegativeInfinity(logit) ? 1 : 0;
        return live;
    }

    internal void Check(AttentionShape shape)
    {
        shape.Check();
        Kernels.Check.Length(this.Qkv, (long)shape.Samples * shape.Tokens * 3 * shape.Width, "qkv");
        Kernels.Check.OnceOrEach(this.Prefix, (long)shape.Prefix * 2 * shape.Width, shape.Samples, "prefix");
        if (this.PrefixLogit.Length != 1)
            Kernels.Check.LengthOrEmpty(this.PrefixLogit, shape.Prefix, "prefixLogit");
        var entry = (long)shape.Heads * shape.Tokens * shape.Tokens;
        if (this.Bias.Length % entry != 0)
            Kernels.Check.Length(this.Bias, entry, "bias");
        ArgumentOutOfRangeException.ThrowIfNegative(this.First);
    }
}
