using FusionGen.Kernels;

namespace FusionGen.Runtime.Tests.Kernels;

[TestFixture]
internal sealed class GemmTests
{
    [Test]
    public void Our_product_is_the_triple_loop(
        [ValueSource(typeof(Numeric), nameof(Numeric.Widths))] int width, [Values] bool transposeA, [Values] bool transposeB, [Values(0f, 1f, -0.5f)] float beta)
    {
        using var scope = Numeric.Width(width);
        // Every number of lanes at the edge, none a multiple of any tile, and whole tiles.
        foreach (var (m, n, k) in new[] { (1, 1, 1), (7, 33, 5), (65, 48, 17), (5, 70, 300), (101, (3 * width) - 1, 9), (12, 4 * width, 64), (6, 2 * width, 64), (1, (9 * width) + 3, 37), (2, 40, 5 * width) })
            Case(m, n, k, transposeA, transposeB, beta, Ours);
    }

    [Test]
    public void More_than_a_block(
        [ValueSource(typeof(Numeric), nameof(Numeric.Widths))] int width, [Values] bool transposeA, [Values] bool transposeB, [Values(0f, 1f)] float beta)
    {
        using var scope = Numeric.Width(width);
        foreach (var (m, n, k) in new[] { (3, 530, 9), (770, 5, 3), (2, 3, 3100), (390, 270, 11) })
            Case(m, n, k, transposeA, transposeB, beta, Ours);
    }

    [Test]
    public void A_bias_and_another_matrix_are_added([Values] bool ours, [ValueSource(typeof(Numeric), nameof(Numeric.Widths))] int width, [Values] bool hasBias, [Values] bool hasFrom)
    {
        using var scope = Numeric.Width(width);
        foreach (var (m, n, k) in new[] { (7, 33, 5), (12, 64, 400), (65, 128, 20), (2, 71, 40) })
        {
            var (a, b, bias, from) = (Numeric.Random(m * k, 1), Numeric.Random(k * n, 2), Numeric.Random(hasBias ? n : 0, 3), Numeric.Random(hasFrom ? m * n : 0, 4));
            var c = new float[m * n];
            Array.Fill(c, float.NaN);
            var expected = Product(m, n, k, Numeric.Double(a), k, false, Numeric.Double(b), k, true);
            for (var i = 0; i < expected.Length; i++)
                expected[i] += (hasBias ? bias[i % n] : 0) + (hasFrom ? from[i] : 0);
            if (ours)
                PackedProduct.Multiply(m, n, k, new(a, k), new(b, k, true), c, n, 1, hasFrom ? 1 : 0, bias, from);
            else
                Gemm.Multiply(m, n, k, new(a, k), new(b, k, true), c, n, 1, hasFrom ? 1 : 0, bias, from);
            Numeric.Close(c, expected, 1e-5, $"{m}×{n}×{k}");
            // What C holds may be what is added.
            if (!hasFrom)
                continue;
            PackedProduct.Multiply(m, n, k, new(a, k), new(b, k, true), from, n, 1, 1, bias, from);
            Numeric.Close(from, expected, 1e-5, $"{m}×{n}×{k}");
        }
    }

    [Test]
    public void The_librarys_product_is_the_triple_loop([Values] bool transposeA, [Values] bool transposeB, [Values(0f, 1f, -0.5f)] float beta)
    {
        Assume.That(Blas.Library, Is.Not.Null, "this machine has no BLAS");
        foreach (var (m, n, k) in new[] { (1, 1, 1), (7, 33, 5), (65, 48, 17), (101, 70, 300) })
            Case(m, n, k, transposeA, transposeB, beta, Blas.Library!.Multiply);
    }

    [Test]
    public void Both_products_agree()
    {
        Assume.That(Blas.Library, Is.Not.Null, "this machine has no BLAS");
        var (a, b) = (Numeric.Random(65 * 384, 1), Numeric.Random(384 * 128, 2));
        var (ours, theirs) = (new float[65 * 128], new float[65 * 128]);
        PackedProduct.Multiply(65, 128, 384, new(a, 384), new(b, 384, true), ours, 128, 0.25f, 0);
        Blas.Library!.Multiply(65, 128, 384, new(a, 384), new(b, 384, true), theirs, 128, 0.25f, 0);
        Numeric.Close(ours, Numeric.Double(theirs), 1e-6);
    }

