using FusionGen.Kernels;

namespace FusionGen.Runtime.Tests.Kernels;

[TestFixture]
internal sealed class ActivationTests
{
    [Test]
    public void Values_are_the_references([ValueSource(typeof(Numeric), nameof(Numeric.Widths))] int width, [Values] Activation kind)
    {
        using var scope = Numeric.Width(width);
        float[] x = [.. Enumerable.Range(-2003, 4007).Select(i => i * 0.004f), -80, 80, 1e-20f, -1e-20f];
        var y = new float[x.Length];
        Activations.Forward(kind, x, [], y);
        for (var i = 0; i < x.Length; i++)
        {
            var expected = Reference(kind, x[i]);
            Assert.That(y[i], Is.EqualTo(expected).Within(1e-6 * Math.Max(1, Math.Abs(expected))), $"f({x[i]})");
            // Positive arguments are a few units in the last place from the truth (which is all that a float has of f(1e-20)).
            if (x[i] > 0)
                Assert.That(y[i], Is.EqualTo(expected).Within(4e-7 * Math.Abs(expected)), $"f({x[i]})");
        }
    }

    [Test]
    public void Gradients_are_the_references(
        [ValueSource(typeof(Numeric), nameof(Numeric.Widths))] int width, [Values] Activation kind, [Values] bool bias, [Values] bool accumulate)
    {
        using var scope = Numeric.Width(width);
        const int Rows = 7, D = 19;
        var (x, dY, before) = (Numeric.Random(Rows * D, 1, 4), Numeric.Random(Rows * D, 2), Numeric.Random(Rows * D, 3));
        float[] row = bias ? Numeric.Random(D, 4) : [];
        var dX = (float[])before.Clone();
        Activations.Backward(kind, x, row, dY, dX, accumulate);
        double Loss(double[] values) => values.Select((value, i) => dY[i] * Reference(kind, value + (bias ? row[i % D] : 0))).Sum();
        var expected = Numeric.Gradient(Loss, x, 1e-5);
        Numeric.Close(dX, accumulate ? [.. expected.Zip(before, (a, b) => a + b)] : expected, 1e-5);

        var y = (float[])x.Clone();
        Activations.Forward(kind, y, row, y);
        Numeric.Close(y, [.. x.Select((value, i) => Reference(kind, (double)value + (bias ? row[i % D] : 0)))], 1e-6);
    }

    [Test]
    public void What_is_not_a_number_stays_so([ValueSource(typeof(Numeric), nameof(Numeric.Widths))] int width, [Values] Activation kind)
    {
        using var scope = Numeric.Width(width);
        var y = new float[17];
        Activations.Forward(kind, [.. Enumerable.Repeat(float.NaN, 17)], [], y);
        Assert.That(y, Is.All.NaN);
    }

    [Test]
    public void The_exponential_is_within_units_in_the_last_place([ValueSource(typeof(Numeric), nameof(Numeric.Widths))] int width)
    {
        using var scope = Numeric.Width(width);
        float[] x = [.. Enumerable.Range(-8650, 17522).Select(i => i * 0.01f), 88.7228f];
        var y = new float[x.Length];
        Loops.Map(default(Exponential), x, y);
        for (var i = 0; i < x.Length; i++)
            Assert.That(y[i], Is.EqualTo(Math.Exp(x[i])).Within(2e-7 * Math.Exp(x[i])), $"exp({x[i]})");
        Loops.Map(default(ExponentialUpToZero), x, y);
        for (var i = 0; x[i] <= 0; i++)
            Assert.That(y[i], Is.EqualTo(Math.Exp(x[i])).Within(2e-7 * Math.Exp(x[i])), $"exp({x[i]})");
        var far = new float[3];
        Loops.Map(default(ExponentialUpToZero), new float[] { float.NegativeInfinity, -1000, float.NaN }, far);
        Assert.That(far, Is.EqualTo(new[] { 0, 0, float.NaN }));
        var edges = new float[4];
        Loops.Map(default(Exponential), new float[] { float.NegativeInfinity, -1000, 89, float.PositiveInfinity }, edges);
        Assert.That(edges, Is.EqualTo(new[] { 0, 0, float.PositiveInfinity, float.PositiveInfinity }));
    }

    [Test]
    public void Allocates_nothing([Values] Activation kind)
    {
        var (x, bias, y) = (Numeric.Random(57, 1), Numeric.Random(19, 2), new float[57]);
        Numeric.AllocatesNothing(() =>
        {
            Activations.Forward(kind, x, bias, y);
            Activations.Backward(kind, x, [], y, y);
        });
    }

    [Test]
    public void A_wrong_buffer_is_named()
    {
        Assert.That(() => Activations.Forward(Activation.Relu, new float[6], [], new float[7]), Throws.ArgumentException.With.Property("ParamName").EqualTo("x"));
        Assert.That(() => Activations.Forward(Activation.Relu, new float[6], new float[4], new float[6]), Throws.ArgumentException);
        Assert.That(() => Activations.Backward(Activation.Relu, new float[6], [], new float[3], new float[6]), Throws.ArgumentException.With.Property("ParamName").EqualTo("dY"));
    }

    private static double Reference(Activation kind, double x) => kind switch
    {
        Activation.Gelu => x * Normal(x),
        Activation.Silu => x / (1 + Math.Exp(-x)),
        Activation.Relu => Math.Max(x, 0),
        _ => 1 / (1 + Math.Exp(-x)),
    };

    // Φ, by its series for small |x| and its continued fraction for large.
    private static double Normal(double x)
    {
        var (magnitude, density) = (Math.Abs(x), Math.Exp(-x * x / 2) / Math.Sqrt(2 * Math.PI));
        if (magnitude < 4)
        {
            double term = x, sum = x;
            for (var i = 3; i < 200; i += 2)
                sum += term *= x * x / i;
            return 0.5 + (density * sum);
        }
        var fraction = magnitude;
        for (var i = 200; i > 0; i--)
            fraction = magnitude + (i / fraction);
        return x < 0 ? density / fraction : 1 - (density / fraction);
    }

    private readonly struct ExponentialUpToZero : IFunction
    {
        public V Of<V>(V x, V y, V z)
            where V : struct, ILane<V> => VectorMath.ExpUpToZero(x);
    }

    private readonly struct Exponential : IFunction
    {
        public V Of<V>(V x, V y, V z)
            where V : struct, ILane<V> => VectorMath.Exp(x);
    }
}
