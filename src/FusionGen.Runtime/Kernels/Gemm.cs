using System.Globalization;

namespace FusionGen.Kernels;

/// <summary>Products of matrices, single-threaded.</summary>
public static class Gemm
{
    // Where there are vectors of eight floats or more our loops are at least as fast as OpenBLAS at the sizes of a step; a library that is named is used.
    private static readonly Blas? Library = IsFast && string.IsNullOrEmpty(Environment.GetEnvironmentVariable(Blas.Variable)) ? null : Blas.Library;

    /// <summary>Whether our own loops leave a library nothing to gain on this machine.</summary>
    public static bool IsFast => Simd.Widest >= 8;

    /// <summary>Whether an entry of a product is the same to the bit whichever rows and columns are computed with it: ours is, a library's may not be.</summary>
    public static bool IsSplitExact => Library is null;

    /// <summary>What computes the products: the machine's library, or FusionGen's own loops.</summary>
    public static string Product => Library?.Name ?? string.Create(CultureInfo.InvariantCulture, $"FusionGen ({32 * Simd.Width}-bit vectors)");

    /// <summary>C = alpha·A·B + beta·F + bias.</summary>
    /// <param name="m">Rows of A and C.</param>
    /// <param name="n">Columns of B and C.</param>
    /// <param name="k">Columns of A and rows of B.</param>
    /// <param name="a">(m, k), as the product sees it.</param>
    /// <param name="b">(k, n), as the product sees it.</param>
    /// <param name="c">(m, n).</param>
    /// <param name="stride">Floats between two rows of C, and of F.</param>
    /// <param name="alpha">Factor of the product.</param>
    /// <param name="beta">Factor of F; at 0 it may hold anything.</param>
    /// <param name="bias">(n), added to every row; empty for none.</param>
    /// <param name="from">F, (m, n); empty for what C holds.</param>
    public static void Multiply(
        int m, int n, int k, MatrixView a, MatrixView b, Span<float> c, int stride, float alpha = 1, float beta = 0, ReadOnlySpan<float> bias = default, ReadOnlySpan<float> from = default)
    {
        CheckOperands(m, n, k, a, b, c, stride);
        Check.LengthOrEmpty(bias, n);
        if (!from.IsEmpty)
            Check.Room(from, new MatrixView(from, stride).Extent(m, n));
        Unchecked(m, n, k, a, b, c, stride, alpha, beta, bias, from);
    }

    /// <summary>The product by the machine's library or by our loops.</summary>
    internal static void Unchecked(
        int m, int n, int k, MatrixView a, MatrixView b, Span<float> c, int stride, float alpha, float beta, ReadOnlySpan<float> bias = default, ReadOnlySpan<float> from = default)
    {
        if (m == 0 || n == 0)
            return;
        if (Library is null)
            PackedProduct.Multiply(m, n, k, a, b, c, stride, alpha, beta, bias, from);
        else
            Library.Multiply(m, n, k, a, b, c, stride, alpha, Start(m, n, c, stride, beta, bias, from));
    }

    /// <summary>Writes what a product is added to into C, where a library cannot add it; returns the factor of C that remains.</summary>
    private static float Start(int m, int n, Span<float> c, int stride, float beta, ReadOnlySpan<float> bias, ReadOnlySpan<float> from)
    {
        if (bias.IsEmpty && from.IsEmpty)
            return beta;
        for (var row = 0; row < m; row++)
        {
            var target = c.Slice(row * stride, n);
            if (beta == 0)
                target.Clear();
            else
                Elementwise.Scale(from.IsEmpty ? target : from.Slice(row * stride, n), beta, target);
            if (!bias.IsEmpty)
                Elementwise.Accumulate(bias, target);
        }
        return 1;
    }

    private static void CheckOperands(int m, int n, int k, MatrixView a, MatrixView b, ReadOnlySpan<float> c, int stride)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(m);
        ArgumentOutOfRangeException.ThrowIfNegative(n);
        ArgumentOutOfRangeException.ThrowIfNegative(k);
        Check.Room(a.Values, a.Extent(m, k), nameof(a));
        Check.Room(b.Values, b.Extent(k, n), nameof(b));
        Check.Room(c, new MatrixView(c, stride).Extent(m, n), nameof(c));
    }
}
