using FusionGen.Kernels;

namespace FusionGen.Runtime.Tests.Kernels;

[TestFixture]
internal sealed class SparseMixTests
{
    [Test]
    public void Products_and_gradient_are_the_references([ValueSource(typeof(Numeric), nameof(Numeric.Widths))] int lanes, [Values] bool transposed)
    {
        using var scope = Numeric.Width(lanes);
        var (samples, rows, width) = (3, 7, 13);
        var mix = Numeric.Random(rows * rows, 1).Select((value, i) => i % 5 == 1 ? value : 0).ToArray();
        var (x, y) = (Numeric.Random(samples * rows * width, 2), Numeric.Random(samples * rows * width, 3));
        double[] Reference(double[] m, double[] x) =>
            [.. Enumerable.Range(0, x.Length).Select(at => Enumerable.Range(0, rows).Sum(j =>
            {
                var (sample, row, column) = (at / (rows * width), at / width % rows, at % width);
                return m[transposed ? (row * rows) + j : (j * rows) + row] * x[(((sample * rows) + j) * width) + column];
            }))];
        var expected = Reference(Numeric.Double(mix), Numeric.Double(x)).Zip(Numeric.Double(y), (a, b) => a + b).ToArray();
        SparseMix.Multiply(rows, width, mix, transposed, x, y);
        Numeric.Close(y, expected, 1e-6);
        if (transposed)
            return;
        var (dY, dMix) = (Numeric.Random(x.Length, 4), Numeric.Random(mix.Length, 5));
        SparseMix.Backward(rows, width, mix, x, dY, dMix);
        var gradient = Numeric.Gradient(m => Numeric.Dot(Reference(m, Numeric.Double(x)), dY), mix);
        Numeric.Close(dMix, [.. gradient.Select((value, i) => mix[i] == 0 ? 0 : value)], 2e-5);
    }
}