    [Test]
    public void An_alpha_of_0_and_an_empty_sum_leave_beta_times_C([Values(0f, 2f)] float beta)
    {
        float[] c = [1, 2, 9, 3, 4, 9];
        PackedProduct.Multiply(2, 2, 0, new([], 0), new([], 2), c, 3, 1, beta);
        PackedProduct.Multiply(2, 2, 1, new([5, 5], 1), new([5, 5], 2), c, 3, 0, 1);
        Assert.That(c, Is.EqualTo(new[] { beta, 2 * beta, 9, 3 * beta, 4 * beta, 9 }));
    }

    [Test]
    public void A_beta_of_0_forgets_what_was_not_a_number([ValueSource(typeof(Numeric), nameof(Numeric.Widths))] int width)
    {
        using var scope = Numeric.Width(width);
        var (a, b, c) = (Numeric.Random(7 * 5, 1), Numeric.Random(5 * 40, 2), new float[7 * 40]);
        Array.Fill(c, float.NaN);
        PackedProduct.Multiply(7, 40, 5, new(a, 5), new(b, 40), c, 40, 1, 0);
        Assert.That(c, Has.None.NaN);
        a[3] = float.NaN;
        PackedProduct.Multiply(7, 40, 5, new(a, 5), new(b, 40), c, 40, 1, 0);
        Assert.That(c[..40], Is.All.NaN);
    }

    [Test]
    public void A_short_buffer_is_named()
    {
        var full = new float[12];
        Assert.Multiple(() =>
        {
            Assert.That(() => Gemm.Multiply(3, 4, 4, new(full.AsSpan(1), 4), new(new float[16], 4), new float[12], 4), Throws.ArgumentException.With.Property("ParamName").EqualTo("a"));
            Assert.That(() => Gemm.Multiply(3, 4, 3, new(new float[9], 3), new(full, 3), new float[12], 4), Throws.ArgumentException.With.Property("ParamName").EqualTo("b"));
            Assert.That(() => Gemm.Multiply(3, 4, 3, new(new float[9], 3), new(full, 4), new float[12], 5), Throws.ArgumentException.With.Property("ParamName").EqualTo("c"));
        });
    }

    [Test]
    public void Allocates_nothing()
    {
        var (a, b, c) = (Numeric.Random(65 * 48, 1), Numeric.Random(48 * 70, 2), new float[65 * 70]);
        Numeric.AllocatesNothing(() => Gemm.Multiply(65, 70, 48, new(a, 48), new(b, 70), c, 70));
        Numeric.AllocatesNothing(() => PackedProduct.Multiply(65, 70, 48, new(a, 48), new(b, 70), c, 70, 1, 0));
    }

    private static void Ours(int m, int n, int k, MatrixView a, MatrixView b, Span<float> c, int stride, float alpha, float beta) =>
        PackedProduct.Multiply(m, n, k, a, b, c, stride, alpha, beta);

    private delegate void Multiply(int m, int n, int k, MatrixView a, MatrixView b, Span<float> c, int stride, float alpha, float beta);

    private static void Case(int m, int n, int k, bool transposeA, bool transposeB, float beta, Multiply multiply)
    {
        var (strideA, strideB, stride) = ((transposeA ? m : k) + 3, (transposeB ? k : n) + 1, n + 2);
        var a = Numeric.Random((transposeA ? k : m) * strideA, 1);
        var b = Numeric.Random((transposeB ? n : k) * strideB, 2);
        var c = Numeric.Random(m * stride, 3);
        var expected = Numeric.Double(c);
        var product = Product(m, n, k, Numeric.Double(a), strideA, transposeA, Numeric.Double(b), strideB, transposeB);
        for (var i = 0; i < m; i++)
        {
            for (var j = 0; j < n; j++)
                expected[(i * stride) + j] = (0.75 * product[(i * n) + j]) + (beta * expected[(i * stride) + j]);
        }
        multiply(m, n, k, new(a, strideA, transposeA), new(b, strideB, transposeB), c, stride, 0.75f, beta);
        Numeric.Close(c, expected, 1e-5, $"{m}×{n}×{k}");
    }

    private static double[] Product(int m, int n, int k, double[] a, int strideA, bool transposeA, double[] b, int strideB, bool transposeB)
    {
        var c = new double[m * n];
        for (var i = 0; i < m; i++)
        {
            for (var j = 0; j < n; j++)
            {
                for (var l = 0; l < k; l++)
                    c[(i * n) + j] += a[transposeA ? (l * strideA) + i : (i * strideA) + l] * b[transposeB ? (j * strideB) + l : (l * strideB) + j];
            }
        }
        return c;
    }
}
