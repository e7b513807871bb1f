using System.Diagnostics;
using System.Text.Json;

namespace FusionGen.Benchmarks;

/// <summary>A step: its seconds, seconds that all threads worked, and most memory resident since the first step.</summary>
internal sealed record Step(double Seconds, double Work, long Peak);

/// <summary>A process that runs steps one by one, on request.</summary>
internal sealed class Contender : IDisposable
{
    private readonly Process process;
    private readonly string name;

    private readonly string? file;

    private Contender(string name, ProcessStartInfo start, string? file = null)
    {
        (this.name, this.file) = (name, file);
        (start.RedirectStandardInput, start.RedirectStandardOutput) = (true, true);
        this.process = Process.Start(start)!;
        try
        {
            var hello = this.Answer();
            (this.Torch, this.Threads, this.Resident) = (hello.GetProperty("torch").GetString()!, hello.GetProperty("threads").GetInt32(), hello.GetProperty("resident").GetInt64());
            this.Planned = hello.TryGetProperty("planned", out var planned) ? planned.GetInt64() : 0;
        }
        catch
        {
            this.Dispose();
            throw;
        }
    }

    /// <summary>Version of libtorch.</summary>
    public string Torch { get; }

    /// <summary>Threads that work.</summary>
    public int Threads { get; }

    /// <summary>Bytes resident before the first step.</summary>
    public long Resident { get; }

    /// <summary>Bytes that a step was planned to take beside parameters and images; 0 where nobody planned.</summary>
    public long Planned { get; }

    /// <summary>FusionGen as it runs by default: this program once more.</summary>
    /// <param name="workload">What to run.</param>
    /// <param name="casePath">Where to write the case for the peer; null for nowhere.</param>
    public static Contender Ours(Workload workload, string? casePath)
    {
        var networks = Path.Combine(Path.GetTempPath(), $"fusiongen-bench-{Path.GetRandomFileName()}.dll");
        File.WriteAllBytes(networks, workload.Compile());
        string[] arguments = [typeof(Contender).Assembly.Location, Worker.Command, JsonSerializer.Serialize(workload), networks, .. casePath is null ? Array.Empty<string>() : [casePath]];
        return new Contender("FusionGen", new ProcessStartInfo(Environment.ProcessPath!, arguments), networks);
    }

    /// <summary>PyTorch under settings.</summary>
    public static Contender Peer(Kind kind, string python, string casePath, Settings settings, bool isQuiet = false)
    {
        var script = kind switch { Kind.Search => "search_step.py", Kind.Vpt => "vpt_step.py", _ => "inference.py" };
        var threads = settings.Threads.ToString(System.Globalization.CultureInfo.InvariantCulture);
        var start = new ProcessStartInfo(python, [Path.Combine(AppContext.BaseDirectory, "peers", script), casePath, "--threads", threads, "--form", settings.Form]) { RedirectStandardError = isQuiet };
        settings.Apply(start.Environment);
        return new Contender("PyTorch", start);
    }

    /// <summary>Gives a command and waits for its answer.</summary>
    public JsonElement Ask(string command)
    {
        this.process.StandardInput.WriteLine(command);
        this.process.StandardInput.Flush();
        return this.Answer();
    }

    /// <summary>One step.</summary>
    public Step Step(string order = "")
    {
        var answer = this.Ask($"step {order}");
        return new Step(answer.GetProperty("seconds").GetDouble(), answer.GetProperty("work").GetDouble(), answer.GetProperty("peak").GetInt64());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        this.process.StandardInput.Close();
        if (!this.process.WaitForExit(TimeSpan.FromSeconds(10)))
            this.process.Kill();
        this.process.Dispose();
        if (this.file is not null)
            File.Delete(this.file);
    }

    private JsonElement Answer() => this.process.StandardOutput.ReadLine() is { } line
        ? JsonDocument.Parse(line).RootElement
        : throw new FusionException($"{this.name} ended early; what it said is above", ExitCode.Internal);
}
