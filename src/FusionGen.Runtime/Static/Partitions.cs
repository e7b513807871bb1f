using FusionGen.Kernels;

namespace FusionGen.Static;

/// <summary>How operations fall into parts.</summary>
internal static class Partitions
{
    /// <summary>Multiply-adds below which threads lose more by meeting than they gain.</summary>
    private const long Worthwhile = 1 << 18;

    // Whole vectors, and whole panels of a product.
    private const int Grain = 64;

    // A tile of a product.
    private const int RowGrain = 6;

    // Copying a column of a product's right operand costs what so many rows of the product cost.
    private const int Packing = 12;

    /// <summary>Whether an operation of so many multiply-adds is worth sharing.</summary>
    public static bool IsWorthwhile(long multiplyAdds) => multiplyAdds >= Worthwhile;

    /// <summary>The part of <paramref name="count"/> things that is <paramref name="part"/>'s, in multiples of <paramref name="grain"/>.</summary>
    public static (int From, int Count) Of(int count, int part, int parts, int grain = Grain)
    {
        var grains = (count + grain - 1) / grain;
        var (from, to) = ((int)((long)grains * part / parts) * grain, (int)((long)grains * (part + 1) / parts) * grain);
        return (Math.Min(from, count), Math.Min(to, count) - Math.Min(from, count));
    }

    /// <summary>
    /// The block of rows and columns that is <paramref name="part"/>'s, possibly empty: of the grid of at most so many blocks whose last one is done first. Every block copies its
    /// columns of a right operand for itself, so columns are shared out first. Rows that are no whole tile belong to the last one: alone they might be multiplied in another way.
    /// </summary>
    public static Block BlockOf(int rows, int columns, int part, int parts, int grain = Grain)
    {
        var threads = Math.Max(1, parts / Team.PartsOfMember);
        var tiles = Math.Max(1, rows / RowGrain);
        var (down, across, least) = (1, 1, long.MaxValue);
        for (var i = 1; i <= parts; i++)
        {
            for (var j = 1; j <= parts / i; j++)
            {
                var cost = ((i * j) + threads - 1) / threads * (long)((Largest(tiles, i, 1) * RowGrain) + Packing) * Largest(columns, j, grain);
                if (cost <= least)
                    (down, across, least) = (i, j, cost);
            }
        }
        var (row, column) = Math.DivRem(part, across);
        if (row >= down)
            return default;
        var (tile, count) = Of(tiles, row, down, 1);
        if (count == 0)
            return default;
        var (left, width) = Of(columns, column, across, grain);
        return new(tile * RowGrain, tile + count == tiles ? rows - (tile * RowGrain) : count * RowGrain, left, width);
    }

    private static int Largest(int count, int parts, int grain) => (((count + grain - 1) / grain) + parts - 1) / parts * grain;
}

/// <summary>A part of rows and columns.</summary>
internal readonly record struct Block(int Row, int Rows, int Column, int Columns);

/// <summary>A product, by blocks.</summary>
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
        var block = Partitions.BlockOf(this.M, this.N, part, parts);
        if (block.Rows == 0 || block.Columns == 0)
            return;
        var place = (block.Row * this.N) + block.Column;
        Gemm.Multiply(
            block.Rows, block.Columns, this.K,
            new(this.A.Values[(this.A.Transposed ? block.Row : block.Row * this.A.Stride)..], this.A.Stride, this.A.Transposed),
            new(this.B[(this.TransposeB ? block.Column * this.K : block.Column)..], this.TransposeB ? this.K : this.N, this.TransposeB), this.C[place..], this.N,
            1, this.Residual.IsEmpty ? 0 : 1, this.Bias.IsEmpty ? default : this.Bias.Slice(block.Column, block.Columns), this.Residual.IsEmpty ? default : this.Residual[place..]);
    }
}

/// <summary>Attention, by heads and the rows that ask.</summary>
internal ref struct AttentionPartition : IPartition
{
    public AttentionShape Shape;
    public AttentionInputs Inputs;
    public Span<float> Output;
    public Span<float> Saved;

    public readonly void Run(int part, int parts, Span<float> scratch)
    {
        var block = Partitions.BlockOf(this.Shape.Queries, this.Shape.Samples * this.Shape.Heads, part, parts, grain: 1);
        Attention.OfHeads(this.Shape, this.Inputs, this.Output, this.Saved, scratch, (block.Column, block.Columns), (block.Row, block.Rows));
    }
}

/// <summary>Layer norm, by rows.</summary>
internal ref struct LayerNormPartition : IPartition
{
    public int Rows;
    public int Width;
    public float Epsilon;
    public ReadOnlySpan<float> X;
    public ReadOnlySpan<float> Weight;
    public ReadOnlySpan<float> Bias;
    public Span<float> Y;
    public Span<float> Statistics;

    public readonly void Run(int part, int parts, Span<float> scratch)
    {
        var (from, count) = Partitions.Of(this.Rows, part, parts, grain: 1);
        if (count == 0)
            return;
        var place = new Range(from * this.Width, (from + count) * this.Width);
        LayerNorm.Forward(
            count, this.X[place], this.Weight, this.Bias, this.Epsilon, this.Y[place], this.Statistics.Slice(from, count), this.Statistics.Slice(this.Rows + from, count));
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
