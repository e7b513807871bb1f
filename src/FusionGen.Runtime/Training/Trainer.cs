using System.Diagnostics;
using System.Globalization;
using FusionGen.Checkpoints;
using FusionGen.Reporting;
using static TorchSharp.torch;

namespace FusionGen.Training;

/// <summary>How training went; the network holds the parameters of the best epoch.</summary>
/// <param name="BestEpoch">The epoch of the highest validation accuracy, from 0; of equals, the first.</param>
/// <param name="BestTop1">Its validation accuracy.</param>
/// <param name="History">Every epoch.</param>
public sealed record TrainResult(int BestEpoch, double BestTop1, IReadOnlyList<TrainEpoch> History);

/// <summary>
/// Trains what a network tunes. <em>Scratch</em> starts from fresh parameters, with warm-up; <em>continue</em> starts from the supernet's
/// and stays on the search's cosine, with new optimizer state (the authors' second phase). The best epoch by validation accuracy wins.
/// Resumes from its checkpoint to the bit; same seed, same bits.
/// </summary>
public sealed class Trainer : IDisposable
{
    private readonly FusionNetwork network;
    private readonly IBatches train;
    private readonly IBatches validation;
    private readonly TrainSettings settings;
    private readonly RunContext context;
    private readonly int epochsBefore;
    private readonly WeightSteps steps;
    private readonly Dictionary<string, Tensor> best;
    private readonly string fingerprint;
    private readonly Stopwatch watch = new();
    private TrainState state = new();
    private long imagesSeen;
    private double secondsBefore;

