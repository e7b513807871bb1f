using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using FusionGen.Checkpoints;
using Spectre.Console;

namespace FusionGen.Benchmarks;

/// <summary>What was measured, where: as tables and as JSON.</summary>
/// <param name="Machine">Processor and cores.</param>
/// <param name="Torch">Version of libtorch.</param>
/// <param name="Load">Load average of the last minute when the run began.</param>
internal sealed record Report(string Machine, string Torch, double Load)
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    /// <summary>Comparisons with PyTorch.</summary>
    public List<Row> Rows { get; } = [];

    /// <summary>The generator.</summary>
    public List<GeneratorRow> Generator { get; } = [];

    /// <summary>How cost grows.</summary>
    public List<Growth> Growth { get; } = [];

    /// <summary>Whole tasks.</summary>
    public List<TaskRun> Tasks { get; } = [];

    /// <summary>Memory over many steps.</summary>
    public List<MemoryRun> Memory { get; } = [];

    /// <summary>A report of nothing yet, on this machine.</summary>
    public static Report Start() => new(DescribeMachine(), TorchSharp.torch.__version__, LoadAverage());

    /// <summary>Prints everything.</summary>
    public void Print(IAnsiConsole console)
    {
        // A table broken to the width of a pipe cannot be read.
        console.Profile.Width = Math.Max(console.Profile.Width, 240);
        console.WriteLine(Text($"{this.Machine}; libtorch {this.Torch}; load average {this.Load:0.0} at the start"));
        this.PrintRows(console);
        this.PrintGenerator(console);
        foreach (var curve in this.Growth)
        {
            console.WriteLine(Text($"{curve.Axis}: seconds grow with exponent {curve.SecondsExponent:0.00}, bytes with {curve.BytesExponent:0.00}; largest over smallest {curve.SecondsSpread:0.00} and {curve.BytesSpread:0.00}; {curve.BytesPerPlanned:0.00} bytes came for each that was planned to"));
            foreach (var point in curve.Points)
                console.WriteLine(Text($"  {point.Value,3}: {point.Seconds * 1000:0} ms, {Mebibytes(point.Bytes)} MiB, {Mebibytes(point.Planned)} of them planned"));
        }
        this.PrintTasks(console);
        foreach (var memory in this.Memory)
        {
            console.WriteLine(Text(
                $"{memory.Workload.Title}, {memory.Workload.Order}, {memory.Steps} steps: peak {Mebibytes(memory.Early)} MiB after a tenth, {Mebibytes(memory.Late)} MiB after all; live tensors {memory.EarlyTensors}, {memory.LateTensors}"));
        }
    }

    /// <summary>Writes <c>benchmarks.json</c>, and <c>growth.svg</c> where growth was measured.</summary>
    public void Write(string folder)
    {
        Directory.CreateDirectory(folder);
        AtomicFile.Write(Path.Combine(folder, "benchmarks.json"), stream => JsonSerializer.Serialize(stream, this, Indented));
        if (this.Growth.Count > 0)
            AtomicFile.WriteText(Path.Combine(folder, "growth.svg"), Benchmarks.Growth.Plot(this.Growth));
    }

    /// <summary>Text of any culture's console.</summary>
    public static string Text(FormattableString text) => FormattableString.Invariant(text);

    private void PrintRows(IAnsiConsole console)
    {
        if (this.Rows.Count == 0)
            return;
        var table = Table(["size", "row", "against"], ["ours ms", "theirs ms", "times as fast", "wanted", "min–max", "pairs", "work", "peak MiB", "ratio", "wanted", "added MiB", "ratio", "differs by"]);
        foreach (var row in this.Rows)
        {
            var isBest = row.Rival == "best";
            table.AddRow(
                row.Workload.Title, row.Workload.Row, row.Rival, Text($"{row.Ours.Seconds * 1000:0.#}"), Text($"{row.Theirs.Seconds * 1000:0.#}"),
                Text($"{row.Speedup:0.00}"), isBest && row.Workload.Faster > 0 ? Text($"≥ {row.Workload.Faster:0.0}") : "", Text($"{row.Speedups[0]:0.00}–{row.Speedups[^1]:0.00}"),
                Text($"{row.Speedups.Count}"), Text($"{row.Work:0.00}"),
                $"{Mebibytes(row.Ours.Peak)} / {Mebibytes(row.Theirs.Peak)}", Text($"{row.MemoryRatio:0.00}"), isBest && row.Workload.Memory > 0 ? Text($"≤ {row.Workload.Memory:0.0}") : "",
                $"{Mebibytes(row.Ours.Added)} / {Mebibytes(row.Theirs.Added)}", Text($"{row.AddedRatio:0.00}"),
                row.Differences.Count > 0 ? Text($"{row.Differences.Values.Max():0e0}") : "");
        }
        console.Write(table);
        console.WriteLine("times as fast: their seconds over ours, median of pairs; work: the same of seconds that all threads worked; peak: most resident memory of the process; added: of it, what came after parameters and batches were there.");
        foreach (var row in this.Rows.Where(row => row.Rival == "best"))
        {
            console.WriteLine(Text($"{row.Workload.Title}, {row.Workload.Row}: PyTorch with {row.Run}; we with {row.Ours.Threads} threads as by default"));
            foreach (var trial in row.Trials)
                console.WriteLine(Text($"  {(double.IsFinite(trial.Seconds) ? Text($"{trial.Seconds * 1000:0.#} ms, {Mebibytes(trial.Peak)} MiB") : trial.Peak > 0 ? "hopelessly slow" : "does not work")}: {trial.Settings}"));
        }
    }

    private void PrintGenerator(IAnsiConsole console)
    {
        if (this.Generator.Count == 0)
            return;
        var table = Table(["generator, specs of 24 layers"], ["specs", "µs", "wanted", "KiB", "wanted"]);
        foreach (var row in this.Generator)
        {
            table.AddRow(
                row.Name, Text($"{row.Specs}"), Text($"{row.Seconds * 1e6:0.#}"), row.MostSeconds > 0 ? Text($"≤ {row.MostSeconds * 1e6:0}") : "",
                Text($"{row.Bytes / 1024.0:0.#}"), row.MostBytes > 0 ? Text($"≤ {row.MostBytes / 1024}") : "");
        }
        console.Write(table);
    }

    private void PrintTasks(IAnsiConsole console)
    {
        if (this.Tasks.Count == 0)
            return;
        var table = Table(["schedule"], ["seeds", "accuracy", "seconds", "times as fast"]);
        var own = this.Tasks.Where(run => run.Schedule == "ours").ToList();
        foreach (var schedule in this.Tasks.GroupBy(run => run.Schedule))
        {
            var runs = schedule.ToList();
            var mean = runs.Average(run => run.Top1);
            var deviation = runs.Count > 1 ? Math.Sqrt(runs.Sum(run => (run.Top1 - mean) * (run.Top1 - mean)) / (runs.Count - 1)) : 0;
            table.AddRow(
                schedule.Key, Text($"{runs.Count}"), Text($"{100 * mean:0.0} ± {100 * deviation:0.0} %"), Text($"{runs.Average(run => run.Seconds):0}"),
                own.Count > 0 ? Text($"{runs.Average(run => run.Seconds) / own.Average(run => run.Seconds):0.00}") : "");
        }
        console.Write(table);
        console.WriteLine("seconds: search and tuning with their validations; times as fast: the schedule's seconds over those of ours.");
    }

    private static Table Table(string[] labels, string[] figures)
    {
        var table = new Table().Border(TableBorder.Simple);
        foreach (var title in labels)
            table.AddColumn(new TableColumn(title).NoWrap());
        foreach (var title in figures)
            table.AddColumn(new TableColumn(title).RightAligned().NoWrap());
        return table;
    }

    private static string Mebibytes(long bytes) => Text($"{bytes / 1048576.0:0}");

    /// <summary>Name of the processor and how many cores there are.</summary>
    public static string DescribeMachine()
    {
        var model = File.Exists("/proc/cpuinfo")
            ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':', 2)[1].Trim()
            : null;
        return Text($"{model ?? RuntimeInformation.ProcessArchitecture.ToString()}, {Environment.ProcessorCount} cores");
    }

    private static double LoadAverage() => File.Exists("/proc/loadavg")
        ? double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture)
        : double.NaN;
}
