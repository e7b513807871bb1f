using System.CommandLine;
using System.Globalization;
using FusionGen.Cli.Commands;
using FusionGen.Cli.Compilation;
using FusionGen.Cli.Output;
using FusionGen.Compiler.Spec;
using FusionGen.Data;
using FusionGen.Reporting;
using FusionGen.Training;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Cli.Runs;

/// <summary>The options that say on what, with what and where a network works; every command that runs one takes them.</summary>
internal sealed class ExperimentOptions
{
    private readonly Argument<string>? spec;
    private readonly Option<string[]> overrides;
    private readonly Option<string?> data;
    private readonly Option<string?> weights;
    private readonly ComputeOptions compute;

    /// <summary>Adds them to a command.</summary>
    /// <param name="command">The command.</param>
    /// <param name="takesSpec">Whether the command works on one spec, its first argument.</param>
    public ExperimentOptions(ToolCommand command, bool takesSpec = true)
    {
        this.spec = takesSpec ? command.Takes(CommonOptions.Spec()) : null;
        this.data = command.Takes(CommonOptions.Data());
        this.weights = command.Takes(CommonOptions.Weights());
        this.overrides = command.Takes(CommonOptions.Set());
        this.compute = new ComputeOptions(command);
    }

    /// <summary>What the command line says of its spec.</summary>
    public Experiment Open(Invocation invocation) => this.Open(invocation, invocation.Get(this.spec!));

    /// <summary>What the command line says of a spec.</summary>
    public Experiment Open(Invocation invocation, string path)
    {
        var spec = SpecFile.Load(path, invocation.Get(this.overrides), invocation.Terminal);
        return new Experiment(spec, invocation.Get(this.data), spec.Weights(invocation.Get(this.weights)), this.compute.Of(invocation, spec.Document.Search.Order), invocation);
    }
}

/// <summary>A spec with its data, its weights and its device.</summary>
internal sealed class Experiment
{
    private readonly string? source;
    private readonly string? weights;
    private readonly Invocation invocation;
    private readonly HashSet<string> told = new(StringComparer.Ordinal);
    private ImageDataset? data;

    public Experiment(SpecFile spec, string? source, string? weights, Compute compute, Invocation invocation)
    {
        this.Spec = spec;
        this.source = source;
        this.weights = weights;
        this.Compute = compute;
        this.invocation = invocation;
    }

    /// <summary>The same on a spec with further overrides.</summary>
    public Experiment With(IReadOnlyList<string> overrides) =>
        new(this.Spec.With(overrides, this.Terminal), this.source, this.weights, this.Compute, this.invocation) { data = this.data };

    /// <summary>The spec.</summary>
    public SpecFile Spec { get; }

    /// <summary>Where and by whom its networks are computed.</summary>
    public Compute Compute { get; }

    /// <summary>Where networks live.</summary>
    public Device Device => this.Compute.Device;

    /// <summary>Where to write.</summary>
    public Terminal Terminal => this.invocation.Terminal;

    /// <summary>Asks for an early end.</summary>
    public CancellationToken Cancellation => this.invocation.Cancellation;

    /// <summary>The data, opened when first asked for. Splits do not depend on the run's seed, so that seeds compare like with like.</summary>
    public ImageDataset Data => this.data ??= this.OpenData();

    /// <summary>Everything that decides an outcome but the seed.</summary>
    public string Identity => string.Join('\n', this.Spec.Text, this.Source, this.weights ?? "none", this.Compute.Engine, this.Compute.Place);

    /// <summary>What features without prompts depend on: the backbone, its weights, how images are prepared.</summary>
    public object Backbone => (this.Spec.Document.Backbone, this.weights, this.Spec.Document.Classes, this.Spec.Document.Train.Preprocessing, this.Spec.Document.Train.Normalization);

    /// <summary>Where a run's files go if the user does not say.</summary>
    public string DefaultFolder(long seed) => Path.Combine("runs", string.Create(CultureInfo.InvariantCulture, $"{this.Spec.Name}-{seed}"));

    /// <summary>Shuffled and augmented.</summary>
    public IBatches Train(int batch) => this.Batches(this.Data.Train, batch, training: true);

    /// <summary>Training and validation pictures together, shuffled and augmented.</summary>
    public IBatches TrainVal(int batch) => this.Batches(this.Data.TrainVal, batch, training: true);

    /// <summary>In one order, without augmentation.</summary>
    public IBatches Fixed(Split split, int batch) => this.Batches(split, batch, training: false);

