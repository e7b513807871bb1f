using System.Globalization;
using System.Text.Json.Serialization.Metadata;
using FusionGen.Checkpoints;
using FusionGen.Reporting;
using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Search;

/// <summary>What a search found.</summary>
/// <param name="Policy">The candidate of each layer.</param>
/// <param name="History">Every epoch.</param>
/// <param name="Seconds">Wall clock of it all.</param>
public sealed record SearchResult(IPolicy Policy, IReadOnlyList<SearchEpoch> History, double Seconds);

/// <summary>
/// min over α of L_val(w*(α), α) − entropy·H(π) + cost·Σπ·cost, with w* = argmin L_train(w, α): steps of both levels in turn, over the epochs,
/// with π annealed towards a vertex.
/// </summary>
public sealed class BilevelSearch : EpochRun
{
    private readonly Supernet supernet;
    private readonly SearchSettings settings;
    private IEnumerator<Batch>? cycle;
    private SearchState state = new();
    private double entropy;
    private IReadOnlyList<string> policy = [];

    /// <summary>A search of a supernet from its present parameters, or from the checkpoint in the run's folder.</summary>
    /// <param name="network">Moved by the search; must outlive this object.</param>
    /// <param name="train">The lower level's split.</param>
    /// <param name="validation">The upper level's split.</param>
    /// <param name="settings">How; <see cref="NetworkPlan.Search"/> unless something was overridden.</param>
    /// <param name="context">Seed, folder, progress.</param>
    public BilevelSearch(Supernet network, IBatches train, IBatches validation, SearchSettings settings, RunContext context)
        : base("search", network, train, validation, context, settings?.Epochs ?? throw new ArgumentNullException(nameof(settings)))
    {
        (this.supernet, this.settings) = (network, settings);
        network.Relaxation = settings.Relaxation;
        this.Steps = new BilevelSteps(network, settings);
    }

    /// <summary>The steps; for tests and tools.</summary>
    public BilevelSteps Steps { get; }

    private protected override RunState State
    {
        get => this.state;
        set => this.state = (SearchState)value;
    }

    private protected override JsonTypeInfo StateType => Json.Default.SearchState;

    private protected override IReadOnlyList<Meter> Meters => [this.Steps.Weights.Figures, this.Steps.Architecture.Figures];

    private protected override string Identity => string.Create(CultureInfo.InvariantCulture, $"settings={this.settings}\nepochs={this.ScheduleEpochs}");

    private protected override string Remedy => "Lower search.optimizer.lr or search.architecture.lr, or raise the last temperature";

    /// <summary>Whether the policy has stayed the same for long enough since α began to move.</summary>
    private bool IsStable => this.settings.Stop > 0 && this.supernet.Alphas.Elements > 0 && this.state.History.Count > this.settings.Warmup + this.settings.Stop
        && this.state.History.TakeLast(this.settings.Stop + 1).All(epoch => epoch.Policy.SequenceEqual(this.state.History[^1].Policy, StringComparer.Ordinal));

    private protected override bool IsOver => base.IsOver || this.IsStable;

    /// <summary>Epochs of the learning rate's cosine: the search's and, where training continues it, the training's.</summary>
    private int ScheduleEpochs => this.settings.Epochs + (this.supernet.Plan.Train.Continue ? this.supernet.Plan.Train.Epochs : 0);

    /// <summary>Runs the search, or what is left of it.</summary>
    /// <exception cref="FusionException">
    /// <see cref="ExitCode.Diverged"/>: a loss stopped being a number; <see cref="ExitCode.Checkpointed"/>: cancelled, and saved to continue later.
    /// </exception>
    /// <exception cref="OperationCanceledException">Cancelled, and there is no folder to save to.</exception>
    public SearchResult Run(CancellationToken cancellation = default)
    {
        this.RunEpochs(cancellation);
        var perturbing = this.Perturb(cancellation);
        return new SearchResult(this.supernet.DiscretiseAny(), this.state.History, this.state.Seconds + perturbing);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (!disposing)
            return;
        this.cycle?.Dispose();
        this.Steps.Dispose();
    }

    /// <summary>Fixes the layers by perturbation, where the settings say so.</summary>
    /// <returns>Seconds it took.</returns>
    private double Perturb(CancellationToken cancellation)
    {
        if (this.settings.Discretise != Discretisation.Perturbation)
            return 0;
        using var perturbation = new Perturbation(this.supernet, this.Train, this.Validation, this.settings, this.Context, this.state.History.Count) { AfterStep = this.AfterStep };
        return perturbation.Run(cancellation).Seconds;
    }

    private protected override void BeginEpoch()
    {
        this.supernet.Temperature = Schedule.Temperature(this.settings, this.state.Epoch);
        this.Steps.Weights.Optimizer.LearningRate = Schedule.LearningRate(this.settings.Optimizer.LearningRate, this.state.Epoch, this.ScheduleEpochs);
        this.policy = this.supernet.DiscretiseAny().Names;
        this.entropy = MixtureReading.Of(this.supernet).Entropy;
    }

    /// <summary>A step of the weights, and the steps of α that fall on it.</summary>
    private protected override void Step(Batch batch)
    {
        if (this.Steps.ArchitectureFirst)
            this.StepArchitecture(batch);
        this.Draw("weights", ((long)this.state.Epoch * this.Batches) + this.state.Step);
        this.Steps.StepWeights(batch);
        if (!this.Steps.ArchitectureFirst)
            this.StepArchitecture(batch);
    }

