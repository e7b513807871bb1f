namespace FusionGen.Weights;

/// <summary>
/// How a position embedding made for one grid of patches becomes one for another: a published rule, by name. All of them act on rows and columns alike and keep the
/// class token's row.
/// </summary>
public sealed class PositionRule
{
    private readonly Func<int, int, double[]>? matrix;

    private PositionRule(string name, string description, Func<int, int, double[]>? matrix)
    {
        this.Name = name;
        this.Description = description;
        this.matrix = matrix;
    }

    /// <summary>Every rule.</summary>
    public static IReadOnlyList<PositionRule> All { get; } =
    [
        new("timm", "bicubic with antialiasing (a = -0.5), as timm's state dicts", (from, to) => Cubic(from, to, -0.5, antialias: true)),
        new("timm-npz", "bilinear without antialiasing, as timm's npz reader", Bilinear),
        new("vpt", "linear between corners (scipy's zoom), as Google and VPT", Zoom),
        new("mae", "bicubic without antialiasing (a = -0.75), as MAE", (from, to) => Cubic(from, to, -0.75, antialias: false)),
        new("sin-cos", "computed anew: the fixed sine and cosine table of MAE and MoCo v3", null),
    ];

    /// <summary>Its name.</summary>
    public string Name { get; }

    /// <summary>What it does, and who does it.</summary>
    public string Description { get; }

    /// <summary>The rule of that name.</summary>
    /// <exception cref="FusionException">There is none.</exception>
    public static PositionRule Of(string name) => All.FirstOrDefault(rule => rule.Name == name)
        ?? throw new FusionException($"there is no rule '{name}' for position embeddings; known are {string.Join(", ", All.Select(rule => rule.Name))}", ExitCode.Spec);

    /// <summary>Resamples an embedding (1 + from², width) to (1 + to², width).</summary>
    public void Apply(ReadOnlySpan<float> source, int from, Span<float> target, int to, int width)
    {
        if (source.Length != (1 + (from * from)) * width || target.Length != (1 + (to * to)) * width)
            throw new ArgumentException("the embedding has another size than its grid");
        if (this.matrix is null)
        {
            SinCos(target, to, width);
            return;
        }
        source[..width].CopyTo(target);
        var weights = this.matrix(from, to);
        // Columns first: (from, from) -> (from, to), then rows.
        var half = new double[from * to * width];
        for (var row = 0; row < from; row++)
        {
            for (var column = 0; column < to; column++)
            {
                var sum = half.AsSpan(((row * to) + column) * width, width);
                for (var tap = 0; tap < from; tap++)
                    Accumulate(sum, weights[(column * from) + tap], source.Slice((1 + (row * from) + tap) * width, width));
            }
        }
        var line = new double[width];
        for (var row = 0; row < to; row++)
        {
            for (var column = 0; column < to; column++)
            {
                line.AsSpan().Clear();
                for (var tap = 0; tap < from; tap++)
                {
                    var weight = weights[(row * from) + tap];
                    for (var i = 0; i < width && weight != 0; i++)
                        line[i] += weight * half[(((tap * to) + column) * width) + i];
                }
                for (var i = 0; i < width; i++)
                    target[((1 + (row * to) + column) * width) + i] = (float)line[i];
            }
        }
    }

    private static void Accumulate(Span<double> sum, double weight, ReadOnlySpan<float> values)
    {
        for (var i = 0; i < sum.Length && weight != 0; i++)
            sum[i] += weight * values[i];
    }

    private static double[] Zoom(int from, int to)
    {
        var weights = new double[to * from];
        for (var i = 0; i < to; i++)
            Linear(weights.AsSpan(i * from, from), to == 1 ? 0 : i * (double)(from - 1) / (to - 1));
        return weights;
    }

    private static double[] Bilinear(int from, int to)
    {
        var weights = new double[to * from];
        for (var i = 0; i < to; i++)
            Linear(weights.AsSpan(i * from, from), Math.Max(0, ((i + 0.5) * from / to) - 0.5));
        return weights;
    }

    private static void Linear(Span<double> row, double at)
    {
        var low = Math.Min((int)at, row.Length - 1);
        row[low] += 1 - (at - low);
        row[Math.Min(low + 1, row.Length - 1)] += at - low;
    }

    /// <summary>Without antialiasing taps outside are those at the border; with it they are left out, the rest is scaled to one and the kernel stretched when shrinking.</summary>
    private static double[] Cubic(int from, int to, double a, bool antialias)
    {
        var weights = new double[to * from];
        var scale = (double)from / to;
        var stretch = antialias ? Math.Max(scale, 1) : 1;
        for (var i = 0; i < to; i++)
        {
            var row = weights.AsSpan(i * from, from);
            var center = (scale * (i + 0.5)) - 0.5;
            var total = 0.0;
            for (var tap = (int)Math.Floor(center - (2 * stretch)); tap <= center + (2 * stretch); tap++)
            {
                var weight = Kernel((tap - center) / stretch, a);
                if (antialias && (tap < 0 || tap >= from))
                    continue;
                row[Math.Clamp(tap, 0, from - 1)] += weight;
                total += weight;
            }
            for (var tap = 0; tap < from && antialias; tap++)
                row[tap] /= total;
        }
        return weights;
    }

    private static double Kernel(double x, double a) => Math.Abs(x) switch
    {
        <= 1 and var t => ((((a + 2) * t) - (a + 3)) * t * t) + 1,
        < 2 and var t => a * ((((t - 5) * t) + 8) * t - 4),
        _ => 0,
    };

    /// <summary>Half of the channels tell the column, half the row, each by sines and then cosines of wavelengths up to 10,000·2π; zero for the class token.</summary>
    private static void SinCos(Span<float> target, int side, int width)
    {
        if (width % 4 != 0)
            throw new FusionException($"a sine and cosine table needs a width that four divides, not {width}", ExitCode.Data);
        var quarter = width / 4;
        target[..width].Clear();
        for (var place = 0; place < side * side; place++)
        {
            var row = target.Slice((1 + place) * width, width);
            for (var i = 0; i < quarter; i++)
            {
                var frequency = 1 / Math.Pow(10000, (double)i / quarter);
                var (column, line) = (place % side * frequency, place / side * frequency);
                (row[i], row[quarter + i]) = ((float)Math.Sin(column), (float)Math.Cos(column));
                (row[(2 * quarter) + i], row[(3 * quarter) + i]) = ((float)Math.Sin(line), (float)Math.Cos(line));
            }
        }
    }
}
