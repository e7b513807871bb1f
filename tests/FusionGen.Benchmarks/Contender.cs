using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace FusionGen.Benchmarks;

/// <summary>A process that runs search steps one by one, on request.</summary>
internal sealed class Contender : IDisposable
{
    private readonly Process process;
    private readonly string name;

    private Contender(string name, string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string> environment)
    {
        this.name = name;
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true };
        foreach (var (variable, value) in environment)
            start.Environment.TryAdd(variable, value);
        this.process = Process.Start(start)!;
        var hello = this.Answer();
        (this.Torch, this.Threads) = (hello.GetProperty("torch").GetString()!, hello.GetProperty("threads").GetInt32());
    }

    /// <summary>Version of libtorch.</summary>
    public string Torch { get; }

    /// <summary>Threads of an operator.</summary>
    public int Threads { get; }

    /// <summary>FusionGen: this program once more.</summary>
    public static Contender Ours(Workload workload, string order, int threads, string? casePath)
    {
        string[] arguments = [typeof(Contender).Assembly.Location, "worker", workload.Name, order, threads.ToString(CultureInfo.InvariantCulture), .. casePath is null ? Array.Empty<string>() : [casePath]];
        return new Contender("FusionGen", Environment.ProcessPath!, arguments, Sleeping);
    }

    /// <summary>
    /// PyTorch with what its users gain speed by: every core, an allocator that keeps memory, workers that sleep beside another process.
    /// </summary>
    public static Contender Tuned(string python, string casePath, int threads)
    {
        var environment = new Dictionary<string, string>(Sleeping);
        if (FindAllocator() is { } allocator)
            environment.Add("LD_PRELOAD", allocator);
        return new Contender("PyTorch", python, [Script, casePath, "--threads", threads.ToString(CultureInfo.InvariantCulture)], environment);
    }

    /// <summary>PyTorch as it is installed.</summary>
    public static Contender AsInstalled(string python, string casePath) => new("PyTorch as installed", python, [Script, casePath], new Dictionary<string, string>());

    /// <summary>The library of tcmalloc, where there is one.</summary>
    public static string? FindAllocator() => new[] { "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib" }
        .Select(folder => Path.Combine(folder, "libtcmalloc.so.4")).FirstOrDefault(File.Exists);

    /// <summary>Gives a command and waits for its answer.</summary>
    public JsonElement Ask(string command)
    {
        this.process.StandardInput.WriteLine(command);
        this.process.StandardInput.Flush();
        return this.Answer();
    }

    /// <summary>One search step: seconds it took, and seconds that all its threads worked.</summary>
    public (double Seconds, double Work) Step()
    {
        var answer = this.Ask("step");
        return (answer.GetProperty("seconds").GetDouble(), answer.GetProperty("work").GetDouble());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        this.process.StandardInput.Close();
        if (!this.process.WaitForExit(TimeSpan.FromSeconds(10)))
            this.process.Kill();
        this.process.Dispose();
    }

    private static readonly Dictionary<string, string> Sleeping = new() { ["OMP_WAIT_POLICY"] = "passive" };

    private static string Script => Path.Combine(AppContext.BaseDirectory, "peers", "search_step.py");

    private JsonElement Answer() => this.process.StandardOutput.ReadLine() is { } line
        ? JsonDocument.Parse(line).RootElement
        : throw new FusionException($"{this.name} ended early; what it said is above", ExitCode.Internal);
}
