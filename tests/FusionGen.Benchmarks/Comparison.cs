using System.Diagnostics;
using System.Text.Json;

namespace FusionGen.Benchmarks;

/// <summary>One side of a row.</summary>
/// <param name="Seconds">Median of its steps.</param>
/// <param name="Resident">Bytes resident before the first step.</param>
/// <param name="Peak">Most bytes resident in any step.</param>
/// <param name="Threads">Threads that work.</param>
internal sealed record Side(double Seconds, long Resident, long Peak, int Threads)
{
    /// <summary>What the steps added.</summary>
    public long Added => this.Peak - this.Resident;
}

/// <summary>A row of the table.</summary>
/// <param name="Workload">What was measured.</param>
/// <param name="Rival">Against whom: <c>best</c> or <c>as installed</c>.</param>
/// <param name="Run">How the rival was run.</param>
/// <param name="Ours">We.</param>
/// <param name="Theirs">They.</param>
/// <param name="Speedups">Their seconds over ours, of pairs of neighbouring steps, sorted.</param>
/// <param name="Work">Their seconds over ours, as all threads worked: hardly moved by what else runs on the machine.</param>
/// <param name="Differences">Largest |difference| of what was compared first, relative to the largest entry.</param>
/// <param name="Trials">What the rival was tried with.</param>
internal sealed record Row(
    Workload Workload, string Rival, Settings Run, Side Ours, Side Theirs, IReadOnlyList<double> Speedups, double Work,
    IReadOnlyDictionary<string, double> Differences, IReadOnlyList<Trial> Trials)
{
    /// <summary>How many times as fast we are: the middle of the pairs.</summary>
    public double Speedup => Comparison.Median(this.Speedups);

    /// <summary>Our peak memory over theirs.</summary>
    public double MemoryRatio => (double)this.Ours.Peak / this.Theirs.Peak;

    /// <summary>What our steps add over what theirs add; NaN where tracing ran a step of theirs before.</summary>
    public double AddedRatio => this.Run.Form == "eager" ? (double)this.Ours.Added / this.Theirs.Added : double.NaN;
}

/// <summary>The same steps by us and by PyTorch, in turn, from the same parameters on the same batches.</summary>
internal static class Comparison
{
    /// <summary>Relative error up to which the two count as the same computation.</summary>
    public const double Tolerance = 1e-3;

    private const double HopelesslySlow = 1.25;
    private const int Rest = 25;
    private const double LongStep = 3;

