using System.Diagnostics;
using System.Text.Json;

namespace FusionGen.Benchmarks;

/// <summary>A row of the table. Seconds are medians of single steps, ratios medians of pairs of neighbouring steps.</summary>
/// <param name="Workload">The size.</param>
/// <param name="Order">How α's gradient is taken.</param>
/// <param name="Rival">Who else.</param>
/// <param name="Ours">Our seconds.</param>
/// <param name="Theirs">Theirs.</param>
/// <param name="Ratios">Ours / theirs, sorted.</param>
/// <param name="Work">Ours / theirs in seconds that all threads worked: hardly moved by what else runs on the machine.</param>
/// <param name="LogitsError">Largest |difference| of logits.</param>
/// <param name="GradientError">Largest |difference| of α's gradient, relative to its largest entry.</param>
internal sealed record Row(
    string Workload, string Order, string Rival, double Ours, double Theirs, IReadOnlyList<double> Ratios, double Work, double LogitsError, double GradientError)
{
    /// <summary>The middle ratio.</summary>
    public double Ratio => Comparison.Median(this.Ratios);
}

/// <summary>The same steps by us and by PyTorch, in turn, from the same parameters on the same batches.</summary>
internal static class Comparison
{
    /// <summary>Relative error of α's gradient up to which the two count as the same computation.</summary>
    public const double GradientTolerance = 1e-3;

    private const double LogitsTolerance = 1e-3;
    private const int FewestPairs = 3;

    /// <summary>Measures one size and order.</summary>
    /// <param name="workload">The size.</param>
    /// <param name="order">The order.</param>
    /// <param name="threads">Threads of both.</param>
    /// <param name="pairs">Pairs to measure; 0 for as many as fit into the time, but at least three.</param>
    /// <param name="budget">The time of the pairs.</param>
    /// <param name="python">An interpreter that can import torch.</param>
    /// <param name="asInstalled">Whether to measure PyTorch as installed, too.</param>
    /// <exception cref="FusionException">The two do not compute the same.</exception>
    public static IEnumerable<Row> Run(Workload workload, string order, int threads, int pairs, TimeSpan budget, string python, bool asInstalled)
    {
        var path = Path.Combine(Path.GetTempPath(), $"fusiongen-bench-{Environment.ProcessId}.safetensors");
        try
        {
            using var ours = Contender.Ours(workload, order, threads, path);
            using var tuned = Contender.Tuned(python, path, threads);
            var (logits, gradient) = Agree(ours, tuned, $"{workload.Title}, {order}");
            yield return Measure(workload, order, $"PyTorch {tuned.Torch}", ours, tuned, pairs, budget, logits, gradient);
            if (!asInstalled)
                yield break;
            using var installed = Contender.AsInstalled(python, path);
            yield return Measure(workload, order, $"as installed ({installed.Threads} threads)", ours, installed, Math.Min(pairs == 0 ? FewestPairs : pairs, 2 * FewestPairs), budget, logits, gradient);
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>The middle of values, or the mean of the two middle ones.</summary>
    public static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private static Row Measure(Workload workload, string order, string rival, Contender ours, Contender theirs, int pairs, TimeSpan budget, double logits, double gradient)
    {
        ours.Step();
        theirs.Step();
        var steps = new List<(double Ours, double Theirs, double OurWork, double TheirWork)>();
        var watch = Stopwatch.StartNew();
        while (pairs == 0 ? steps.Count < FewestPairs || watch.Elapsed < budget : steps.Count < pairs)
        {
            var (mine, yours) = (ours.Step(), theirs.Step());
            steps.Add((mine.Seconds, yours.Seconds, mine.Work, yours.Work));
        }
        return new Row(
            workload.Title,
            order,
            rival,
            Median(steps.Select(step => step.Ours)),
            Median(steps.Select(step => step.Theirs)),
            [.. steps.Select(step => step.Ours / step.Theirs).Order()],
            Median(steps.Select(step => step.OurWork / step.TheirWork)),
            logits,
            gradient);
    }

    /// <summary>One step each from the same start: logits before it, α's gradient in it.</summary>
    private static (double Logits, double Gradient) Agree(Contender ours, Contender theirs, string what)
    {
        var (mine, yours) = (ours.Ask("trace"), theirs.Ask("trace"));
        var (logits, _) = Difference(mine, yours, "logits");
        var (gradient, largest) = Difference(mine, yours, "gradient");
        if (logits > LogitsTolerance || gradient > GradientTolerance * largest)
            throw new FusionException($"{what}: not the same computation: logits differ by {logits:g3}, α's gradient by {gradient:g3} of {largest:g3}", ExitCode.Internal);
        return (logits, gradient / largest);
    }

    private static (double Difference, double Largest) Difference(JsonElement mine, JsonElement yours, string field)
    {
        static double[] Numbers(JsonElement answer, string field) => [.. answer.GetProperty(field).EnumerateArray().Select(number => number.GetDouble())];
        var (a, b) = (Numbers(mine, field), Numbers(yours, field));
        return a.Length == b.Length && a.Length > 0
            ? (a.Zip(b, (x, y) => Math.Abs(x - y)).Max(), b.Max(Math.Abs))
            : throw new FusionException($"{field}: {a.Length} numbers here, {b.Length} there", ExitCode.Internal);
    }
}