    private protected override void FinishEpoch()
    {
        this.supernet.EndDraw();
        var mixture = MixtureReading.Of(this.supernet);
        var soft = Evaluation.Of(this.supernet.forward, this.Validation, this.supernet);
        using var vertex = this.supernet.Vertex(this.supernet.Argmax());
        var hard = Evaluation.Of(images => this.supernet.Forward(images, vertex), this.Validation, this.supernet);
        var (train, architecture) = (this.Steps.Weights.Figures, this.Steps.Architecture.Figures);
        var seconds = this.Seconds;
        (this.entropy, this.policy) = (mixture.Entropy, this.supernet.DiscretiseAny().Names);
        this.state.History.Add(new SearchEpoch
        {
            Epoch = this.state.Epoch,
            LearningRate = this.Steps.Weights.Optimizer.LearningRate,
            Temperature = this.supernet.Temperature,
            TrainLoss = train.Mean(0) ?? 0,
            TrainTop1 = train.Mean(1) ?? 0,
            Objective = architecture.Mean(0),
            ObjectiveLoss = architecture.Mean(1),
            GradientNorm = architecture.Mean(2),
            Entropy = mixture.Entropy,
            Cost = mixture.Cost,
            SoftLoss = soft.Loss,
            SoftTop1 = soft.Top1,
            HardLoss = hard.Loss,
            HardTop1 = hard.Top1,
            Policy = this.policy,
            Weights = mixture.Weights,
            LogWeights = mixture.LogWeights,
            Alarms = this.Alarms(mixture),
            Seconds = seconds - this.state.History.Sum(past => past.Seconds),
        });
        train.Reset();
        architecture.Reset();
        this.state = this.state with { Epoch = this.state.Epoch + 1, Step = 0, Seconds = seconds };
        if (!base.IsOver && this.IsStable)
            this.Context.Progress.Note(string.Create(CultureInfo.InvariantCulture, $"the policy has not changed for {this.settings.Stop} epochs: the search ends after epoch {this.state.Epoch} of {this.settings.Epochs}"));
    }

    /// <summary>Says a collapse when it begins.</summary>
    private IReadOnlyList<string>? Alarms(MixtureReading mixture)
    {
        var alarms = Collapse.Of(this.settings, this.supernet.Layers, mixture, this.state.Epoch);
        var before = this.state.History.Count > 0 ? this.state.History[^1].Alarms ?? [] : [];
        foreach (var alarm in alarms.Where(alarm => !before.Any(past => Collapse.IsSame(past, alarm))))
            this.Context.Progress.Note($"alarm after epoch {this.state.Epoch + 1}: {alarm}");
        return alarms.Count > 0 ? alarms : null;
    }

    /// <summary>Draws the candidates of a step, anew for each, by the run's seed and the step alone.</summary>
    private void Draw(string level, long step)
    {
        if (this.settings.Relaxation == Relaxation.Gdas)
            this.supernet.Draw(SplitMix.For(this.Context.Seed, string.Create(CultureInfo.InvariantCulture, $"draw.{level}.{step}")));
    }

    private protected override Progress Watched(Progress progress) => progress with
    {
        Entropy = this.entropy,
        Policy = this.policy,
        Top1 = this.state.History.Count > 0 ? this.state.History[^1].SoftTop1 : null,
    };

    private protected override void Report(string folder) => RunFolder.WriteSearch(folder, this.supernet.Layers, this.state.History);

    private protected override IEnumerable<KeyValuePair<string, Tensor>> Tensors() =>
    [
        .. this.Moved().Select(name => new KeyValuePair<string, Tensor>(name, this.supernet[name])),
        .. this.Steps.Weights.Optimizer.State("optimizer.weights"),
        .. this.Steps.Architecture.Optimizer.State("optimizer.architecture"),
    ];

    private protected override void Load(Checkpoint checkpoint)
    {
        foreach (var name in this.Moved())
            checkpoint.ReadInto(name, this.supernet[name]);
        this.Steps.Weights.Optimizer.Load("optimizer.weights", checkpoint.Read);
        this.Steps.Architecture.Optimizer.Load("optimizer.architecture", checkpoint.Read);
    }

    private IEnumerable<string> Moved() => this.supernet.Specs.Where(spec => spec.Role != TensorRole.Frozen).Select(spec => spec.Name);

    private void StepArchitecture(Batch batch)
    {
        for (var due = this.ArchitectureStepsDue(); due > 0; due--)
        {
            using var validationBatch = this.NextValidation();
            this.Draw("architecture", this.state.ArchitectureSteps);
            this.Steps.StepArchitecture(batch, validationBatch);
            this.state = this.state with { ArchitectureSteps = this.state.ArchitectureSteps + 1 };
        }
    }

    /// <summary>How many steps of α belong to the present training batch.</summary>
    private int ArchitectureStepsDue()
    {
        if (this.state.Epoch < this.settings.Warmup || this.Steps.Architecture.Optimizer.Parameters.Count == 0)
            return 0;
        if (this.settings.Every == ArchitectureEvery.Step)
            return 1;
        var (step, count) = ((long)this.state.Step, this.Validation.Count);
        return (int)(((step + 1) * count / this.Batches) - (step * count / this.Batches));
    }

    /// <summary>The validation batches, epoch after epoch of their own; where the cycle stands follows from the steps of α so far.</summary>
    private Batch NextValidation()
    {
        var at = this.state.ArchitectureSteps % this.Validation.Count;
        if (this.cycle is null || !this.cycle.MoveNext())
        {
            this.cycle?.Dispose();
            var epoch = (int)(this.state.ArchitectureSteps / this.Validation.Count);
            this.cycle = this.Validation.On(this.supernet, this.Context.Seed, epoch, from: (int)at).GetEnumerator();
            if (!this.cycle.MoveNext())
                throw new FusionException("the validation split yields fewer batches than it counts", ExitCode.Internal);
        }
        return this.cycle.Current;
    }
}
