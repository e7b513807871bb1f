using FusionGen.Kernels;

namespace FusionGen.Runtime.Tests.Kernels;

[TestFixture]
internal sealed class SoftmaxTests
{
    [Test]
    public void Rows_and_their_gradient([ValueSource(typeof(Numeric), nameof(Numeric.Widths))] int width, [Values(1, 5, 65)] int n, [Values] bool accumulate)
    {
        using var scope = Numeric.Width(width);
        const int Rows = 3;
        var (x, dY, before) = (Numeric.Random(Rows * n, 1, 6), Numeric.Random(Rows * n, 2), Numeric.Random(Rows * n, 3));
        double[] Reference(double[] values) => [.. Enumerable.Range(0, Rows).SelectMany(row => Of(values[(row * n)..((row + 1) * n)]))];
        var y = new float[Rows * n];
        Softmax.Rows(Rows, x, y);
        Numeric.Close(y, Reference(Numeric.Double(x)), 2e-6);
        var dX = (float[])before.Clone();
        Softmax.RowsBackward(Rows, y, dY, dX, accumulate);
        var expected = Numeric.Gradient(values => Numeric.Dot(Reference(values), dY), x);
        CloseOrSmall(dX, accumulate ? [.. expected.Zip(before, (a, b) => a + b)] : expected);
    }

    [Test]
    public void Columns_and_their_gradient(
        [ValueSource(typeof(Numeric), nameof(Numeric.Widths))] int width, [Values(1, 5, 21)] int n, [Values(0, 1, 4)] int top, [Values] bool accumulate)
    {
        using var scope = Numeric.Width(width);
        const int Rows = 9;
        var (x, dY, before) = (Numeric.Random(Rows * n, 1, 6), Numeric.Random(Rows * n, 2), Numeric.Random(Rows * n, 3));
        double[] Reference(double[] values)
        {
            var result = new double[values.Length];
            for (var column = 0; column < n; column++)
            {
                var entries = Enumerable.Range(0, Rows).OrderByDescending(row => values[(row * n) + column]).Take(top == 0 ? Rows : top).ToList();
                var weights = Of([.. entries.Select(row => values[(row * n) + column])]);
                for (var i = 0; i < entries.Count; i++)
                    result[(entries[i] * n) + column] = weights[i];
            }
            return result;
        }
        var y = new float[Rows * n];
        if (top == 0)
            Softmax.ColumnsForward(Rows, x, y);
        else
            Softmax.TopColumns(Rows, x, top, y);
        Numeric.Close(y, Reference(Numeric.Double(x)), 2e-6);
        var dX = (float[])before.Clone();
        Softmax.ColumnsBackward(Rows, y, dY, dX, accumulate);
        var expected = Numeric.Gradient(values => Numeric.Dot(Reference(values), dY), x, 1e-6);
        CloseOrSmall(dX, accumulate ? [.. expected.Zip(before, (a, b) => a + b)] : expected);
    }

    [Test]
    public void Of_equal_entries_the_first_count_and_what_is_not_a_number_does()
    {
        var y = new float[5];
        Softmax.TopColumns(5, [1, 2, 2, 1, 2], 2, y);
        Assert.That(y, Is.EqualTo(new[] { 0, 0.5f, 0.5f, 0, 0 }));
        Softmax.TopColumns(5, [1, 1, 3, 1, 1], 3, y);
        Assert.That(y.Select(value => value > 0), Is.EqualTo(new[] { true, true, true, false, false }));
        Softmax.TopColumns(5, [1, float.NaN, 3, 1, 1], 2, y);
        Assert.That(y[1], Is.NaN);
    }

    [Test]
    public void Far_and_infinite_logits_are_safe([ValueSource(typeof(Numeric), nameof(Numeric.Widths))] int width)
    {
        using var scope = Numeric.Width(width);
        var y = new float[3];
        Softmax.Rows(1, [1e30f, float.NegativeInfinity, 1e30f], y);
        Assert.That(y, Is.EqualTo(new[] { 0.5f, 0, 0.5f }));
        Softmax.Rows(1, [1, float.NaN, 2], y);
        Assert.That(y, Is.All.NaN);
    }

    [Test]
    public void Allocates_nothing()
    {
        var (x, y) = (Numeric.Random(9 * 21, 1), new float[9 * 21]);
        Numeric.AllocatesNothing(() =>
        {
            Softmax.Rows(9, x, y);
            Softmax.RowsBackward(9, y, x, y);
            Softmax.ColumnsForward(9, x, y);
            Softmax.TopColumns(9, x, 4, y);
            Softmax.ColumnsBackward(9, y, x, y);
        });
    }

    // The gradient of a softmax of one entry is 0, and nothing is small beside it.
    private static void CloseOrSmall(float[] actual, double[] expected)
    {
        if (expected.Max(Math.Abs) < 1e-6)
            Assert.That(actual, Is.All.EqualTo(0).Within(1e-6));
        else
            Numeric.Close(actual, expected);
    }

    private static double[] Of(double[] x)
    {
        var weights = x.Select(value => Math.Exp(value - x.Max())).ToArray();
        return [.. weights.Select(weight => weight / weights.Sum())];
    }
}
