using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Serialization.Metadata;
using FusionGen.Checkpoints;
using FusionGen.Reporting;
using static TorchSharp.torch;

namespace FusionGen.Training;

/// <summary>
/// Steps over the epochs of a training split, with checkpoints and progress: what a search and a training have in common. Resumes from its
/// checkpoint to the bit; same seed, same bits.
/// </summary>
public abstract class EpochRun : IDisposable
{
    /// <summary>Of the machine's memory, the part that images may take which a budget does not limit.</summary>
    private const int ShareOfMemory = 4;

    private readonly string phase;
    private readonly IBatches? validation;
    private readonly int epochs;
    private readonly Stopwatch watch = new();
    private long imagesSeen;
    private double secondsBefore;

    private protected EpochRun(string phase, FusionNetwork network, IBatches train, IBatches? validation, RunContext context, int epochs)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(train);
        ArgumentNullException.ThrowIfNull(context);
        if (train.Count == 0 || validation is { Count: 0 })
            throw new FusionException("training and validation images are needed; one of the splits is empty", ExitCode.Data);
        (this.phase, this.Network, this.Train, this.validation, this.Context, this.epochs) = (phase, network, train, validation, context, epochs);
    }

    /// <summary>Called after every step, with the epoch and the step; for tests and tools.</summary>
    public Action<int, int>? AfterStep { get; set; }

    private protected FusionNetwork Network { get; }

    private protected IBatches Train { get; }

    /// <summary>The split that a run with one decides on.</summary>
    private protected IBatches Validation => this.validation ?? throw new InvalidOperationException("this run has no validation split");

    private protected RunContext Context { get; }

    /// <summary>Training batches of an epoch.</summary>
    private protected int Batches => this.Train.Count;

    /// <summary>Seconds since the run began, those before it was resumed included.</summary>
    private protected double Seconds => this.secondsBefore + this.watch.Elapsed.TotalSeconds;

    /// <summary>How it stands.</summary>
    private protected abstract RunState State { get; set; }

    /// <summary>How its state is written.</summary>
    private protected abstract JsonTypeInfo StateType { get; }

    /// <summary>What sums figures over an epoch; the first of all is the training loss.</summary>
    private protected abstract IReadOnlyList<Meter> Meters { get; }

    /// <summary>What tells this run from others, but for what tells any: lines of <c>key=value</c>.</summary>
    private protected abstract string Identity { get; }

    /// <summary>What to do against divergence.</summary>
    private protected abstract string Remedy { get; }

    /// <summary>Whether nothing is left to do.</summary>
    private protected virtual bool IsOver => this.State.Epoch >= this.epochs;

    /// <summary>The epoch of the data that an epoch of this run sees.</summary>
    private protected virtual int FirstDataEpoch => 0;

    private string Fingerprint => string.Create(
        CultureInfo.InvariantCulture,
        $"phase={this.phase}\nspec={this.Network.Plan.SpecHash}\n{this.Identity}\nseed={this.Context.Seed}\nbackbone={this.Context.Backbone}\ntype={this.Network.DataType}\nengine={this.Network.Engine}\ntraining batches={this.Train.Count}\nvalidation batches={this.validation?.Count ?? 0}");

    private string? CheckpointPath => this.PathOf(this.phase);

    /// <inheritdoc/>
    public void Dispose()
    {
        this.Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what the run holds.</summary>
    protected abstract void Dispose(bool disposing);

    /// <summary>Runs all epochs, or what is left of them.</summary>
    private protected void RunEpochs(CancellationToken cancellation)
    {
        this.Resume();
        this.watch.Restart();
        this.imagesSeen = 0;
        // The network's frozen weights stay as they are for as long as the run lasts.
        var engine = this.Network.Training;
        engine?.KeepFrozen(this.Network.Plan.KeepBytes ?? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / ShareOfMemory);
        try
        {
            while (!this.IsOver)
            {
                this.RunEpoch(cancellation);
                this.Save();
                if (this.Context.Folder is { } folder)
                    this.Report(folder);
            }
        }
        finally
        {
            engine?.KeepFrozen(0);
        }
    }

    /// <summary>Sets what changes from epoch to epoch.</summary>
    private protected abstract void BeginEpoch();

    /// <summary>Makes the steps of a training batch.</summary>
    private protected abstract void Step(Batch batch);

    /// <summary>Evaluates the epoch and records it.</summary>
    private protected abstract void FinishEpoch();

    /// <summary>What a checkpoint holds.</summary>
    private protected abstract IEnumerable<KeyValuePair<string, Tensor>> Tensors();

    /// <summary>Takes over a checkpoint's tensors.</summary>
    private protected abstract void Load(Checkpoint checkpoint);

    /// <summary>Writes the epochs so far to the run's folder.</summary>
    private protected abstract void Report(string folder);

    /// <summary>How the run stands, for who watches.</summary>
    private protected abstract Progress Watched(Progress progress);

    /// <summary>Says how an epoch stands.</summary>
    private protected Progress Standing(int epoch, int step)
    {
        var done = ((double)epoch * this.Train.Count) + step;
        var left = ((double)this.epochs * this.Train.Count) - done;
        return this.Watched(new Progress(
            this.phase, epoch, this.epochs, step, this.Train.Count, this.imagesSeen / Math.Max(1e-9, this.watch.Elapsed.TotalSeconds),
            this.Meters[0].Last[0], null, null, [], TimeSpan.FromSeconds(left * this.Seconds / Math.Max(1, done))));
    }

    private void RunEpoch(CancellationToken cancellation)
    {
        var epoch = this.State.Epoch;
        this.BeginEpoch();
        foreach (var batch in this.Train.On(this.Network, this.Context.Seed, this.FirstDataEpoch + epoch, from: this.State.Step))
        {
            using (batch)
            {
                this.Network.Dropout = new DropoutStep(this.Context.Seed, ((this.FirstDataEpoch + epoch) * (long)this.Batches) + this.State.Step);
                this.Guarded(() => this.Step(batch), batch);
                this.Network.Dropout = null;
                this.imagesSeen += batch.Size;
            }
            this.State = this.State with { Step = this.State.Step + 1 };
            this.Context.Progress.Step(this.Standing(epoch, this.State.Step));
            this.AfterStep?.Invoke(epoch, this.State.Step);
            if (cancellation.IsCancellationRequested)
                this.Stop(cancellation);
        }
        // Only where figures are read late does this find them diverged: the batch at fault is gone.
        this.Guarded(this.FinishEpoch, null);
        this.Context.Progress.Epoch(this.Standing(epoch, this.Train.Count));
    }

    /// <summary>Ends the run with the state of the step if a figure is no longer a number.</summary>
    private void Guarded(Action action, Batch? batch)
    {
        try
        {
            action();
        }
        catch (DivergedException error)
        {
            var where = "";
            if (this.PathOf("diverged") is { } path)
            {
                this.Write(path, this.State with { Seconds = this.Seconds, Sums = [] }, batch is null ? [] : [new("batch.images", batch.Images), new("batch.labels", batch.Labels)]);
                where = $" The state of the step is in {path}.";
            }
            throw new FusionException(
                string.Create(CultureInfo.InvariantCulture, $"diverged in epoch {this.State.Epoch + 1}, step {this.State.Step + 1}: {error.Message}. {this.Remedy}.{where}"),
                ExitCode.Diverged,
                error);
        }
    }

    /// <summary>Ends the run, saved.</summary>
    private protected void Stop(CancellationToken cancellation)
    {
        if (this.CheckpointPath is null)
            cancellation.ThrowIfCancellationRequested();
        this.Save();
        throw new FusionException(
            string.Create(CultureInfo.InvariantCulture, $"stopped in epoch {this.State.Epoch + 1}, after step {this.State.Step}; saved to {this.CheckpointPath}, run the same command to continue"),
            ExitCode.Checkpointed);
    }

    /// <summary>Writes the checkpoint.</summary>
    private protected void Save()
    {
        if (this.CheckpointPath is { } path)
            this.Write(path, this.State with { Seconds = this.Seconds, Sums = [.. this.Meters.Select(meter => meter.Sums)] }, []);
    }

    private void Write(string path, RunState state, IEnumerable<KeyValuePair<string, Tensor>> further) =>
        Checkpoint.Write(path, this.Fingerprint, state, this.StateType, this.Tensors().Concat(further));

    private void Resume()
    {
        if (this.CheckpointPath is not { } path)
            return;
        using var checkpoint = Checkpoint.Open(path, this.Fingerprint);
        if (checkpoint is null)
            return;
        this.State = (RunState)checkpoint.State(this.StateType);
        this.secondsBefore = this.State.Seconds;
        foreach (var (meter, sums) in this.Meters.Zip(this.State.Sums))
            meter.Sums = sums;
        this.Load(checkpoint);
        this.Context.Progress.Note(this.IsOver
            ? $"takes over {path}, which is complete"
            : string.Create(CultureInfo.InvariantCulture, $"continues {path} in epoch {this.State.Epoch + 1} of {this.epochs}"));
    }

    private string? PathOf(string name) => this.Context.Folder is { } folder ? Path.Combine(folder, "checkpoint", $"{name}.safetensors") : null;
}
