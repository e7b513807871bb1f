using FusionGen.Kernels;

namespace FusionGen.Runtime.Tests.Kernels;

[TestFixture]
internal sealed class PatchEmbedTests
{
    private const int Channels = 3;
    private const int Size = 12;
    private const int Patch = 4;
    private const int Width = 5;
    private const int Entries = Channels * Patch * Patch;

    [Test]
    public void Rows_times_the_weight_are_the_convolution([Values(1, 3)] int samples)
    {
        var images = Numeric.Random(samples * Channels * Size * Size, 1);
        var weight = Numeric.Random(Width * Entries, 2);
        var count = samples * 9;
        var rows = new float[images.Length];
        PatchEmbed.Gather(images, Channels, Size, Patch, rows);
        var y = new float[count * Width];
        Gemm.Multiply(count, Width, Entries, new(rows, Entries), new(weight, Entries, transposed: true), y, Width);
        Numeric.Close(y, Convolution(images, Numeric.Double(weight)), 2e-6);
    }

    [Test]
    public void Sizes_that_do_not_fit_are_errors()
    {
        Assert.That(() => PatchEmbed.Gather(new float[75], 3, 5, 2, new float[75]), Throws.ArgumentException);
        Assert.That(() => PatchEmbed.Gather(new float[48], 3, 4, 2, new float[47]), Throws.ArgumentException.With.Property("ParamName").EqualTo("rows"));
    }

    [Test]
    public void Allocates_nothing()
    {
        var (images, rows) = (new float[432], new float[432]);
        Numeric.AllocatesNothing(() => PatchEmbed.Gather(images, Channels, Size, Patch, rows));
    }

    private static double[] Convolution(float[] images, double[] weight)
    {
        const int Grid = Size / Patch;
        var y = new double[images.Length / Entries * Width];
        for (var i = 0; i < y.Length; i++)
        {
            var (sample, top, left, output) = (i / (Grid * Grid * Width), i / (Grid * Width) % Grid, i / Width % Grid, i % Width);
            for (var channel = 0; channel < Channels; channel++)
            {
                for (var place = 0; place < Patch * Patch; place++)
                {
                    var (row, column) = ((top * Patch) + (place / Patch), (left * Patch) + (place % Patch));
                    y[i] += images[(((((sample * Channels) + channel) * Size) + row) * Size) + column] * weight[(((output * Channels) + channel) * Patch * Patch) + place];
                }
            }
        }
        return y;
    }
}
