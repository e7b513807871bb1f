using FusionGen.Kernels;

namespace FusionGen.Static;

/// <summary>How operations fall into parts.</summary>
internal static class Partitions
{
    /// <summary>Multiply-adds below which threads lose more by meeting than they gain.</summary>
    private const long Worthwhile = 1 << 18;

    // Whole vectors, and whole panels of a product.
    private const int Grain = 64;

    /// <summary>Whether an operation of so many multiply-adds is worth sharing.</summary>
    public static bool IsWorthwhile(long multiplyAdds) => multiplyAdds >= Worthwhile;

    /// <summary>The part of <paramref name="count"/> things that is <paramref name="part"/>'s, in multiples of <paramref name="grain"/>.</summary>
    public static (int From, int Count) Of(int count, int part, int parts, int grain = Grain)
    {
        var grains = (count + grain - 1) / grain;
        var (from, to) = ((int)((long)grains * part / parts) * grain, (int)((long)grains * (part + 1) / parts) * grain);
        return (Math.Min(from, count), Math.Min(to, count) - Math.Min(from, count));
    }
}

/// <summary>A product, by columns: what is packed of the right operand is packed once.</summary>
internal ref struct ProductPartition : IPartition
{
    public int M;
    public int N;
    public int K;
    public MatrixView A;
    public ReadOnlySpan<float> B;
    public bool TransposeB;
    public ReadOnlySpan<float> Residual;
    public ReadOnlySpan<float> Bias;
    public Span<float> C;

    public readonly void Run(int part, int parts, Span<float> scratch)
    {
        var (from, count) = Partitions.Of(this.N, part, parts);
        if (count == 0)
            return;
        Gemm.Multiply(
            this.M, count, this.K, this.A, new MatrixView(this.B[(this.TransposeB ? from * this.K : from)..], this.TransposeB ? this.K : this.N, this.TransposeB), this.C[from..], this.N,
            1, this.Residual.IsEmpty ? 0 : 1, this.Bias.IsEmpty ? default : this.Bias.Slice(from, count), this.Residual.IsEmpty ? default : this.Residual[from..]);
    }
}

/// <summary>Attention, by heads.</summary>
internal ref struct AttentionPartition : IPartition
{
    public AttentionShape Shape;
    public AttentionInputs Inputs;
    public Span<float> Output;
    public Span<float> Normalisers;

    public readonly void Run(int part, int parts, Span<float> scratch)
    {
        var (from, count) = Partitions.Of(this.Shape.Samples * this.Shape.Heads, part, parts, grain: 1);
        Attention.OfHeads(this.Shape, this.Inputs, this.Output, this.Normalisers, scratch, from, count);
    }
}

/// <summary>An activation, by elements.</summary>
internal ref struct ActivationPartition : IPartition
{
    public Activation Function;
    public ReadOnlySpan<float> X;
    public Span<float> Y;

    public readonly void Run(int part, int parts, Span<float> scratch)
    {
        var (from, count) = Partitions.Of(this.X.Length, part, parts);
        Activations.Forward(this.Function, this.X.Slice(from, count), default, this.Y.Slice(from, count));
    }
}
