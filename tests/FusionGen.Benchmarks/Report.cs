using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using FusionGen.Checkpoints;
using Spectre.Console;

namespace FusionGen.Benchmarks;

/// <summary>What was measured, where: as a table and as JSON.</summary>
/// <param name="Machine">Processor and cores.</param>
/// <param name="Torch">Version of libtorch.</param>
/// <param name="Threads">Threads of both sides.</param>
/// <param name="Allocator">What PyTorch allocated with.</param>
/// <param name="Load">Load average of the last minute when the run began.</param>
/// <param name="Rows">Comparisons.</param>
/// <param name="Memory">Memory runs.</param>
internal sealed record Report(string Machine, string Torch, int Threads, string Allocator, double Load, IReadOnlyList<Row> Rows, IReadOnlyList<MemoryRun> Memory)
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>Name of the processor and how many cores there are.</summary>
    public static string DescribeMachine()
    {
        var model = File.Exists("/proc/cpuinfo")
            ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':', 2)[1].Trim()
            : null;
        return string.Create(CultureInfo.InvariantCulture, $"{model ?? RuntimeInformation.ProcessArchitecture.ToString()}, {Environment.ProcessorCount} cores");
    }

    /// <summary>Load average of the last minute; NaN where the system does not say.</summary>
    public static double LoadAverage() => File.Exists("/proc/loadavg")
        ? double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture)
        : double.NaN;

    /// <summary>Prints everything.</summary>
    public void Print(IAnsiConsole console)
    {
        // A table broken to the width of a pipe cannot be read.
        console.Profile.Width = Math.Max(console.Profile.Width, 140);
        var table = new Table().Border(TableBorder.Simple);
        table.AddColumns("size", "order", "against");
        foreach (var title in new[] { "ours ms", "theirs ms", "ours/theirs", "min", "max", "pairs", "work", "|Δ∇α|" })
            table.AddColumn(new TableColumn(title).RightAligned());
        foreach (var row in this.Rows)
        {
            table.AddRow(
                row.Workload, row.Order, row.Rival, Number(row.Ours * 1000, "0"), Number(row.Theirs * 1000, "0"), Number(row.Ratio, "0.00"),
                Number(row.Ratios[0], "0.00"), Number(row.Ratios[^1], "0.00"), Number(row.Ratios.Count, "0"), Number(row.Work, "0.00"), Number(row.GradientError, "0e0"));
        }
        console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{this.Machine}; libtorch {this.Torch}; {this.Threads} threads each; PyTorch with {this.Allocator}; load average {this.Load:0.0} at the start"));
        if (this.Rows.Count > 0)
            console.Write(table);
        foreach (var memory in this.Memory)
        {
            console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{memory.Workload}, {memory.Order}, {memory.Steps} steps: peak {memory.Early / 1048576.0:0.0} MiB after a tenth, {memory.Late / 1048576.0:0.0} MiB after all; live tensors {memory.EarlyTensors}, {memory.LateTensors}"));
        }
    }

    /// <summary>Writes everything.</summary>
    public void Write(string path) => AtomicFile.Write(path, stream => JsonSerializer.Serialize(stream, this, Indented));

    private static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
