using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Text.Json;
using FusionGen.Search;
using FusionGen.Training;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Benchmarks;

/// <summary>Our side of a comparison, in a process of its own: writes the case, then answers the commands that the peers answer.</summary>
internal abstract class Worker : IDisposable
{
    /// <summary>First argument of such a process.</summary>
    public const string Command = "worker";

    private protected Worker(Workload workload, FusionNetwork network)
    {
        (this.Workload, this.Network) = (workload, network);
        network.Initialize(seed: 0);
        this.Disturb();
    }

    private protected Workload Workload { get; }

    /// <summary>Bytes that the compiler says a training step takes beside parameters and images.</summary>
    private long Planned => this.Network.Training is { } engine ? engine.Program.PeakBytes(this.Workload.Batch, engine.Workers) : 0;

    private protected FusionNetwork Network { get; }

    /// <summary>What the peer reads beside parameters.</summary>
    private protected abstract IReadOnlyDictionary<string, Tensor> Inputs { get; }

    /// <summary>Constants that the peer reads beside the network's sizes.</summary>
    private protected abstract IReadOnlyDictionary<string, string> Constants { get; }

    /// <summary>Runs until the input ends.</summary>
    /// <param name="arguments">The workload as JSON; the path of its compiled networks; then, where a peer is to read the case, its path.</param>
    public static void Run(ReadOnlySpan<string> arguments)
    {
        var workload = JsonSerializer.Deserialize<Workload>(arguments[0])!;
        using var worker = Of(workload, Assembly.LoadFrom(arguments[1]));
        if (arguments.Length > 2)
            worker.WriteCase(arguments[2]);
        // What filling the parameters and writing them left is not the steps' memory.
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        ProcessMemory.ForgetPeak();
        Answer(new { torch = __version__, threads = get_num_threads(), resident = ProcessMemory.Resident, planned = worker.Planned });
        while (Console.In.ReadLine() is { } line)
        {
            using var scope = NewDisposeScope();
            switch (line.Split(' ')[0])
            {
                case "step":
                    var (watch, before) = (Stopwatch.StartNew(), Environment.CpuUsage.TotalTime);
                    worker.Step();
                    var seconds = watch.Elapsed.TotalSeconds;
                    Answer(new { seconds, work = (Environment.CpuUsage.TotalTime - before).TotalSeconds, peak = ProcessMemory.Peak, tensors = Tensor.TotalCount });
                    break;
                case "trace":
                    Answer(worker.Trace());
                    break;
                default:
                    throw new InvalidOperationException($"unknown command '{line}'");
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        this.Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>One step.</summary>
    private protected abstract void Step();

    /// <summary>One step, and what it computed.</summary>
    private protected abstract Dictionary<string, float[]> Trace();

    /// <summary>Frees what the worker owns.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (!disposing)
            return;
        foreach (var input in this.Inputs.Values)
            input.Dispose();
        this.Network.Dispose();
    }

    private protected static string Text(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    private protected static float[] Numbers(Tensor tensor) => tensor.detach().data<float>().ToArray();

    private protected Batch RandomBatch(string split)
    {
        var random = SplitMix.For(0, $"{split}.labels");
        var labels = Enumerable.Range(0, this.Workload.Batch).Select(_ => (long)random.Next(this.Network.Plan.Classes)).ToArray();
        return new Batch(this.RandomImages($"{split}.images"), tensor(labels));
    }

    private protected Tensor RandomImages(string purpose) => Gaussian(purpose, 1, [this.Workload.Batch, 3, this.Workload.Shape.Image, this.Workload.Shape.Image]);

    private static Worker Of(Workload workload, Assembly networks)
    {
        T Create<T>(string suffix) => (T)Activator.CreateInstance(networks.GetTypes().Single(type => type.Name == Workload.Model + suffix), null, ScalarType.Float32)!;
        return workload.Kind switch
        {
            Kind.Search => new SearchWorker(workload, Create<Supernet>("Supernet")),
            Kind.Vpt => new VptWorker(workload, Create<FusionModel>("Model")),
            _ => new InferenceWorker(workload, Create<FusionModel>("Model")),
        };
    }

    private static void Answer(object fields) => Console.Out.WriteLine(JsonSerializer.Serialize(fields));

    /// <summary>Noise on what starts at zero, so that no operator is the identity and no order of α goes unnoticed.</summary>
    private void Disturb()
    {
        using var guard = no_grad();
        foreach (var (spec, parameter) in this.Network.Specs.Zip(this.Network.Table))
        {
            using var scope = NewDisposeScope();
            if (parameter.abs().max().item<float>() == 0)
                parameter.copy_(Gaussian(spec.Name, 0.05, [.. spec.Shape]));
        }
    }

    internal static Tensor Gaussian(string purpose, double deviation, long[] shape)
    {
        var random = SplitMix.For(0, purpose);
        var values = new float[shape.Aggregate(1L, (count, size) => count * size)];
        foreach (ref var value in values.AsSpan())
            value = (float)(random.NextGaussian() * deviation);
        return tensor(values, shape);
    }

    private void WriteCase(string path)
    {
        var parameters = this.Network.Specs.Zip(this.Network.Table, (spec, value) => KeyValuePair.Create(spec.Name, (Tensor)value));
        var settings = new Dictionary<string, string>
        {
            ["depth"] = Text(this.Workload.Depth),
            ["heads"] = Text(this.Workload.Shape.Heads),
            ["patch"] = Text(this.Workload.Shape.Patch),
            ["tuned"] = string.Join(',', this.Network.Specs.Where(spec => spec.IsTuned).Select(spec => spec.Name)),
        };
        foreach (var (name, value) in this.Constants)
            settings.Add(name, value);
        SafeTensors.Write(path, parameters.Concat(this.Inputs), settings);
    }
}

/// <summary>A search step: the weights', and α's.</summary>
internal sealed class SearchWorker : Worker
{
    private const double Temperature = 1;
    private readonly Supernet network;
    private readonly BilevelSteps steps;
    private readonly Batch train;
    private readonly Batch validation;

    public SearchWorker(Workload workload, Supernet network)
        : base(workload, network)
    {
        this.network = network;
        network.Temperature = Temperature;
        this.steps = new BilevelSteps(network, network.Plan.Search);
        this.train = this.RandomBatch("train");
        this.validation = this.RandomBatch("validation");
    }

    private protected override IReadOnlyDictionary<string, Tensor> Inputs => new Dictionary<string, Tensor>
    {
        ["train.images"] = this.train.Images, ["train.labels"] = this.train.Labels,
        ["validation.images"] = this.validation.Images, ["validation.labels"] = this.validation.Labels,
    };

    private protected override IReadOnlyDictionary<string, string> Constants
    {
        get
        {
            var settings = this.network.Plan.Search;
            return new Dictionary<string, string>
            {
                ["candidates"] = string.Join(',', this.Workload.CandidateNames),
                ["costs"] = string.Join(',', this.network.Layers[0].Costs.Select(Text)),
                ["temperature"] = Text(Temperature),
                ["rate"] = Text(settings.Optimizer.LearningRate),
                ["decay"] = Text(settings.Optimizer.WeightDecay),
                ["architecture_rate"] = Text(settings.Architecture.LearningRate),
                ["entropy"] = Text(settings.Entropy),
                ["cost"] = Text(settings.Cost),
                ["clip"] = Text(settings.Clip),
            };
        }
    }

    private protected override void Step()
    {
        if (this.steps.ArchitectureFirst)
            this.steps.StepArchitecture(this.train, this.validation);
        this.steps.StepWeights(this.train);
        if (!this.steps.ArchitectureFirst)
            this.steps.StepArchitecture(this.train, this.validation);
    }

    private protected override Dictionary<string, float[]> Trace()
    {
        var (logits, gradient) = (Array.Empty<float>(), new List<float>());
        this.steps.Trace = (name, value) =>
        {
            if (name == "weights.logits")
                logits = Numbers(value);
            else if (name.StartsWith("architecture.gradient.", StringComparison.Ordinal))
                gradient.AddRange(Numbers(value));
        };
        this.Step();
        this.steps.Trace = null;
        return new Dictionary<string, float[]> { ["logits"] = logits, ["gradient of alpha"] = [.. gradient] };
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            this.steps.Dispose();
        base.Dispose(disposing);
    }
}

/// <summary>A training step of VPT-deep.</summary>
internal sealed class VptWorker : Worker
{
    private readonly WeightSteps steps;
    private readonly Batch train;

    public VptWorker(Workload workload, FusionModel network)
        : base(workload, network)
    {
        this.steps = WeightSteps.Of(network, network.Plan.Train.Optimizer);
        this.train = this.RandomBatch("train");
    }

    private protected override IReadOnlyDictionary<string, Tensor> Inputs => new Dictionary<string, Tensor> { ["train.images"] = this.train.Images, ["train.labels"] = this.train.Labels };

    private protected override IReadOnlyDictionary<string, string> Constants
    {
        get
        {
            var settings = this.steps.Optimizer.Settings;
            return new Dictionary<string, string> { ["rate"] = Text(settings.LearningRate), ["decay"] = Text(settings.WeightDecay), ["momentum"] = Text(settings.Momentum) };
        }
    }

    private protected override void Step() => this.steps.Step(this.train);

    private protected override Dictionary<string, float[]> Trace()
    {
        const string gradient = "weights.gradient.";
        var traced = new Dictionary<string, float[]>();
        this.steps.Trace = (name, value) =>
        {
            if (name == "weights.logits")
                traced.Add("logits", Numbers(value));
            else if (name.StartsWith(gradient, StringComparison.Ordinal))
                traced.Add($"gradient of {name[gradient.Length..]}", Numbers(value));
        };
        this.Step();
        this.steps.Trace = null;
        return traced;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            this.steps.Dispose();
        base.Dispose(disposing);
    }
}

/// <summary>A forward pass of a found hybrid.</summary>
internal sealed class InferenceWorker : Worker
{
    private readonly Tensor images;

    public InferenceWorker(Workload workload, FusionModel network)
        : base(workload, network) => this.images = this.RandomImages("images");

    private protected override IReadOnlyDictionary<string, Tensor> Inputs => new Dictionary<string, Tensor> { ["images"] = this.images };

    private protected override IReadOnlyDictionary<string, string> Constants => new Dictionary<string, string>
    {
        ["policy"] = string.Join(',', this.Workload.Policy), ["top"] = Text(Workload.Top),
    };

    private protected override void Step() => this.Forward();

    private protected override Dictionary<string, float[]> Trace() => new() { ["logits"] = Numbers(this.Forward()) };

    private Tensor Forward()
    {
        using var guard = no_grad();
        return this.Network.forward(this.images);
    }
}
