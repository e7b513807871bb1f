using FusionGen.Kernels;

namespace FusionGen.Runtime.Tests.Kernels;

/// <summary>What tests of kernels share: widths, numbers, and gradients of float64 references by central differences.</summary>
internal static class Numeric
{
    /// <summary>The widths of lanes, each right on any machine.</summary>
    public static readonly int[] Widths = [1, 4, 8, 16];

    /// <summary>Runs the kernels with lanes of a width until it is disposed.</summary>
    public static IDisposable Width(int width)
    {
        var before = Simd.Width;
        Simd.Width = width;
        return new Restore(before);
    }

    /// <summary>Numbers in (−scale, scale), the same for the same seed.</summary>
    public static float[] Random(int count, int seed, float scale = 1)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => scale * ((2 * random.NextSingle()) - 1))];
    }

    public static double[] Double(float[] values) => [.. values.Select(value => (double)value)];

    /// <summary>The gradient of a float64 function of one buffer.</summary>
    public static double[] Gradient(Func<double[], double> function, float[] at, double step = 1e-4)
    {
        var x = Double(at);
        var gradient = new double[x.Length];
        for (var i = 0; i < x.Length; i++)
        {
            var value = x[i];
            x[i] = value + step;
            var up = function(x);
            x[i] = value - step;
            gradient[i] = (up - function(x)) / (2 * step);
            x[i] = value;
        }
        return gradient;
    }

    public static double Dot(double[] x, float[] y) => x.Zip(y, (a, b) => a * b).Sum();

    /// <summary>Asserts that two buffers agree within a tolerance relative to the largest number expected.</summary>
    public static void Close(ReadOnlySpan<float> actual, double[] expected, double tolerance = 2e-5, string what = "")
    {
        Assert.That(actual.Length, Is.EqualTo(expected.Length), what);
        var largest = expected.Max(Math.Abs);
        for (var i = 0; i < expected.Length; i++)
        {
            if (!(Math.Abs(actual[i] - expected[i]) <= tolerance * largest))
                Assert.Fail($"{what}[{i}] is {actual[i]:R}, not {expected[i]:R}; the largest is {largest:R}");
        }
    }

    /// <summary>Asserts that a call, once warm, allocates nothing on the managed heap.</summary>
    public static void AllocatesNothing(Action action)
    {
        for (var i = 0; i < 3; i++)
            action();
        var before = GC.GetAllocatedBytesForCurrentThread();
        action();
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }

    private sealed class Restore(int width) : IDisposable
    {
        public void Dispose() => Simd.Width = width;
    }
}
