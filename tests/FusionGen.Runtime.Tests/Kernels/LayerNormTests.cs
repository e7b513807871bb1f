using FusionGen.Kernels;

namespace FusionGen.Runtime.Tests.Kernels;

[TestFixture]
internal sealed class LayerNormTests
{
    private const float Epsilon = 1e-6f;

    [Test]
    public void Rows_and_gradients_are_the_references(
        [ValueSource(typeof(Numeric), nameof(Numeric.Widths))] int width, [Values(1, 48, 75)] int d, [Values] bool affine, [Values] bool accumulate)
    {
        using var scope = Numeric.Width(width);
        const int Rows = 5;
        // Far from 0, where a variance by E[x²] − E[x]² would be lost.
        var x = Numeric.Random(Rows * d, 1).Select(value => value + 20).ToArray();
        float[] gamma = affine ? Numeric.Random(d, 2) : [];
        float[] beta = affine ? Numeric.Random(d, 3) : [];
        var dY = Numeric.Random(Rows * d, 4);
        var (y, mean, rstd) = (new float[Rows * d], new float[Rows], new float[Rows]);
        LayerNorm.Forward(Rows, x, gamma, beta, Epsilon, y, mean, rstd);
        Numeric.Close(y, Reference(Numeric.Double(x), d, Numeric.Double(gamma), Numeric.Double(beta)), d == 1 ? 0 : 2e-5, "y");

        if (d == 1)
            return;
        var before = Numeric.Random(Rows * d, 5);
        var dX = (float[])before.Clone();
        LayerNorm.Backward(Rows, x, mean, rstd, gamma, dY, dX, accumulate);
        var expected = Numeric.Gradient(values => Numeric.Dot(Reference(values, d, Numeric.Double(gamma), Numeric.Double(beta)), dY), x);
        if (accumulate)
            expected = [.. expected.Zip(before, (a, b) => a + b)];
        Numeric.Close(dX, expected, 5e-5, "dX");

        var normalised = new float[Rows * d];
        LayerNorm.Forward(Rows, x, [], [], Epsilon, normalised, mean, rstd);
        var again = (float[])before.Clone();
        LayerNorm.Backward(Rows, normalised, [], rstd, gamma, dY, again, accumulate);
        Numeric.Close(again, expected, 5e-5, "dX from normalised rows");

        if (!affine)
            return;
        var (dGamma, dBeta) = (Numeric.Random(d, 6), Numeric.Random(d, 7));
        var (expectedGamma, expectedBeta) = (Numeric.Double(dGamma), Numeric.Double(dBeta));
        LayerNorm.BackwardParameters(Rows, x, mean, rstd, dY, dGamma, dBeta);
        var byGamma = Numeric.Gradient(values => Numeric.Dot(Reference(Numeric.Double(x), d, values, Numeric.Double(beta)), dY), gamma);
        var byBeta = Numeric.Gradient(values => Numeric.Dot(Reference(Numeric.Double(x), d, Numeric.Double(gamma), values), dY), beta);
        Numeric.Close(dGamma, [.. expectedGamma.Zip(byGamma, (a, b) => a + b)], 2e-5, "dGamma");
        Numeric.Close(dBeta, [.. expectedBeta.Zip(byBeta, (a, b) => a + b)], 2e-5, "dBeta");
    }

    [Test]
    public void Works_in_place_and_allocates_nothing()
    {
        var x = Numeric.Random(3 * 48, 1);
        var (y, mean, rstd, dGamma) = (new float[3 * 48], new float[3], new float[3], new float[48]);
        LayerNorm.Forward(3, x, [], [], Epsilon, y, mean, rstd);
        var inPlace = (float[])x.Clone();
        LayerNorm.Forward(3, inPlace, [], [], Epsilon, inPlace, mean, rstd);
        Assert.That(inPlace, Is.EqualTo(y));
        Numeric.AllocatesNothing(() =>
        {
            LayerNorm.Forward(3, x, [], [], Epsilon, y, mean, rstd);
            LayerNorm.Backward(3, x, mean, rstd, [], y, y);
            LayerNorm.BackwardParameters(3, x, mean, rstd, y, dGamma, []);
        });
    }

    [Test]
    public void A_wrong_buffer_is_named() => Assert.That(
        () => LayerNorm.Forward(3, new float[12], new float[5], [], Epsilon, new float[12], new float[3], new float[3]),
        Throws.ArgumentException.With.Property("ParamName").EqualTo("gamma"));

    private static double[] Reference(double[] x, int d, double[] gamma, double[] beta)
    {
        var y = new double[x.Length];
        for (var start = 0; start < x.Length; start += d)
        {
            var row = x[start..(start + d)];
            var mean = row.Average();
            var deviation = Math.Sqrt(row.Average(value => (value - mean) * (value - mean)) + Epsilon);
            for (var i = 0; i < d; i++)
                y[start + i] = ((row[i] - mean) / deviation * (gamma.Length == 0 ? 1 : gamma[i])) + (beta.Length == 0 ? 0 : beta[i]);
        }
        return y;
    }
}