    /// <summary>Measures a piece of work.</summary>
    /// <param name="workload">The work.</param>
    /// <param name="pairs">Pairs to measure at least.</param>
    /// <param name="budget">Time of the pairs: as many more as fit.</param>
    /// <param name="python">An interpreter that can import torch.</param>
    /// <param name="settings">PyTorch's best settings, where they are known already; null to look for them.</param>
    /// <param name="asInstalled">Whether to measure PyTorch as installed, too.</param>
    /// <exception cref="FusionException">The two do not compute the same.</exception>
    public static IEnumerable<Row> Run(Workload workload, int pairs, TimeSpan budget, string python, Settings? settings, bool asInstalled)
    {
        var path = Path.Combine(Path.GetTempPath(), $"fusiongen-bench-{Environment.ProcessId}.safetensors");
        try
        {
            using var ours = Contender.Ours(workload, path);
            var (best, trials) = settings is null
                ? Settings.Calibrate(workload.Kind, (candidate, limit) => Try(workload, python, path, candidate, limit))
                : (settings, []);
            using (var theirs = Contender.Peer(workload.Kind, python, path, best))
            {
                var differences = Agree(workload, ours, theirs);
                yield return Measure(workload, "best", best, ours, theirs, pairs, budget, differences, trials);
            }
            if (!asInstalled)
                yield break;
            using var installed = Contender.Peer(workload.Kind, python, path, Settings.Untouched);
            yield return Measure(workload, "as installed", Settings.Untouched, ours, installed, pairs: 1, budget, new Dictionary<string, double>(), []);
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

    /// <summary>A few steps under settings, or none where they do not work or the first step is far above the limit.</summary>
    private static Trial Try(Workload workload, string python, string path, Settings settings, double limit)
    {
        try
        {
            using var theirs = Contender.Peer(workload.Kind, python, path, settings, isQuiet: true);
            var (first, rest) = (theirs.Step(workload.TheirOrder), new List<Step>());
            if (first.Seconds > HopelesslySlow * limit && first.Seconds > LongStep)
                return new Trial(settings, double.PositiveInfinity, first.Peak);
            var watch = Stopwatch.StartNew();
            while (rest.Count < 2 || (rest.Count < 20 && watch.Elapsed.TotalSeconds < 1))
            {
                rest.Add(theirs.Step(workload.TheirOrder));
                if (rest[0].Seconds > LongStep)
                    break;
            }
            return new Trial(settings, rest.Min(step => step.Seconds), rest[^1].Peak);
        }
        catch (FusionException)
        {
            return new Trial(settings, double.PositiveInfinity, 0);
        }
    }

    private static Row Measure(
        Workload workload, string rival, Settings settings, Contender ours, Contender theirs, int pairs, TimeSpan budget, IReadOnlyDictionary<string, double> differences, IReadOnlyList<Trial> trials)
    {
        ours.Step();
        theirs.Step(workload.TheirOrder);
        var steps = new List<(Step Ours, Step Theirs)>();
        var watch = Stopwatch.StartNew();
        while (steps.Count < pairs || watch.Elapsed < budget)
            steps.Add((Rested(ours, ""), Rested(theirs, workload.TheirOrder)));
        return new Row(
            workload,
            rival,
            settings,
            new Side(Median(steps.Select(pair => pair.Ours.Seconds)), ours.Resident, steps.Max(pair => pair.Ours.Peak), ours.Threads),
            new Side(Median(steps.Select(pair => pair.Theirs.Seconds)), theirs.Resident, steps.Max(pair => pair.Theirs.Peak), theirs.Threads),
            [.. steps.Select(pair => pair.Theirs.Seconds / pair.Ours.Seconds).Order()],
            Median(steps.Select(pair => pair.Theirs.Work / pair.Ours.Work)),
            differences,
            trials);
    }

    /// <summary>A step after a rest: threads of OpenMP that wait for work take the other side's processors for some milliseconds.</summary>
    private static Step Rested(Contender contender, string order)
    {
        Thread.Sleep(Rest);
        return contender.Step(order);
    }

    /// <summary>
    /// One step each from the same start: logits before it, gradients in it. Where the two take α's gradient differently by design, PyTorch
    /// first does it our way.
    /// </summary>
    private static Dictionary<string, double> Agree(Workload workload, Contender ours, Contender theirs)
    {
        var (mine, yours) = (ours.Ask("trace"), theirs.Ask($"trace {workload.Order}"));
        var differences = new Dictionary<string, double>();
        foreach (var field in yours.EnumerateObject())
        {
            double[] a = mine.TryGetProperty(field.Name, out var values) ? Numbers(values) : [], b = Numbers(field.Value);
            if (a.Length != b.Length || a.Length == 0)
                throw new FusionException($"{workload.Title}, {workload.Row}: {field.Name}: {a.Length} numbers here, {b.Length} there", ExitCode.Internal);
            var difference = a.Zip(b, (x, y) => Math.Abs(x - y)).Max() / b.Max(Math.Abs);
            if (!(difference <= Tolerance))
                throw new FusionException($"{workload.Title}, {workload.Row}: not the same computation: {field.Name} differs by {difference:g3} of its largest entry", ExitCode.Internal);
            differences.Add(field.Name, difference);
        }
        return differences;

        static double[] Numbers(JsonElement values) => [.. values.EnumerateArray().Select(number => number.GetDouble())];
    }
}