    /// <summary>Training of a network from its present parameters, or from the checkpoint in the run's folder.</summary>
    /// <param name="network">Moved by training; must outlive this object.</param>
    /// <param name="train">The split to learn from.</param>
    /// <param name="validation">The split that chooses the epoch.</param>
    /// <param name="settings">How; <see cref="NetworkPlan.Train"/> unless something was overridden.</param>
    /// <param name="context">Seed, folder, progress.</param>
    /// <param name="epochsBefore">Epochs of the same cosine that the search already used; 0 from scratch.</param>
    public Trainer(FusionNetwork network, IBatches train, IBatches validation, TrainSettings settings, RunContext context, int epochsBefore = 0)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(train);
        ArgumentNullException.ThrowIfNull(validation);
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(context);
        if (train.Count == 0 || validation.Count == 0)
            throw new FusionException("training needs training and validation images; one of the splits is empty", ExitCode.Data);
        (this.network, this.train, this.validation, this.settings, this.context) = (network, train, validation, settings, context);
        this.epochsBefore = epochsBefore;
        var names = network.Specs.Where(spec => spec.IsTuned).Select(spec => spec.Name).ToList();
        this.steps = WeightSteps.Of(network, settings.Optimizer, settings.Clip, name => Decays(settings.Optimizer, name));
        this.best = names.ToDictionary(name => name, name => network[name].detach().clone().DetachFromDisposeScope(), StringComparer.Ordinal);
        var policy = network is FusionModel model ? string.Join(' ', model.Policy) : "";
        this.fingerprint = string.Create(CultureInfo.InvariantCulture, $"phase=train\nspec={network.Plan.SpecHash}\npolicy={policy}\nsettings={settings}\nepochs before={epochsBefore}\nseed={context.Seed}\nbackbone={context.Backbone}\ntype={network.DataType}\nengine={network.Engine}\ntraining batches={train.Count}\nvalidation batches={validation.Count}");
    }

    /// <summary>Called after every step, with the epoch and the step; for tests and tools.</summary>
    public Action<int, int>? AfterStep { get; set; }

    private string? CheckpointPath => this.context.Folder is { } folder ? Path.Combine(folder, "checkpoint", "train.safetensors") : null;

    /// <summary>Trains, or does what is left of it; then puts the best epoch's parameters back.</summary>
    /// <exception cref="FusionException">
    /// <see cref="ExitCode.Diverged"/>: a loss stopped being a number; <see cref="ExitCode.Checkpointed"/>: cancelled, and saved to continue later.
    /// </exception>
    /// <exception cref="OperationCanceledException">Cancelled, and there is no folder to save to.</exception>
    public TrainResult Run(CancellationToken cancellation = default)
    {
        this.Resume();
        this.watch.Restart();
        this.imagesSeen = 0;
        while (this.state.Epoch < this.settings.Epochs)
        {
            this.RunEpoch(cancellation);
            this.Save();
            if (this.context.Folder is { } folder)
                RunFolder.WriteTraining(folder, this.state.History);
        }
        if (this.state.BestEpoch >= 0)
            this.RestoreBest();
        return new TrainResult(this.state.BestEpoch, this.state.BestTop1, this.state.History);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        this.steps.Dispose();
        foreach (var tensor in this.best.Values)
            tensor.Dispose();
    }

    /// <summary>VPT, whose recipe is SGD's, lets the bias of the head alone; the authors' AdamW decays everything.</summary>
    private static bool Decays(OptimizerSettings optimizer, string name) => optimizer.Kind != OptimizerKind.Sgd || name != "head.bias";

    private void RunEpoch(CancellationToken cancellation)
    {
        var epoch = this.state.Epoch;
        this.steps.Optimizer.LearningRate = Schedule.LearningRate(
            this.settings.Optimizer.LearningRate,
            this.epochsBefore + epoch,
            this.epochsBefore + this.settings.Epochs,
            this.epochsBefore == 0 ? this.settings.Warmup : 0);
        // Epochs of the data continue where the search's ended, so that crops and order are new ones.
        foreach (var batch in this.train.On(this.network, this.context.Seed, this.epochsBefore + epoch, from: this.state.Step))
        {
            using (batch)
            {
                this.Step(batch);
                this.imagesSeen += batch.Size;
            }
            this.state = this.state with { Step = this.state.Step + 1 };
            this.context.Progress.Step(this.Standing(epoch, this.state.Step));
            this.AfterStep?.Invoke(epoch, this.state.Step);
            if (cancellation.IsCancellationRequested)
                this.Stop(cancellation);
        }
        try
        {
            this.FinishEpoch();
        }
        catch (DivergedException error)
        {
            // Only where figures are read late: the batch at fault is gone.
            this.ThrowDiverged(null, error);
        }
    }

    private void Step(Batch batch)
    {
        try
        {
            this.steps.Step(batch);
        }
        catch (DivergedException error)
        {
            this.ThrowDiverged(batch, error);
        }
    }

    private void FinishEpoch()
    {
        var evaluation = Evaluation.Of(this.network.forward, this.validation, this.network);
        var isBest = evaluation.Top1 > this.state.BestTop1;
        if (isBest)
        {
            using var guard = no_grad();
            foreach (var (name, kept) in this.best)
                kept.copy_(this.network[name]);
        }
        var seconds = this.Seconds();
        var record = new TrainEpoch
        {
            Epoch = this.state.Epoch,
            LearningRate = this.steps.Optimizer.LearningRate,
            TrainLoss = this.steps.Figures.Mean(0) ?? 0,
            TrainTop1 = this.steps.Figures.Mean(1) ?? 0,
            ValidationLoss = evaluation.Loss,
            ValidationTop1 = evaluation.Top1,
            Best = isBest,
            Seconds = seconds - this.state.History.Sum(past => past.Seconds),
        };
        this.steps.Figures.Reset();
        this.state.History.Add(record);
        this.state = this.state with
        {
            Epoch = this.state.Epoch + 1,
            Step = 0,
            Seconds = seconds,
            BestEpoch = isBest ? record.Epoch : this.state.BestEpoch,
            BestTop1 = isBest ? evaluation.Top1 : this.state.BestTop1,
        };
        this.context.Progress.Epoch(this.Standing(record.Epoch, this.train.Count));
    }

    private void RestoreBest()
    {
        using var guard = no_grad();
        foreach (var (name, kept) in this.best)
            this.network[name].copy_(kept);
    }

    private Progress Standing(int epoch, int step)
    {
        var done = ((double)epoch * this.train.Count) + step;
        var left = ((double)this.settings.Epochs * this.train.Count) - done;
        return new Progress(
            "train", epoch, this.settings.Epochs, step, this.train.Count, this.imagesSeen / Math.Max(1e-9, this.watch.Elapsed.TotalSeconds),
            this.steps.Figures.Last[0], null, this.state.History.Count > 0 ? this.state.History[^1].ValidationTop1 : null, [],
            TimeSpan.FromSeconds(left * this.Seconds() / Math.Max(1, done)));
    }

    private double Seconds() => this.secondsBefore + this.watch.Elapsed.TotalSeconds;

    private void Stop(CancellationToken cancellation)
    {
        if (this.CheckpointPath is null)
            cancellation.ThrowIfCancellationRequested();
        this.Save();
        throw new FusionException(
            string.Create(CultureInfo.InvariantCulture, $"stopped in epoch {this.state.Epoch + 1}, after step {this.state.Step}; saved to {this.CheckpointPath}, run the same command to continue"),
            ExitCode.Checkpointed);
    }

    private void ThrowDiverged(Batch? batch, DivergedException error)
    {
        var where = "";
        if (this.context.Folder is { } folder)
        {
            var path = Path.Combine(folder, "checkpoint", "diverged.safetensors");
            Checkpoint.Write(path, this.fingerprint, this.state with { Seconds = this.Seconds() }, Json.Default.TrainState,
                batch is null ? this.Tensors() : [.. this.Tensors(), new("batch.images", batch.Images), new("batch.labels", batch.Labels)]);
            where = $" The state of the step is in {path}.";
        }
        throw new FusionException(
            string.Create(CultureInfo.InvariantCulture, $"training diverged in epoch {this.state.Epoch + 1}, step {this.state.Step + 1}: {error.Message}. Lower train.optimizer.lr or set train.clip.{where}"),
            ExitCode.Diverged,
            error);
    }

    private void Save()
    {
        if (this.CheckpointPath is { } path)
            Checkpoint.Write(path, this.fingerprint, this.state with { Seconds = this.Seconds(), Sums = this.steps.Figures.Sums }, Json.Default.TrainState, this.Tensors());
    }

    private IEnumerable<KeyValuePair<string, Tensor>> Tensors() =>
    [
        .. this.best.Select(pair => new KeyValuePair<string, Tensor>(pair.Key, this.network[pair.Key])),
        .. this.best.Select(pair => new KeyValuePair<string, Tensor>($"best.{pair.Key}", pair.Value)),
        .. this.steps.Optimizer.State("optimizer"),
    ];

    private void Resume()
    {
        if (this.CheckpointPath is not { } path)
            return;
        using var checkpoint = Checkpoint.Open(path, this.fingerprint);
        if (checkpoint is null)
            return;
        this.state = checkpoint.State(Json.Default.TrainState);
        this.secondsBefore = this.state.Seconds;
        this.steps.Figures.Sums = this.state.Sums;
        foreach (var (name, kept) in this.best)
        {
            checkpoint.ReadInto(name, this.network[name]);
            checkpoint.ReadInto($"best.{name}", kept);
        }
        this.steps.Optimizer.Load("optimizer", checkpoint.Read);
        this.context.Progress.Note(this.state.Epoch < this.settings.Epochs
            ? string.Create(CultureInfo.InvariantCulture, $"continues {path} in epoch {this.state.Epoch + 1} of {this.settings.Epochs}")
            : $"takes over {path}, which is complete");
    }
}
