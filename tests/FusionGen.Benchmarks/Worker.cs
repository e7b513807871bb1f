using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using FusionGen.Cli.Compilation;
using FusionGen.Search;
using FusionGen.Training;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Benchmarks;

/// <summary>Our side of a comparison, in a process of its own: writes the case, then answers the commands that the peer answers.</summary>
internal sealed class Worker : IDisposable
{
    private const double Temperature = 1;

    private readonly Workload workload;
    private readonly Supernet network;
    private readonly BilevelSteps steps;
    private readonly Batch train;
    private readonly Batch validation;
    private readonly SearchSettings settings;

    private Worker(Workload workload, string order)
    {
        this.workload = workload;
        this.network = CompiledSpec.Compile(workload.Spec(order), policy: null).CreateSupernet();
        this.settings = this.network.Plan.Search;
        this.network.Temperature = Temperature;
        this.network.Initialize(seed: 0);
        this.Disturb();
        this.steps = new BilevelSteps(this.network, this.settings);
        this.train = this.RandomBatch("train");
        this.validation = this.RandomBatch("validation");
    }

    /// <summary>Runs until the input ends.</summary>
    /// <param name="workload">The size.</param>
    /// <param name="order">How α's gradient is taken.</param>
    /// <param name="threads">Threads of an operator.</param>
    /// <param name="path">Where the case goes, for the peer to read; null for nowhere.</param>
    public static void Run(Workload workload, string order, int threads, string? path)
    {
        set_num_threads(threads);
        using var worker = new Worker(workload, order);
        if (path is not null)
            worker.WriteCase(path, order);
        Answer(new { torch = __version__, threads = get_num_threads() });
        while (Console.In.ReadLine() is { } command)
        {
            Answer(command switch
            {
                "step" => worker.Step(),
                "trace" => worker.Trace(),
                _ => throw new InvalidOperationException($"unknown command '{command}'"),
            });
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        this.steps.Dispose();
        this.train.Dispose();
        this.validation.Dispose();
        this.network.Dispose();
    }

    private static void Answer(object fields) => Console.Out.WriteLine(JsonSerializer.Serialize(fields));

    private object Step()
    {
        var (watch, before) = (Stopwatch.StartNew(), Environment.CpuUsage.TotalTime);
        this.SearchStep();
        return new { seconds = watch.Elapsed.TotalSeconds, work = (Environment.CpuUsage.TotalTime - before).TotalSeconds, peak = Peak(), tensors = Tensor.TotalCount };
    }

    private object Trace()
    {
        var (logits, gradient) = (Array.Empty<float>(), new List<float>());
        this.steps.Trace = (name, value) =>
        {
            if (name == "weights.logits")
                logits = value.detach().data<float>().ToArray();
            else if (name.StartsWith("architecture.gradient.", StringComparison.Ordinal))
                gradient.AddRange(value.detach().data<float>());
        };
        this.SearchStep();
        this.steps.Trace = null;
        return new { logits, gradient };
    }

    private void SearchStep()
    {
        using var scope = NewDisposeScope();
        if (this.steps.ArchitectureFirst)
            this.steps.StepArchitecture(this.train, this.validation);
        this.steps.StepWeights(this.train);
        if (!this.steps.ArchitectureFirst)
            this.steps.StepArchitecture(this.train, this.validation);
    }

    /// <summary>Noise on what starts at zero, so that no operator is the identity and no order of α goes unnoticed.</summary>
    private void Disturb()
    {
        using var guard = no_grad();
        foreach (var (spec, parameter) in this.network.Specs.Zip(this.network.Table))
        {
            using var scope = NewDisposeScope();
            if (parameter.abs().max().item<float>() == 0)
                parameter.copy_(Gaussian(spec.Name, 0.05, [.. spec.Shape]));
        }
    }

    private Batch RandomBatch(string split)
    {
        var random = SplitMix.For(0, $"{split}.labels");
        var labels = Enumerable.Range(0, this.workload.Batch).Select(_ => (long)random.Next(10)).ToArray();
        return new Batch(Gaussian($"{split}.images", 1, [this.workload.Batch, 3, this.workload.Image, this.workload.Image]), tensor(labels));
    }

    private static Tensor Gaussian(string purpose, double deviation, long[] shape)
    {
        var random = SplitMix.For(0, purpose);
        var values = new float[shape.Aggregate(1L, (count, size) => count * size)];
        foreach (ref var value in values.AsSpan())
            value = (float)(random.NextGaussian() * deviation);
        return tensor(values, shape);
    }

    private void WriteCase(string path, string order)
    {
        static string Text(double value) => value.ToString("R", CultureInfo.InvariantCulture);
        var batches = new Dictionary<string, Tensor>
        {
            ["train.images"] = this.train.Images, ["train.labels"] = this.train.Labels,
            ["validation.images"] = this.validation.Images, ["validation.labels"] = this.validation.Labels,
        };
        var parameters = this.network.Specs.Zip(this.network.Table, (spec, value) => KeyValuePair.Create(spec.Name, (Tensor)value));
        SafeTensors.Write(path, parameters.Concat(batches), new Dictionary<string, string>
        {
            ["order"] = order,
            ["depth"] = Text(Workload.Depth),
            ["heads"] = Text(this.workload.Heads),
            ["patch"] = Text(this.workload.Patch),
            ["candidates"] = Workload.Candidates,
            ["costs"] = string.Join(',', this.network.Layers[0].Costs.Select(Text)),
            ["temperature"] = Text(Temperature),
            ["rate"] = Text(this.settings.Optimizer.LearningRate),
            ["decay"] = Text(this.settings.Optimizer.WeightDecay),
            ["architecture_rate"] = Text(this.settings.Architecture.LearningRate),
            ["entropy"] = Text(this.settings.Entropy),
            ["cost"] = Text(this.settings.Cost),
            ["clip"] = Text(this.settings.Clip),
            ["tuned"] = string.Join(',', this.network.Specs.Where(spec => spec.IsTuned).Select(spec => spec.Name)),
        });
    }

    private static long Peak()
    {
        using var process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }
}
