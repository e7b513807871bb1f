using System.Globalization;

namespace FusionGen.Kernels;

/// <summary>Products of matrices, single-threaded.</summary>
public static class Gemm
{
    /// <summary>What computes the products: the machine's library, or FusionGen's own loops.</summary>
    public static string Product => Blas.Library?.Name ?? string.Create(CultureInfo.InvariantCulture, $"FusionGen ({32 * Simd.Width}-bit vectors)");

    /// <summary>C = alpha·A·B + beta·C.</summary>
    /// <param name="m">Rows of A and C.</param>
    /// <param name="n">Columns of B and C.</param>
    /// <param name="k">Columns of A and rows of B.</param>
    /// <param name="a">(m, k), as the product sees it.</param>
    /// <param name="b">(k, n), as the product sees it.</param>
    /// <param name="c">(m, n).</param>
    /// <param name="stride">Floats between two rows of C.</param>
    /// <param name="alpha">Factor of the product.</param>
    /// <param name="beta">Factor of what C holds; at 0 it may hold anything.</param>
    public static void Multiply(int m, int n, int k, MatrixView a, MatrixView b, Span<float> c, int stride, float alpha = 1, float beta = 0)
    {
        CheckOperands(m, n, k, a, b, c, stride);
        Unchecked(m, n, k, a, b, c, stride, alpha, beta);
    }

    /// <summary>The same product of several matrices at fixed distances; a distance of 0 takes the same matrix every time.</summary>
    /// <param name="count">How many products.</param>
    /// <param name="m">Rows of each A and C.</param>
    /// <param name="n">Columns of each B and C.</param>
    /// <param name="k">Columns of each A and rows of each B.</param>
    /// <param name="a">The first A.</param>
    /// <param name="aStep">Floats from one A to the next.</param>
    /// <param name="b">The first B.</param>
    /// <param name="bStep">Floats from one B to the next.</param>
    /// <param name="c">The first C.</param>
    /// <param name="stride">Floats between two rows of a C.</param>
    /// <param name="cStep">Floats from one C to the next. At 0 the products are added up in the one C.</param>
    /// <param name="alpha">Factor of the products.</param>
    /// <param name="beta">Factor of what C holds.</param>
    public static void MultiplyBatch(
        int count, int m, int n, int k, MatrixView a, int aStep, MatrixView b, int bStep, Span<float> c, int stride, int cStep, float alpha = 1, float beta = 0)
    {
        for (var i = 0; i < count; i++)
            Multiply(m, n, k, a.From(i * aStep), b.From(i * bStep), c[(i * cStep)..], stride, alpha, i > 0 && cStep == 0 ? 1 : beta);
    }

    /// <summary>The product by the machine's library or by our loops.</summary>
    internal static void Unchecked(int m, int n, int k, MatrixView a, MatrixView b, Span<float> c, int stride, float alpha, float beta)
    {
        if (m == 0 || n == 0)
            return;
        if (Blas.Library is { } blas)
            blas.Multiply(m, n, k, a, b, c, stride, alpha, beta);
        else
            PackedProduct.Multiply(m, n, k, a, b, c, stride, alpha, beta);
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
