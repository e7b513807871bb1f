using System.Globalization;
using System.Text.Json.Serialization.Metadata;
using FusionGen.Checkpoints;
using FusionGen.Reporting;
using static TorchSharp.torch;

namespace FusionGen.Training;

/// <summary>How training went; the network holds the parameters of the epoch that counts.</summary>
/// <param name="BestEpoch">The epoch that counts, from 0: of the highest validation accuracy and of equals the first, or the last one; -1 if there was none.</param>
/// <param name="BestTop1">Its validation accuracy; not a number where nothing was validated.</param>
/// <param name="History">Every epoch.</param>
public sealed record TrainResult(int BestEpoch, double BestTop1, IReadOnlyList<TrainEpoch> History);

/// <summary>
/// Trains what a network tunes. <em>Scratch</em> starts from fresh parameters, with warm-up; <em>continue</em> starts from the supernet's
/// and stays on the search's cosine, with new optimizer state (the authors' second phase). The best epoch by validation accuracy counts, or the
/// last, in which case validation is left for the end (METHOD §6.3): the number is the same.
/// </summary>
public sealed class Trainer : EpochRun
{
    private readonly TrainSettings settings;
    private readonly int epochsBefore;
    private readonly WeightSteps steps;
    private readonly bool isValidated;

    // What counts so far; nothing where the last epoch does.
    private readonly Dictionary<string, Tensor> best;
    private TrainState state = new();

    /// <summary>Training of a network from its present parameters, or from the checkpoint in the run's folder.</summary>
    /// <param name="network">Moved by training; must outlive this object.</param>
    /// <param name="train">The split to learn from.</param>
    /// <param name="validation">The split that chooses the epoch; null if there is none and the last one counts.</param>
    /// <param name="settings">How; <see cref="NetworkPlan.Train"/> unless something was overridden.</param>
    /// <param name="context">Seed, folder, progress.</param>
    /// <param name="epochsBefore">Epochs of the same cosine that the search already used; 0 from scratch.</param>
    public Trainer(FusionNetwork network, IBatches train, IBatches? validation, TrainSettings settings, RunContext context, int epochsBefore = 0)
        : base("train", network, train, validation, context, settings?.Epochs ?? throw new ArgumentNullException(nameof(settings)))
    {
        if (validation is null && settings.Keep == Keep.Best)
            throw new ArgumentException("the best epoch is chosen on a validation split", nameof(validation));
        (this.settings, this.epochsBefore, this.isValidated) = (settings, epochsBefore, validation is not null);
        this.steps = WeightSteps.Of(network, settings.Optimizer, settings.Clip, name => Optimizer.Decays(settings.Optimizer, name));
        var kept = settings.Keep == Keep.Best ? this.steps.Optimizer.Parameters : [];
        this.best = kept.ToDictionary(
            parameter => parameter.Name, parameter => parameter.Value.detach().clone().DetachFromDisposeScope(), StringComparer.Ordinal);
    }

    private protected override RunState State
    {
        get => this.state;
        set => this.state = (TrainState)value;
    }

    private protected override JsonTypeInfo StateType => Json.Default.TrainState;

    private protected override IReadOnlyList<Meter> Meters => [this.steps.Figures];

    private protected override string Identity => string.Create(
        CultureInfo.InvariantCulture, $"policy={(this.Network is FusionModel model ? string.Join(' ', model.Policy) : "")}\nsettings={this.settings}\nepochs before={this.epochsBefore}");

    private protected override string Remedy => "Lower train.optimizer.lr or set train.clip";

    // Epochs of the data continue where the search's ended, so that crops and order are new ones.
    private protected override int FirstDataEpoch => this.epochsBefore;

    /// <summary>Trains, or does what is left of it; then puts the best epoch's parameters back.</summary>
    /// <exception cref="FusionException">
    /// <see cref="ExitCode.Diverged"/>: a loss stopped being a number; <see cref="ExitCode.Checkpointed"/>: cancelled, and saved to continue later.
    /// </exception>
    /// <exception cref="OperationCanceledException">Cancelled, and there is no folder to save to.</exception>
    public TrainResult Run(CancellationToken cancellation = default)
    {
        this.RunEpochs(cancellation);
        if (this.state.BestEpoch >= 0)
            this.RestoreBest();
        return new TrainResult(this.state.BestEpoch, this.state.BestTop1 < 0 ? double.NaN : this.state.BestTop1, this.state.History);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (!disposing)
            return;
        this.steps.Dispose();
        foreach (var tensor in this.best.Values)
            tensor.Dispose();
    }

    private protected override void BeginEpoch() => this.steps.Optimizer.LearningRate = Schedule.LearningRate(
        this.settings.LearningRate,
        this.epochsBefore + this.state.Epoch,
        this.epochsBefore + this.settings.Epochs,
        this.epochsBefore == 0 ? this.settings.Warmup : 0);

    private protected override void Step(Batch batch) => this.steps.Step(batch);

    private protected override void FinishEpoch()
    {
        var isLast = this.state.Epoch == this.settings.Epochs - 1;
        var evaluation = this.isValidated && (isLast || this.settings.Keep == Keep.Best) ? Evaluation.Of(this.Network.forward, this.Validation, this.Network) : null;
        var counts = this.settings.Keep == Keep.Last || evaluation!.Top1 > this.state.BestTop1;
        if (counts)
        {
            using var guard = no_grad();
            foreach (var (name, kept) in this.best)
                kept.copy_(this.Network[name]);
        }
        var seconds = this.Seconds;
        this.state.History.Add(new TrainEpoch
        {
            Epoch = this.state.Epoch,
            LearningRate = this.steps.Optimizer.LearningRate,
            TrainLoss = this.steps.Figures.Mean(0) ?? 0,
            TrainTop1 = this.steps.Figures.Mean(1) ?? 0,
            ValidationLoss = evaluation?.Loss,
            ValidationTop1 = evaluation?.Top1,
            Best = counts,
            Seconds = seconds - this.state.History.Sum(past => past.Seconds),
        });
        this.steps.Figures.Reset();
        this.state = this.state with
        {
            Epoch = this.state.Epoch + 1,
            Step = 0,
            Seconds = seconds,
            BestEpoch = counts ? this.state.Epoch : this.state.BestEpoch,
            BestTop1 = counts ? evaluation?.Top1 ?? -1 : this.state.BestTop1,
        };
    }

    private protected override Progress Watched(Progress progress) =>
        progress with { Top1 = this.state.History.Count > 0 ? this.state.History[^1].ValidationTop1 : null };

    private protected override void Report(string folder) => RunFolder.WriteTraining(folder, this.state.History);

    private protected override IEnumerable<KeyValuePair<string, Tensor>> Tensors() =>
    [
        .. this.steps.Optimizer.Parameters.Select(parameter => new KeyValuePair<string, Tensor>(parameter.Name, this.Network[parameter.Name])),
        .. this.best.Select(pair => new KeyValuePair<string, Tensor>($"best.{pair.Key}", pair.Value)),
        .. this.steps.Optimizer.State("optimizer"),
    ];

    private protected override void Load(Checkpoint checkpoint)
    {
        foreach (var parameter in this.steps.Optimizer.Parameters)
            checkpoint.ReadInto(parameter.Name, this.Network[parameter.Name]);
        foreach (var (name, kept) in this.best)
            checkpoint.ReadInto($"best.{name}", kept);
        this.steps.Optimizer.Load("optimizer", checkpoint.Read);
    }

    private void RestoreBest()
    {
        using var guard = no_grad();
        foreach (var (name, kept) in this.best)
            this.Network[name].copy_(kept);
    }
}
