using System.Globalization;
using System.Text;

namespace FusionGen.Reporting;

/// <summary>Where a run stands.</summary>
/// <param name="Phase"><c>search</c> or <c>train</c>.</param>
/// <param name="Epoch">From 0.</param>
/// <param name="Epochs">Of the phase.</param>
/// <param name="Step">Steps done in the epoch.</param>
/// <param name="Steps">Steps of the epoch.</param>
/// <param name="ImagesPerSecond">Training images, since the phase started or resumed.</param>
/// <param name="Loss">Training loss of the last batch that was read.</param>
/// <param name="Entropy">Mean entropy of π over the layers with a choice, in nats; null where nothing is searched.</param>
/// <param name="Top1">Validation accuracy of the last epoch; null before the first.</param>
/// <param name="Policy">Operator of each layer; empty where nothing is searched.</param>
/// <param name="Remaining">Time left at the present rate.</param>
public sealed record Progress(
    string Phase,
    int Epoch,
    int Epochs,
    int Step,
    int Steps,
    double ImagesPerSecond,
    double Loss,
    double? Entropy,
    double? Top1,
    IReadOnlyList<string> Policy,
    TimeSpan Remaining)
{
    /// <summary>One line.</summary>
    public override string ToString()
    {
        var line = new StringBuilder();
        var culture = CultureInfo.InvariantCulture;
        line.Append(culture, $"{this.Phase} {this.Epoch + 1}/{this.Epochs} [{this.Step}/{this.Steps}] loss {this.Loss:0.000}");
        if (this.Top1 is { } top1)
            line.Append(culture, $" val {top1:0.0%}");
        if (this.Entropy is { } entropy)
            line.Append(culture, $" entropy {entropy:0.00}");
        line.Append(culture, $" {this.ImagesPerSecond:0} img/s");
        if (this.Step < this.Steps || this.Epoch + 1 < this.Epochs)
            line.Append(culture, $" {Clock(this.Remaining)} left");
        if (this.Policy.Count > 0)
            line.Append("  ").Append(Runs(this.Policy));
        return line.ToString();
    }

    /// <summary>A policy in brief: <c>add×3 affine×2 cross</c>.</summary>
    private static string Runs(IReadOnlyList<string> policy)
    {
        var parts = new List<string>();
        for (int from = 0, to; from < policy.Count; from = to)
        {
            for (to = from; to < policy.Count && policy[to] == policy[from];)
                to++;
            var name = policy[from].Length == 0 ? "–" : policy[from];
            parts.Add(to - from == 1 ? name : string.Create(CultureInfo.InvariantCulture, $"{name}×{to - from}"));
        }
        return string.Join(' ', parts);
    }

    private static string Clock(TimeSpan time) => time.TotalHours >= 1
        ? string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalHours}:{time.Minutes:00}:{time.Seconds:00}")
        : string.Create(CultureInfo.InvariantCulture, $"{time.Minutes}:{time.Seconds:00}");
}

/// <summary>Hears how a run goes.</summary>
public interface IProgressSink
{
    /// <summary>After every step; must be cheap.</summary>
    void Step(Progress progress);

    /// <summary>After every epoch.</summary>
    void Epoch(Progress progress);

    /// <summary>Something worth a line of its own.</summary>
    void Note(string text);
}

/// <summary>Hears nothing.</summary>
public sealed class SilentProgress : IProgressSink
{
    private SilentProgress()
    {
    }

    /// <summary>The only one.</summary>
    public static SilentProgress Instance { get; } = new();

    /// <inheritdoc/>
    public void Step(Progress progress)
    {
    }

    /// <inheritdoc/>
    public void Epoch(Progress progress)
    {
    }

    /// <inheritdoc/>
    public void Note(string text)
    {
    }
}

/// <summary>Writes to a console: one line that keeps changing on a terminal, one line per epoch elsewhere.</summary>
/// <param name="writer">The console.</param>
/// <param name="isTerminal">Whether lines can be overwritten.</param>
/// <param name="width">Columns of the terminal.</param>
/// <param name="clock">Time; the system's if null.</param>
public sealed class ConsoleProgress(TextWriter writer, bool isTerminal, int width = 120, TimeProvider? clock = null) : IProgressSink
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);

    private readonly TimeProvider time = clock ?? TimeProvider.System;
    private long last;
    private bool open;

    /// <inheritdoc/>
    public void Step(Progress progress)
    {
        ArgumentNullException.ThrowIfNull(progress);
        if (!isTerminal || (this.open && this.time.GetElapsedTime(this.last) < Interval))
            return;
        this.last = this.time.GetTimestamp();
        this.Overwrite(progress.ToString());
        this.open = true;
    }

    /// <inheritdoc/>
    public void Epoch(Progress progress)
    {
        ArgumentNullException.ThrowIfNull(progress);
        if (!isTerminal)
        {
            writer.WriteLine(progress);
            return;
        }
        this.Overwrite(progress.ToString());
        this.open = true;
        if (progress.Epoch + 1 == progress.Epochs)
            this.Close();
    }

    /// <inheritdoc/>
    public void Note(string text)
    {
        this.Close();
        writer.WriteLine(text);
    }

    private void Close()
    {
        if (this.open)
            writer.WriteLine();
        this.open = false;
    }

    private void Overwrite(string line) =>
        writer.Write($"\r{(line.Length < width ? line : string.Concat(line.AsSpan(0, width - 2), "…"))}\u001b[K");
}
