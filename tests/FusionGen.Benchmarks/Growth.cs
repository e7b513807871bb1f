using System.Globalization;
using FusionGen.Reporting;

namespace FusionGen.Benchmarks;

/// <summary>A point of a curve.</summary>
/// <param name="Value">Images, blocks or candidates.</param>
/// <param name="Seconds">Median of its steps.</param>
/// <param name="Bytes">What the steps added to the resident memory at most.</param>
/// <param name="Planned">What the compiler said they would take.</param>
internal sealed record GrowthPoint(int Value, double Seconds, long Bytes, long Planned);

/// <summary>How the cost of a first-order search step grows along one axis.</summary>
/// <param name="Axis">What grows.</param>
/// <param name="Points">Measured.</param>
internal sealed record Growth(string Axis, IReadOnlyList<GrowthPoint> Points)
{
    private const int Steps = 9;
    private const int Batch = 16;

    // All of them shift and scale the tokens, which the mixture collapses to one pass (METHOD §6.2). The first two are a shift and a scale already; what further ones need of
    // their own is the gradient of their few parameters.
    private static readonly Candidate[] Candidates =
    [
        .. new[] { "add", "affine 4", "none", "affine 8", "affine 16", "affine 32", "affine 64", "affine 96" }.Select(name => name.Split(' ') is [var kind, var reduction]
            ? new Candidate(kind + reduction, $"{{ kind: {kind}, reduction: {reduction} }}")
            : new Candidate(name, $"{{ kind: {name} }}")),
    ];

    /// <summary>Exponent of the power law through the points' seconds.</summary>
    public double SecondsExponent => this.Exponent(point => point.Seconds);

    /// <summary>Exponent of the power law through the points' bytes.</summary>
    public double BytesExponent => this.Exponent(point => point.Bytes);

    /// <summary>Largest over smallest seconds.</summary>
    public double SecondsSpread => this.Points.Max(point => point.Seconds) / this.Points.Min(point => point.Seconds);

    /// <summary>Largest over smallest bytes.</summary>
    public double BytesSpread => (double)this.Points.Max(point => point.Bytes) / this.Points.Min(point => point.Bytes);

    /// <summary>
    /// What each planned byte beyond the first point's added to the resident memory: 1 if memory is as planned. What a process takes that runs anything at all, its code above all, is
    /// in every point alike and falls out.
    /// </summary>
    public double BytesPerPlanned => (double)(this.Points[^1].Bytes - this.Points[0].Bytes) / (this.Points[^1].Planned - this.Points[0].Planned);

    /// <summary>Measures along every axis, at ViT-Ti's width.</summary>
    /// <param name="tell">Told what is measured next.</param>
    public static IEnumerable<Growth> Run(Action<string> tell)
    {
        var shape = Shape.All.First(shape => shape.Name == "vit-ti");
        Workload Work(int batch) => new("growth", Kind.Search, shape, batch);
        yield return Along("batch", [4, 8, 16, 32, 64], Work, tell);
        yield return Along("depth", [2, 4, 8, 12, 16, 24], depth => Work(Batch) with { Depth = depth }, tell);
        yield return Along("candidates", [2, 3, 4, 5, 6, 7, 8], count => Work(Batch) with { Operators = Candidates[..count] }, tell);
    }

    /// <summary>Seconds and bytes along every axis, each relative to its largest: the diagonal is linear growth, a level line none.</summary>
    public static string Plot(IReadOnlyList<Growth> curves) => Svg.Lines(
        "cost of a search step, relative to the largest",
        "batch, depth or candidates, relative to the largest",
        [
            .. curves.SelectMany(curve => new[]
            {
                new Series($"{curve.Axis}, time", curve.Relative(point => point.Seconds)),
                new Series($"{curve.Axis}, memory", curve.Relative(point => point.Bytes)),
            }),
        ],
        width: 720,
        height: 400);

    /// <summary>All points in turn, step by step, so that a machine that is slower for a while is so for all of them.</summary>
    private static Growth Along(string axis, IReadOnlyList<int> values, Func<int, Workload> workload, Action<string> tell)
    {
        var runs = new List<Contender>();
        try
        {
            foreach (var value in values)
            {
                tell(string.Create(CultureInfo.InvariantCulture, $"{axis} {value}"));
                runs.Add(Contender.Ours(workload(value), casePath: null));
                runs[^1].Step();
            }
            var rounds = Enumerable.Range(0, Steps).Select(_ => runs.ConvertAll(run => run.Step())).ToList();
            return new Growth(axis, [.. values.Select((value, i) => new GrowthPoint(
                value, Comparison.Median(rounds.Select(round => round[i].Seconds)), rounds.Max(round => round[i].Peak) - runs[i].Resident, runs[i].Planned))]);
        }
        finally
        {
            runs.ForEach(run => run.Dispose());
        }
    }

    private List<(double X, double Y)> Relative(Func<GrowthPoint, double> cost)
    {
        var (last, most) = (this.Points[^1].Value, this.Points.Max(cost));
        return [.. this.Points.Select(point => ((double)point.Value / last, cost(point) / most))];
    }

    private double Exponent(Func<GrowthPoint, double> cost)
    {
        var points = this.Points.Select(point => (X: Math.Log(point.Value), Y: Math.Log(cost(point)))).ToList();
        var (x, y) = (points.Average(point => point.X), points.Average(point => point.Y));
        return points.Sum(point => (point.X - x) * (point.Y - y)) / points.Sum(point => (point.X - x) * (point.X - x));
    }
}
