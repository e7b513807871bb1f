namespace FusionGen.Data;

/// <summary>
/// Resizing to the bit as Pillow does it (<c>Image.resize</c>, which torchvision's transforms call): a filter as wide as the pixels that an
/// output pixel covers (antialias), taps outside the image dropped and the rest renormalised, columns first and rows second, each pass
/// in fixed point with 22 bits and rounded to 8.
/// </summary>
public sealed class Resampling
{
    private const int PrecisionBits = 32 - 8 - 2;
    private readonly double support;
    private readonly Func<double, double> filter;

    private Resampling(double support, Func<double, double> filter)
    {
        this.support = support;
        this.filter = filter;
    }

    /// <summary>Linear interpolation.</summary>
    public static Resampling Bilinear { get; } = new(1, x => Math.Abs(x) < 1 ? 1 - Math.Abs(x) : 0);

    /// <summary>Cubic convolution with a = -0.5 (Keys 1981).</summary>
    public static Resampling Bicubic { get; } = new(2, Cubic);

    /// <summary>The picture at another size.</summary>
    public Picture Resize(Picture source, int width, int height)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(height);
        if (width != source.Width)
            source = Columns(source, this.Taps(source.Width, width));
        if (height != source.Height)
            source = Rows(source, this.Taps(source.Height, height));
        return source;
    }

    /// <summary>
    /// <c>tf.image.resize</c> as VPT prepares VTAB: bilinear between the two nearest rows and columns, pixel centres at one half, no antialias,
    /// not rounded. Result (3, size, size) in [0, 255].
    /// </summary>
    public static void Squash(Picture source, int size, Span<float> channels)
    {
        ArgumentNullException.ThrowIfNull(source);
        var columns = Neighbours(source.Width, size);
        var rows = Neighbours(source.Height, size);
        var pixels = source.Pixels;
        for (var y = 0; y < size; y++)
        {
            var (top, bottom, v) = rows[y];
            for (var x = 0; x < size; x++)
            {
                var (left, right, u) = columns[x];
                for (var channel = 0; channel < 3; channel++)
                {
                    float At(int row, int column) => pixels[(((row * source.Width) + column) * 3) + channel];
                    var above = At(top, left) + ((At(top, right) - At(top, left)) * u);
                    var below = At(bottom, left) + ((At(bottom, right) - At(bottom, left)) * u);
                    channels[(((channel * size) + y) * size) + x] = above + ((below - above) * v);
                }
            }
        }
    }

    private static (int Lower, int Upper, float Fraction)[] Neighbours(int length, int size)
    {
        var neighbours = new (int, int, float)[size];
        var scale = length / (float)size;
        for (var i = 0; i < size; i++)
        {
            var position = ((i + 0.5f) * scale) - 0.5f;
            var floor = MathF.Floor(position);
            neighbours[i] = (Math.Max((int)floor, 0), Math.Min((int)MathF.Ceiling(position), length - 1), position - floor);
        }
        return neighbours;
    }

    private static double Cubic(double x)
    {
        const double a = -0.5;
        x = Math.Abs(x);
        return x < 1
            ? (((((a + 2) * x) - (a + 3)) * x * x) + 1)
            : x < 2 ? ((((((x - 5) * x) + 8) * x) - 4) * a) : 0;
    }

    private static Picture Columns(Picture source, Tap[] taps)
    {
        var pixels = new byte[taps.Length * source.Height * 3];
        for (var y = 0; y < source.Height; y++)
        {
            var row = source.Pixels.AsSpan(y * source.Width * 3, source.Width * 3);
            var target = pixels.AsSpan(y * taps.Length * 3, taps.Length * 3);
            for (var x = 0; x < taps.Length; x++)
            {
                var tap = taps[x];
                var (red, green, blue) = (1 << (PrecisionBits - 1), 1 << (PrecisionBits - 1), 1 << (PrecisionBits - 1));
                var at = tap.First * 3;
                foreach (var weight in tap.Weights)
                {
                    red += row[at] * weight;
                    green += row[at + 1] * weight;
                    blue += row[at + 2] * weight;
                    at += 3;
                }
                target[3 * x] = Clip(red);
                target[(3 * x) + 1] = Clip(green);
                target[(3 * x) + 2] = Clip(blue);
            }
        }
        return new Picture(taps.Length, source.Height, pixels);
    }

    private static Picture Rows(Picture source, Tap[] taps)
    {
        var stride = source.Width * 3;
        var pixels = new byte[taps.Length * stride];
        var sums = new int[stride];
        for (var y = 0; y < taps.Length; y++)
        {
            var tap = taps[y];
            Array.Fill(sums, 1 << (PrecisionBits - 1));
            for (var i = 0; i < tap.Weights.Length; i++)
            {
                var weight = tap.Weights[i];
                var row = source.Pixels.AsSpan((tap.First + i) * stride, stride);
                for (var x = 0; x < row.Length; x++)
                    sums[x] += row[x] * weight;
            }
            var target = pixels.AsSpan(y * stride, stride);
            for (var x = 0; x < target.Length; x++)
                target[x] = Clip(sums[x]);
        }
        return new Picture(source.Width, taps.Length, pixels);
    }

    private static byte Clip(int sum) => (byte)Math.Clamp(sum >> PrecisionBits, 0, 255);

    private Tap[] Taps(int length, int size)
    {
        var scale = (double)length / size;
        var stretch = Math.Max(scale, 1);
        var reach = this.support * stretch;
        var taps = new Tap[size];
        for (var i = 0; i < size; i++)
        {
            var centre = (i + 0.5) * scale;
            var first = Math.Max((int)(centre - reach + 0.5), 0);
            var end = Math.Min((int)(centre + reach + 0.5), length);
            var weights = new double[end - first];
            var total = 0.0;
            for (var j = 0; j < weights.Length; j++)
                total += weights[j] = this.filter((j + first - centre + 0.5) * (1 / stretch));
            var rounded = new int[weights.Length];
            for (var j = 0; j < weights.Length; j++)
            {
                var weight = (total == 0 ? weights[j] : weights[j] * (1 / total)) * (1 << PrecisionBits);
                rounded[j] = (int)(weight < 0 ? weight - 0.5 : weight + 0.5);
            }
            taps[i] = new Tap(first, rounded);
        }
        return taps;
    }

    /// <summary>Weights of the source pixels from <paramref name="First"/> on, times 2²².</summary>
    private readonly record struct Tap(int First, int[] Weights);
}