    /// <summary>The validation split, without augmentation; in a mixed order, because a step of α on one class alone would mislead it.</summary>
    public IBatches Validation(int batch) => this.Batches(Mixed(this.Data.Val), batch, training: false);

    /// <summary>Gives a network its start: random by the seed, then the backbone's weights.</summary>
    /// <returns>Digest of the weights; empty where there are none.</returns>
    public string Prepare(FusionNetwork network, long seed)
    {
        this.Compute.Apply(network);
        network.Initialize(seed);
        if (this.weights is null)
        {
            this.Tell($"{this.Spec.Document.Model}: the backbone starts at random; name its weights with --weights or in the spec");
            return "";
        }
        if (!File.Exists(this.weights))
            throw new FusionException($"{this.weights}: the backbone's weights are missing. Put them there, name others with --weights, make some with 'fusiongen pretrain', or go without with '--weights none'", ExitCode.Data);
        var loaded = BackboneWeights.Load(network, this.weights);
        foreach (var note in loaded.Notes)
            this.Tell($"{this.weights}: {note}");
        return loaded.Digest;
    }

    /// <summary>What a run has around it.</summary>
    public RunContext Context(string folder, long seed, string digest) => new()
    {
        Seed = seed,
        Folder = folder,
        Backbone = digest,
        Progress = new ConsoleProgress(this.Terminal.ErrorOutput, this.Terminal.IsErrorTerminal, this.Terminal.Width),
    };

    /// <summary>Writes what the run starts from: <c>spec.lock.yaml</c> and <c>env.json</c>.</summary>
    public void WriteStart(string folder, long seed, string digest)
    {
        RunFolder.WriteSpec(folder, this.Lock());
        RunFolder.WriteEnvironment(folder,
        [
            new("command", $"fusiongen {string.Join(' ', this.invocation.Parse.Tokens.Select(token => token.Value))}"),
            new("seed", seed.ToString(CultureInfo.InvariantCulture)),
            new("data", this.Source),
            new("protocol", RecipeCatalogue.Protocol(this.Spec.Document.Train)),
            new("weights", this.weights ?? ""),
            new("weights_sha256", digest),
            new("libtorch", __version__),
            new("device", this.Compute.Place),
            new("engine", this.Compute.Engine.ToString().ToLowerInvariant()),
            new("threads", get_num_threads().ToString(CultureInfo.InvariantCulture)),
        ]);
    }

    /// <summary>The spec as it is run; above it, where a recipe was named, what of the recipe it changes.</summary>
    private string Lock()
    {
        var train = this.Spec.Document.Train;
        var changes = RecipeCatalogue.Overridden(train).Select(change => $"#   {change.Key}: {change.Value} (published: {change.Published})\n").ToList();
        return train.Recipe.Length == 0 ? this.Spec.Text
            : $"# recipe {train.Recipe}, {(changes.Count == 0 ? "as published" : "changed:")}\n{string.Concat(changes)}{this.Spec.Text}";
    }

    /// <summary>Says something once.</summary>
    public void Tell(string note)
    {
        if (this.told.Add(note))
            this.Terminal.Note(note);
    }

    private string Source => this.source ?? (this.Spec.Document.Data.Length > 0
        ? this.Spec.Document.Data
        : throw new FusionException($"{this.Spec.Path}: names no data; add 'data:' to the spec or use --data ({DataSource.Forms})", ExitCode.Spec));

    private ImageDataset OpenData()
    {
        var opened = DataSource.Open(this.Source, seed: 0, this.Spec.Document.Search.Split);
        return opened.Classes == this.Spec.Document.Classes
            ? opened
            : throw new FusionException($"{this.Source}: has {opened.Classes} classes, {this.Spec.Path} says {this.Spec.Document.Classes}; set 'classes: {opened.Classes}' or use --set classes={opened.Classes}", ExitCode.Data);
    }

    private static Split Mixed(Split split)
    {
        var order = Enumerable.Range(0, split.Count).ToArray();
        SplitMix.For(0, "validation order").Shuffle<int>(order);
        return new Split([.. order.Select(split.Label)], index => split.Read(order[index]));
    }

    private Loader Batches(Split split, int batch, bool training)
    {
        var train = this.Spec.Document.Train;
        return new Loader(split, Preprocessing.Of(train.Preprocessing), Normalization.Of(train.Normalization), this.Spec.Document.Backbone.Image, batch, training);
    }
}
