using System.Diagnostics;
using System.Globalization;
using FusionGen.Checkpoints;
using FusionGen.Reporting;
using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Search;

/// <summary>What a search found.</summary>
/// <param name="Policy">The candidate of the largest α in each layer.</param>
/// <param name="History">Every epoch.</param>
public sealed record SearchResult(IPolicy Policy, IReadOnlyList<SearchEpoch> History);

/// <summary>
/// min over α of L_val(w*(α), α) − entropy·H(π) + cost·Σπ·cost, with w* = argmin L_train(w, α): steps of both levels in turn, over the epochs,
/// with π annealed towards a vertex. Resumes from its checkpoint to the bit; same seed, same bits.
/// </summary>
public sealed class BilevelSearch : IDisposable
{
    private readonly Supernet network;
    private readonly IBatches train;
    private readonly IBatches validation;
    private readonly SearchSettings settings;
    private readonly RunContext context;
    private readonly BilevelSteps steps;
    private readonly string fingerprint;
    private readonly Stopwatch watch = new();
    private IEnumerator<Batch>? cycle;
    private SearchState state = new();
    private long imagesSeen;
    private double secondsBefore;

    /// <summary>A search of a supernet from its present parameters, or from the checkpoint in the run's folder.</summary>
    /// <param name="network">Moved by the search; must outlive this object.</param>
    /// <param name="train">The lower level's split.</param>
    /// <param name="validation">The upper level's split.</param>
    /// <param name="settings">How; <see cref="NetworkPlan.Search"/> unless something was overridden.</param>
    /// <param name="context">Seed, folder, progress.</param>
    public BilevelSearch(Supernet network, IBatches train, IBatches validation, SearchSettings settings, RunContext context)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(train);
        ArgumentNullException.ThrowIfNull(validation);
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(context);
        if (train.Count == 0 || validation.Count == 0)
            throw new FusionException("a search needs training and validation images; one of the splits is empty", ExitCode.Data);
        (this.network, this.train, this.validation, this.settings, this.context) = (network, train, validation, settings, context);
        this.steps = new BilevelSteps(network, settings);
        this.fingerprint = string.Create(CultureInfo.InvariantCulture, $"phase=search\nspec={network.Plan.SpecHash}\nsettings={settings}\nepochs={this.ScheduleEpochs}\nseed={context.Seed}\nbackbone={context.Backbone}\ntype={network.DataType}\nengine={network.Engine}\ntraining batches={train.Count}\nvalidation batches={validation.Count}");
    }

    /// <summary>Called after every step, with the epoch and the step; for tests and tools.</summary>
    public Action<int, int>? AfterStep { get; set; }

    /// <summary>The steps; for tests and tools.</summary>
    public BilevelSteps Steps => this.steps;

    /// <summary>Epochs of the learning rate's cosine: the search's and, where training continues it, the training's.</summary>
    private int ScheduleEpochs => this.settings.Epochs + (this.network.Plan.Train.Continue ? this.network.Plan.Train.Epochs : 0);

    private string? CheckpointPath => this.context.Folder is { } folder ? Path.Combine(folder, "checkpoint", "search.safetensors") : null;

    /// <summary>Runs the search, or what is left of it.</summary>
    /// <exception cref="FusionException">
    /// <see cref="ExitCode.Diverged"/>: a loss stopped being a number; <see cref="ExitCode.Checkpointed"/>: cancelled, and saved to continue later.
    /// </exception>
    /// <exception cref="OperationCanceledException">Cancelled, and there is no folder to save to.</exception>
    public SearchResult Run(CancellationToken cancellation = default)
    {
        this.Resume();
        this.watch.Restart();
        this.imagesSeen = 0;
        while (this.state.Epoch < this.settings.Epochs)
        {
            this.RunEpoch(cancellation);
            this.Save();
            this.Report();
        }
        return new SearchResult(this.network.DiscretiseAny(), this.state.History);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        this.cycle?.Dispose();
        this.steps.Dispose();
    }

    private void RunEpoch(CancellationToken cancellation)
    {
        var epoch = this.state.Epoch;
        this.network.Temperature = Schedule.Temperature(this.settings, epoch);
        this.steps.Weights.Optimizer.LearningRate = Schedule.LearningRate(this.settings.Optimizer.LearningRate, epoch, this.ScheduleEpochs);
        var policy = this.network.DiscretiseAny().Names;
        var entropy = MixtureReading.Of(this.network).Entropy;
        foreach (var batch in this.train.On(this.network, this.context.Seed, epoch, from: this.state.Step))
        {
            using (batch)
            {
                this.Step(batch);
                this.imagesSeen += batch.Size;
            }
            this.state = this.state with { Step = this.state.Step + 1 };
            this.context.Progress.Step(this.Standing(epoch, this.state.Step, entropy, policy));
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

    /// <summary>A step of the weights, and the steps of α that fall on it.</summary>
    private void Step(Batch batch)
    {
        try
        {
            if (this.steps.ArchitectureFirst)
                this.StepArchitecture(batch);
            this.steps.StepWeights(batch);
            if (!this.steps.ArchitectureFirst)
                this.StepArchitecture(batch);
        }
        catch (DivergedException error)
        {
            this.ThrowDiverged(batch, error);
        }
    }

    private void StepArchitecture(Batch batch)
    {
        for (var due = this.ArchitectureStepsDue(); due > 0; due--)
        {
            using var validationBatch = this.NextValidation();
            this.steps.StepArchitecture(batch, validationBatch);
            this.state = this.state with { ArchitectureSteps = this.state.ArchitectureSteps + 1 };
        }
    }

    /// <summary>How many steps of α belong to the present training batch.</summary>
    private int ArchitectureStepsDue()
    {
        if (this.state.Epoch < this.settings.Warmup || this.steps.Architecture.Optimizer.Parameters.Count == 0)
            return 0;
        if (this.settings.Every == ArchitectureEvery.Step)
            return 1;
        var (step, count) = ((long)this.state.Step, this.validation.Count);
        return (int)(((step + 1) * count / this.train.Count) - (step * count / this.train.Count));
    }

    /// <summary>The validation batches, epoch after epoch of their own; where the cycle stands follows from the steps of α so far.</summary>
    private Batch NextValidation()
    {
        var at = this.state.ArchitectureSteps % this.validation.Count;
        if (this.cycle is null || !this.cycle.MoveNext())
        {
            this.cycle?.Dispose();
            var epoch = (int)(this.state.ArchitectureSteps / this.validation.Count);
            this.cycle = this.validation.On(this.network, this.context.Seed, epoch, from: (int)at).GetEnumerator();
            if (!this.cycle.MoveNext())
                throw new FusionException("the validation split yields fewer batches than it counts", ExitCode.Internal);
        }
        return this.cycle.Current;
    }

    private void FinishEpoch()
    {
        var mixture = MixtureReading.Of(this.network);
        var soft = Evaluation.Of(this.network.forward, this.validation, this.network);
        var choices = this.network.Argmax();
        using var vertex = this.network.Vertex(choices);
        var hard = Evaluation.Of(images => this.network.Forward(images, vertex), this.validation, this.network);
        var seconds = this.Seconds();
        var record = new SearchEpoch
        {
            Epoch = this.state.Epoch,
            LearningRate = this.steps.Weights.Optimizer.LearningRate,
            Temperature = this.network.Temperature,
            TrainLoss = this.steps.Weights.Figures.Mean(0) ?? 0,
            TrainTop1 = this.steps.Weights.Figures.Mean(1) ?? 0,
            Objective = this.steps.Architecture.Figures.Mean(0),
            ObjectiveLoss = this.steps.Architecture.Figures.Mean(1),
            GradientNorm = this.steps.Architecture.Figures.Mean(2),
            Entropy = mixture.Entropy,
            Cost = mixture.Cost,
            SoftLoss = soft.Loss,
            SoftTop1 = soft.Top1,
            HardLoss = hard.Loss,
            HardTop1 = hard.Top1,
            Policy = this.network.DiscretiseAny().Names,
            Weights = mixture.Weights,
            LogWeights = mixture.LogWeights,
            Seconds = seconds - this.state.History.Sum(past => past.Seconds),
        };
        this.steps.Weights.Figures.Reset();
        this.steps.Architecture.Figures.Reset();
        this.state.History.Add(record);
        this.state = this.state with { Epoch = this.state.Epoch + 1, Step = 0, Seconds = seconds };
        this.context.Progress.Epoch(this.Standing(record.Epoch, this.train.Count, record.Entropy, record.Policy));
    }

    private Progress Standing(int epoch, int step, double entropy, IReadOnlyList<string> policy)
    {
        var done = ((double)epoch * this.train.Count) + step;
        var rate = this.imagesSeen / Math.Max(1e-9, this.watch.Elapsed.TotalSeconds);
        var left = ((double)this.settings.Epochs * this.train.Count) - done;
        var perStep = this.Seconds() / Math.Max(1, done);
        return new Progress(
            "search", epoch, this.settings.Epochs, step, this.train.Count, rate, this.steps.Weights.Figures.Last[0], entropy,
            this.state.History.Count > 0 ? this.state.History[^1].SoftTop1 : null, policy, TimeSpan.FromSeconds(left * perStep));
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
            Checkpoint.Write(path, this.fingerprint, this.Snapshot(@checked: false), Json.Default.SearchState,
                batch is null ? this.Tensors() : [.. this.Tensors(), new("batch.images", batch.Images), new("batch.labels", batch.Labels)]);
            where = $" The state of the step is in {path}.";
        }
        throw new FusionException(
            string.Create(CultureInfo.InvariantCulture, $"the search diverged in epoch {this.state.Epoch + 1}, step {this.state.Step + 1}: {error.Message}. Lower search.optimizer.lr or search.architecture.lr, or raise the last temperature.{where}"),
            ExitCode.Diverged,
            error);
    }

    private SearchState Snapshot(bool @checked = true) => this.state with
    {
        Seconds = this.Seconds(),
        WeightSums = @checked ? this.steps.Weights.Figures.Sums : [],
        ArchitectureSums = @checked ? this.steps.Architecture.Figures.Sums : [],
    };

    private void Save()
    {
        if (this.CheckpointPath is { } path)
            Checkpoint.Write(path, this.fingerprint, this.Snapshot(), Json.Default.SearchState, this.Tensors());
    }

    private IEnumerable<KeyValuePair<string, Tensor>> Tensors() =>
    [
        .. this.network.Specs.Where(spec => spec.Role != TensorRole.Frozen)
            .Select(spec => new KeyValuePair<string, Tensor>(spec.Name, this.network[spec.Name])),
        .. this.steps.Weights.Optimizer.State("optimizer.weights"),
        .. this.steps.Architecture.Optimizer.State("optimizer.architecture"),
    ];

    private void Resume()
    {
        if (this.CheckpointPath is not { } path)
            return;
        using var checkpoint = Checkpoint.Open(path, this.fingerprint);
        if (checkpoint is null)
            return;
        this.state = checkpoint.State(Json.Default.SearchState);
        this.secondsBefore = this.state.Seconds;
        this.steps.Weights.Figures.Sums = this.state.WeightSums;
        this.steps.Architecture.Figures.Sums = this.state.ArchitectureSums;
        foreach (var spec in this.network.Specs.Where(spec => spec.Role != TensorRole.Frozen))
            checkpoint.ReadInto(spec.Name, this.network[spec.Name]);
        this.steps.Weights.Optimizer.Load("optimizer.weights", checkpoint.Read);
        this.steps.Architecture.Optimizer.Load("optimizer.architecture", checkpoint.Read);
        this.context.Progress.Note(this.state.Epoch < this.settings.Epochs
            ? string.Create(CultureInfo.InvariantCulture, $"continues {path} in epoch {this.state.Epoch + 1} of {this.settings.Epochs}")
            : $"takes over {path}, which is complete");
    }

    private void Report()
    {
        if (this.context.Folder is { } folder)
            RunFolder.WriteSearch(folder, this.network.Layers, this.state.History);
    }
}
