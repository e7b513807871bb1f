using System.Globalization;

namespace FusionGen.Benchmarks;

/// <summary>How a PyTorch process is run.</summary>
/// <param name="Threads">Of an operator; 0 as PyTorch chooses.</param>
/// <param name="Allocator">Whether tcmalloc is preloaded.</param>
/// <param name="DetectsCore">Whether OpenBLAS finds out the processor by itself, whatever the environment says.</param>
/// <param name="Waits">OMP_WAIT_POLICY; empty for the default.</param>
/// <param name="Form">Of a forward pass: eager, traced or compiled.</param>
internal sealed record Settings(int Threads, bool Allocator, bool DetectsCore, string Waits, string Form)
{
    /// <summary>Nothing chosen.</summary>
    public static Settings Untouched { get; } = new(0, false, false, "", "eager");

    /// <summary>
    /// The fastest that a short search finds: from every core, tcmalloc, the processor's own kernels and sleeping workers on, one setting after the
    /// other is changed and kept where that is plainly faster: what a busy moment seems to gain is no gain. Those that come near the fastest are
    /// tried once more, and every one counts as it was at its best.
    /// </summary>
    /// <param name="kind">What is run: only a forward pass has forms.</param>
    /// <param name="run">Seconds and peak memory of a step under settings, given the best seconds so far.</param>
    public static (Settings Best, IReadOnlyList<Trial> Trials) Calibrate(Kind kind, Func<Settings, double, Trial> run)
    {
        const double plainly = 0.97;
        const double near = 1.1;
        var trials = new List<Trial>();
        var best = Try(new Settings(Environment.ProcessorCount, FindAllocator() is not null, true, "passive", kind == Kind.Inference ? "traced" : "eager"), double.PositiveInfinity);
        var changes = new List<Func<Settings, Settings>>();
        if (kind == Kind.Inference)
            changes.AddRange([settings => settings with { Form = "eager" }, settings => settings with { Form = "compiled" }]);
        if (Environment.GetEnvironmentVariables().Keys.Cast<string>().Any(IsCoreChoice))
            changes.Add(settings => settings with { DetectsCore = false });
        changes.Add(settings => settings with { Waits = "" });
        if (best.Settings.Allocator)
            changes.Add(settings => settings with { Allocator = false });
        if (Environment.ProcessorCount > 1)
            changes.Add(settings => settings with { Threads = 1 });
        foreach (var change in changes)
        {
            var trial = Try(change(best.Settings), best.Seconds);
            if (trial.Seconds >= plainly * best.Seconds)
                continue;
            // Once more as before: it may have been that moment that was busy.
            var again = Math.Min(best.Seconds, Try(best.Settings, trial.Seconds).Seconds);
            best = trial.Seconds < plainly * again ? trial : best with { Seconds = again };
        }
        var finalists = trials.Where(trial => trial.Seconds <= near * best.Seconds).Select(trial => trial.Settings).Distinct().ToList();
        foreach (var settings in finalists.Count > 1 ? finalists : [])
            Try(settings, best.Seconds);
        return (trials.MinBy(trial => trial.Seconds)!.Settings, trials);

        Trial Try(Settings settings, double limit)
        {
            var trial = run(settings, limit);
            trials.Add(trial);
            return trial;
        }
    }

    /// <summary>The environment of a process under these settings, from that of this one.</summary>
    public void Apply(IDictionary<string, string?> environment)
    {
        if (this.DetectsCore)
        {
            foreach (var name in environment.Keys.Where(IsCoreChoice).ToList())
                environment.Remove(name);
        }
        if (this.Waits.Length > 0)
            environment["OMP_WAIT_POLICY"] = this.Waits;
        if (this.Allocator && FindAllocator() is { } allocator)
            environment["LD_PRELOAD"] = allocator;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Join(", ", new[]
    {
        this.Threads == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"{this.Threads} thread{(this.Threads == 1 ? "" : "s")}"),
        this.Form == "eager" ? "" : this.Form,
        this.Allocator ? "tcmalloc" : "",
        this.DetectsCore ? "OpenBLAS's own choice of kernels" : "",
        this.Waits.Length > 0 ? $"OMP {this.Waits}" : "",
    }.Where(part => part.Length > 0).DefaultIfEmpty("as installed"));

    /// <summary>The library of tcmalloc, where there is one.</summary>
    private static string? FindAllocator() => new[] { "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib" }
        .Select(folder => Path.Combine(folder, "libtcmalloc.so.4")).FirstOrDefault(File.Exists);

    private static bool IsCoreChoice(string variable) => variable is "OPENBLAS_CORETYPE" or "OPENBLAS_L2_SIZE";
}

/// <summary>Settings and what a step took under them, in seconds and peak bytes; infinite seconds where they do not work or were hopelessly slow.</summary>
internal sealed record Trial(Settings Settings, double Seconds, long Peak);
