using System.Diagnostics;
using System.Globalization;
using FusionGen.Reporting;

namespace FusionGen.Benchmarks;

/// <summary>A whole task under a schedule: search, tuning, test.</summary>
/// <param name="Schedule">Its name.</param>
/// <param name="Seed">The seed.</param>
/// <param name="Top1">Accuracy on the test split, else on the validation split.</param>
/// <param name="Seconds">Of search and tuning, with their validations.</param>
/// <param name="Policy">What was found.</param>
internal sealed record TaskRun(string Schedule, long Seed, double Top1, double Seconds, string Policy);

/// <summary>Whole tasks by the tool, under the spec's own schedule and under the authors'. What is finished is not run again; what was interrupted continues.</summary>
internal sealed class WholeTask(string spec, string? data, string folder)
{
    private static readonly string[] Authors =
    [
        "search.epochs=90", "search.warmup=10", "search.batch=64", "search.every=step", "search.temperature.from=5", "search.temperature.to=0.001",
        "search.entropy=0.01", "search.cost=0.05", "search.clip=1", "search.stop=0", "search.optimizer.kind=adamw", "search.optimizer.lr=1e-3", "search.optimizer.weight-decay=0.01",
        "search.architecture.kind=adamw", "search.architecture.lr=3e-4", "search.architecture.weight-decay=0",
        "train.epochs=10", "train.batch=64", "train.continue=true", "train.optimizer.kind=adamw", "train.optimizer.lr=1e-3", "train.optimizer.weight-decay=0.01",
    ];

    /// <summary>The schedules by name: the spec's own; the authors'; the authors' in first order, a lower bound of theirs.</summary>
    public static IReadOnlyDictionary<string, IReadOnlyList<string>> Schedules { get; } = new Dictionary<string, IReadOnlyList<string>>
    {
        ["ours"] = [],
        ["authors"] = [.. Authors, "search.order=second-exact"],
        ["authors-first"] = [.. Authors, "search.order=first"],
    };

    /// <summary>Runs a schedule under a seed.</summary>
    /// <exception cref="FusionException">The tool failed, or was interrupted.</exception>
    public TaskRun Run(string schedule, long seed)
    {
        var inside = Path.Combine(folder, schedule, string.Create(CultureInfo.InvariantCulture, $"seed-{seed}"));
        if (Read(inside, schedule, seed) is { } finished)
            return finished;
        string[] arguments =
        [
            Path.Combine(AppContext.BaseDirectory, "fusiongen.dll"), "run", spec, "--seed", seed.ToString(CultureInfo.InvariantCulture), "--out", inside,
            .. data is null ? Array.Empty<string>() : ["--data", data],
            .. Schedules[schedule].SelectMany(setting => new[] { "--set", setting }),
        ];
        using var tool = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, arguments))!;
        tool.WaitForExit();
        return tool.ExitCode == 0 && Read(inside, schedule, seed) is { } run
            ? run
            : throw new FusionException($"{schedule}, seed {seed.ToString(CultureInfo.InvariantCulture)}: the tool ended with {tool.ExitCode.ToString(CultureInfo.InvariantCulture)}; the same command continues", (ExitCode)tool.ExitCode);
    }

    private static TaskRun? Read(string folder, string schedule, long seed)
    {
        var summary = RunFolder.ReadSummary(folder).ToDictionary(pair => pair.Key, pair => pair.Value, StringComparer.Ordinal);
        double Number(string name) => double.Parse(summary[name], CultureInfo.InvariantCulture);
        return summary.Count == 0 ? null : new TaskRun(schedule, seed, Number(summary.ContainsKey("test_top1") ? "test_top1" : "val_top1"), Number("seconds"), summary["policy"]);
    }
}
