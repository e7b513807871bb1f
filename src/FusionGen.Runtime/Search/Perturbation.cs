using System.Globalization;
using System.Text.Json.Serialization.Metadata;
using FusionGen.Checkpoints;
using FusionGen.Reporting;
using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Search;

/// <summary>
/// The policy by what each candidate is worth to the supernet (DARTS-PT, Wang et al. 2021; METHOD §3.3): layer by layer, in an order drawn by the seed, the
/// candidate stays whose removal, the others' shares raised to sum 1, costs most validation accuracy, or among equals most loss. After some layers the weights are tuned to
/// what is left, at a tenth of the rate, on a cosine over all such epochs; α stands still.
/// </summary>
internal sealed class Perturbation : EpochRun
{
    private readonly Supernet supernet;
    private readonly SearchSettings settings;
    private readonly WeightSteps steps;
    private readonly int[] order;
    private readonly int epochs;
    private PerturbState state = new();
    private CancellationToken cancellation;

    /// <summary>The discretisation of a supernet that was searched, or what is left of it.</summary>
    public Perturbation(Supernet network, IBatches train, IBatches validation, SearchSettings settings, RunContext context, int epochsBefore)
        : this(network, train, validation, settings, context, epochsBefore, Order(network, context.Seed))
    {
    }

    private Perturbation(Supernet network, IBatches train, IBatches validation, SearchSettings settings, RunContext context, int epochsBefore, int[] order)
        : base("perturb", network, train, validation, context, Rounds(settings, order) * settings.PerturbEpochs)
    {
        (this.supernet, this.settings, this.FirstDataEpoch, this.order) = (network, settings, epochsBefore, order);
        this.epochs = Rounds(settings, order) * settings.PerturbEpochs;
        this.steps = WeightSteps.Of(network, settings.Optimizer with { LearningRate = settings.Optimizer.LearningRate / 10 });
    }

    private protected override RunState State
    {
        get => this.state;
        set => this.state = (PerturbState)value;
    }

    private protected override JsonTypeInfo StateType => Json.Default.PerturbState;

    private protected override IReadOnlyList<Meter> Meters => [this.steps.Figures];

    private protected override int FirstDataEpoch { get; }

    private protected override string Identity => string.Create(CultureInfo.InvariantCulture, $"settings={this.settings}\nepochs before={this.FirstDataEpoch}");

    private protected override string Remedy => "Lower search.optimizer.lr";

    /// <summary>Fixes every layer.</summary>
    /// <returns>What was found of each, in order, and the wall clock.</returns>
    public (IReadOnlyList<PerturbedLayer> Layers, double Seconds) Run(CancellationToken token)
    {
        this.cancellation = token;
        this.RunEpochs(token);
        this.FixUpTo(this.order.Length);
        if (this.Context.Folder is { } folder)
            this.Report(folder);
        return (this.state.Layers, this.Seconds);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            this.steps.Dispose();
    }

    private protected override void BeginEpoch()
    {
        this.FixUpTo(((this.state.Epoch / this.settings.PerturbEpochs) + 1) * this.settings.PerturbLayers);
        this.steps.Optimizer.LearningRate = Schedule.LearningRate(this.settings.Optimizer.LearningRate / 10, this.state.Epoch, this.epochs);
    }

    private protected override void Step(Batch batch) => this.steps.Step(batch);

    private protected override void FinishEpoch()
    {
        this.steps.Figures.Reset();
        this.state = this.state with { Epoch = this.state.Epoch + 1, Step = 0, Seconds = this.Seconds };
    }

    private protected override Progress Watched(Progress progress) => progress with { Policy = this.supernet.DiscretiseAny().Names };

    private protected override void Report(string folder) => RunFolder.WritePerturbation(folder, this.supernet.Layers, this.state.Layers);

    private protected override IEnumerable<KeyValuePair<string, Tensor>> Tensors() =>
        [.. this.steps.Optimizer.Parameters.Select(parameter => new KeyValuePair<string, Tensor>(parameter.Name, parameter.Value)), .. this.steps.Optimizer.State("optimizer")];

    private protected override void Load(Checkpoint checkpoint)
    {
        foreach (var (name, value, _, _) in this.steps.Optimizer.Parameters)
            checkpoint.ReadInto(name, value);
        this.steps.Optimizer.Load("optimizer", checkpoint.Read);
        foreach (var layer in this.state.Layers)
            this.supernet.Fixed[layer.Layer] = layer.Choice;
    }

    private static int[] Order(Supernet network, long seed)
    {
        var order = Enumerable.Range(0, network.Layers.Count).Where(layer => network.Layers[layer].Names.Count > 1).ToArray();
        SplitMix.For(seed, "perturbation order").Shuffle<int>(order);
        return order;
    }

    /// <summary>Rounds of fine-tuning: between groups of layers, none after the last.</summary>
    private static int Rounds(SearchSettings settings, int[] order) => Math.Max(0, (order.Length - 1) / settings.PerturbLayers);

    /// <summary>Fixes layers until there are so many.</summary>
    private void FixUpTo(int count)
    {
        while (this.state.Layers.Count < Math.Min(count, this.order.Length))
        {
            if (this.cancellation.IsCancellationRequested)
                this.Stop(this.cancellation);
            var layer = this.Judge(this.order[this.state.Layers.Count]);
            this.supernet.Fixed[layer.Layer] = layer.Choice;
            this.state.Layers.Add(layer);
            this.Context.Progress.Note(string.Create(
                CultureInfo.InvariantCulture,
                $"perturb {this.state.Layers.Count}/{this.order.Length}: layer {layer.Layer} keeps {this.supernet.Layers[layer.Layer].Names[layer.Choice]}, without it {layer.Top1[layer.Choice]:0.0%}"));
            this.Save();
        }
    }

    /// <summary>Validates the supernet without each candidate of a layer.</summary>
    private PerturbedLayer Judge(int layer)
    {
        // One for each batch: the first candidate takes it to the layer, the others start there.
        var forward = Enumerable.Range(0, this.Validation.Count).Select(_ => this.supernet.FromLayer(layer)).ToArray();
        var without = new Evaluation[this.supernet.Layers[layer].Names.Count];
        for (var candidate = 0; candidate < without.Length; candidate++)
        {
            using var mixture = this.supernet.Without(layer, candidate);
            var batch = 0;
            without[candidate] = Evaluation.Of(images => forward[batch++](images, mixture), this.Validation, this.supernet, this.cancellation);
        }
        var choice = Enumerable.Range(0, without.Length).OrderBy(i => without[i].Correct.Sum()).ThenByDescending(i => without[i].Loss).First();
        return new PerturbedLayer(layer, choice, [.. without.Select(one => one.Top1)], [.. without.Select(one => one.Loss)]);
    }
}
