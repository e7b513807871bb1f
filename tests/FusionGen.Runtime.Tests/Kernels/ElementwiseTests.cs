using FusionGen.Kernels;

namespace FusionGen.Runtime.Tests.Kernels;

/// <summary>Shapes are (b, T, d); operands are of that shape, (T, d), (d), or a single number.</summary>
[TestFixture]
internal sealed class ElementwiseTests
{
    private const int B = 3;
    private const int T = 5;
    private const int D = 19;

    private static readonly int[] Lengths = [B * T * D, T * D, D, 1];

    [Test]
    public void Operands_repeat(
        [ValueSource(typeof(Numeric), nameof(Numeric.Widths))] int width,
        [ValueSource(nameof(Lengths))] int yLength,
        [ValueSource(nameof(Lengths))] int zLength,
        [Values] bool accumulate)
    {
        using var scope = Numeric.Width(width);
        var (x, y, z) = (Numeric.Random(B * T * D, 1), Numeric.Random(yLength, 2), Numeric.Random(zLength, 3));
        var before = Numeric.Random(x.Length, 4);
        void Case(string what, Action<float[]> kernel, Func<double, double, double, double> reference)
        {
            var target = (float[])before.Clone();
            kernel(target);
            Numeric.Close(target, [.. x.Select((value, i) => reference(value, y[i % yLength], z[i % zLength]) + (accumulate ? before[i] : 0))], 1e-6, what);
        }
        Case("add", target => Elementwise.Add(x, y, target, accumulate), (a, b, _) => a + b);
        Case("multiply", target => Elementwise.Multiply(x, y, target, accumulate), (a, b, _) => a * b);
        Case("multiply-add", target => Elementwise.MultiplyAdd(x, y, z, target, accumulate), (a, b, c) => (a * b) + c);
        Case("scale", target => Elementwise.Scale(x, -0.7f, target, accumulate), (a, _, _) => -0.7f * a);
        if (accumulate)
            Case("accumulate", target => Elementwise.Accumulate(y, target), (_, b, _) => b);
        else
            Case("copy", target => Elementwise.Copy(y, target), (_, b, _) => b);
    }

    [Test]
    public void Gradients_are_sums(
        [ValueSource(typeof(Numeric), nameof(Numeric.Widths))] int width, [ValueSource(nameof(Lengths))] int length, [ValueSource(nameof(Lengths))] int yLength)
    {
        using var scope = Numeric.Width(width);
        var (x, y, before) = (Numeric.Random(B * T * D, 1), Numeric.Random(yLength, 2), Numeric.Random(length, 3));
        var (sum, product) = (Numeric.Double(before), Numeric.Double(before));
        for (var i = 0; i < x.Length; i++)
        {
            sum[i % length] += x[i];
            product[i % length] += (double)x[i] * y[i % yLength];
        }
        var target = (float[])before.Clone();
        Elementwise.SumInto(x, target);
        Numeric.Close(target, sum, 2e-5, "sum");
        target = (float[])before.Clone();
        Elementwise.SumProductInto(x, y, target);
        Numeric.Close(target, product, 2e-5, "sum of products");
    }

    [Test]
    public void A_long_sum_keeps_its_small_terms()
    {
        var x = new float[1 << 22];
        Array.Fill(x, 0.1f);
        var sum = new float[1];
        Elementwise.SumInto(x, sum);
        Assert.That(sum[0], Is.EqualTo(x.Length * (double)0.1f).Within(1e-6 * x.Length * 0.1));
        Assert.That(Elementwise.Dot(x, x), Is.EqualTo(x.Length * (double)0.1f * 0.1f).Within(1e-6 * x.Length * 0.01));
    }

    [Test]
    public void A_target_may_be_an_operand()
    {
        float[] x = [1, 2, 3, 4];
        Elementwise.Multiply(x, x, x);
        Elementwise.Add(x, [1, -1], x);
        Assert.That(x, Is.EqualTo(new[] { 2f, 3, 10, 15 }));
    }

    [Test]
    public void A_wrong_buffer_is_named()
    {
        var (six, four) = (new float[6], new float[4]);
        Assert.Multiple(() =>
        {
            Assert.That(() => Elementwise.Add(four, six, six), Throws.ArgumentException.With.Property("ParamName").EqualTo("x"));
            Assert.That(() => Elementwise.Add(six, four, six), Throws.ArgumentException.With.Property("ParamName").EqualTo("y"));
            Assert.That(() => Elementwise.MultiplyAdd(six, six, four, six), Throws.ArgumentException.With.Property("ParamName").EqualTo("z"));
            Assert.That(() => Elementwise.SumInto(six, four), Throws.ArgumentException.With.Property("ParamName").EqualTo("target"));
            Assert.That(() => Elementwise.Copy(four, six), Throws.ArgumentException);
        });
    }

    [Test]
    public void Allocates_nothing()
    {
        var (x, row, target) = (Numeric.Random(95, 1), Numeric.Random(19, 2), new float[95]);
        Numeric.AllocatesNothing(() =>
        {
            Elementwise.MultiplyAdd(x, row, row, target);
            Elementwise.Scale(x, 2, target, accumulate: true);
            Elementwise.SumInto(x, row);
            Elementwise.SumProductInto(x, target, row.AsSpan(0, 1));
        });
    }
}
