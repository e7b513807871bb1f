using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using FusionGen.Cli.Compilation;
using FusionGen.Cli.Output;
using FusionGen.Compiler.Spec;
using FusionGen.Search;
using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen bench</c>.</summary>
internal sealed class BenchCommand : ToolCommand
{
    private const int Unmeasured = 2;
    private readonly Argument<string> spec;
    private readonly Option<string?> policy;
    private readonly Option<string[]> overrides;
    private readonly ComputeOptions compute;
    private readonly Option<int> steps;

    public BenchCommand()
        : base(
            "bench",
            "Times a spec's steps on this machine, on random images: both steps of the search, a training step, a forward pass, one image at a time.\n" +
            "Medians; no data and no weights are needed.",
            "fusiongen bench specs/sprites.fusion.yaml",
            "fusiongen bench specs/vit-b16-pfd.fusion.yaml --steps 3 --set search.batch=8 --set train.batch=8",
            "fusiongen bench specs/sprites.fusion.yaml --device cuda --set search.order=second-exact",
            "fusiongen bench specs/vit-b16-pfd.fusion.yaml --device cuda --engine static --precision bfloat16")
    {
        this.spec = this.Takes(CommonOptions.Spec());
        this.policy = this.Takes(CommonOptions.Policy());
        this.overrides = this.Takes(CommonOptions.Set());
        this.compute = new ComputeOptions(this);
        this.steps = this.Takes(new Option<int>("--steps") { Description = "Steps to measure of each kind, after two that are not.", HelpName = "number", DefaultValueFactory = _ => 10 });
    }

    public override ExitCode Run(Invocation invocation)
    {
        var terminal = invocation.Terminal;
        var file = SpecFile.Load(invocation.Get(this.spec), invocation.Get(this.overrides), terminal);
        var compute = this.compute.Of(invocation, file.Document.Search.Order);
        var (spec, steps) = (file.Document, Math.Max(1, invocation.Get(this.steps)));
        var policy = file.Policy(invocation.Get(this.policy), terminal) ?? Uniform.Operators(spec).Select(name => Uniform.Policy(spec, name)).FirstOrDefault();
        var compiled = file.Compile(policy, terminal);
        terminal.Heading($"{spec.Model} on {compute.Place}, {compute.Engine.ToString().ToLowerInvariant()} engine, libtorch {__version__}, {get_num_threads()} threads, medians of {steps}");
        var table = Tables.New("step", ">batch", ">milliseconds", ">images / s");
        if (compiled.HasSupernet)
        {
            using var supernet = compiled.CreateSupernet(compute.Device);
            compute.Apply(supernet);
            supernet.Initialize(0);
            Search(supernet, spec, steps, table, compute, invocation.Cancellation);
        }
        using (var model = compiled.HasModel ? compiled.CreateModel(compute.Device) : compiled.CreateBackbone(compute.Device))
        {
            compute.Apply(model);
            model.Initialize(0);
            Model(model, spec, steps, table, compute, invocation.Cancellation);
        }
        terminal.Table(table);
        return ExitCode.Ok;
    }

    private static void Search(Supernet supernet, SpecDocument spec, int steps, Spectre.Console.Table table, Compute compute, CancellationToken cancellation)
    {
        using var running = new BilevelSteps(supernet, supernet.Plan.Search);
        using var batch = Random(supernet, spec.Search.Batch);
        supernet.Temperature = spec.Search.TemperatureFrom;
        Time(table, "search: weights", spec.Search.Batch, steps, compute, () => running.StepWeights(batch), cancellation);
        if (supernet.WithRole(TensorRole.Architecture).Count > 0)
            Time(table, $"search: α, {spec.Search.Order}", spec.Search.Batch, steps, compute, () => running.StepArchitecture(batch, batch), cancellation);
    }

    private static void Model(FusionModel model, SpecDocument spec, int steps, Spectre.Console.Table table, Compute compute, CancellationToken cancellation)
    {
        using var batch = Random(model, spec.Train.Batch);
        using var one = Random(model, 1);
        using (var training = WeightSteps.Of(model, model.Plan.Train.Optimizer, model.Plan.Train.Clip))
            Time(table, "training", spec.Train.Batch, steps, compute, () => training.Step(batch), cancellation);
        using var guard = no_grad();
        Time(table, "forward", spec.Train.Batch, steps, compute, () => model.forward(batch.Images), cancellation);
        Time(table, "forward", 1, steps, compute, () => model.forward(one.Images), cancellation);
    }

    private static Batch Random(FusionNetwork network, int size)
    {
        var random = SplitMix.For(0, "bench");
        var pixels = new float[size * 3 * network.Plan.ImageSize * network.Plan.ImageSize];
        foreach (ref var pixel in pixels.AsSpan())
            pixel = (float)random.NextGaussian();
        using var images = tensor(pixels, [size, 3, network.Plan.ImageSize, network.Plan.ImageSize]);
        using var labels = zeros(size, dtype: ScalarType.Int64);
        return new Batch(images.to(network.DataType, network.Location).clone(), labels.to(ScalarType.Int64, network.Location).clone());
    }

    private static void Time(Spectre.Console.Table table, string name, int batch, int steps, Compute compute, Action step, CancellationToken cancellation)
    {
        var times = new List<double>(steps);
        for (var i = 0; i < steps + Unmeasured; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            var watch = Stopwatch.StartNew();
            step();
            compute.Synchronize();
            if (i >= Unmeasured)
                times.Add(watch.Elapsed.TotalSeconds);
        }
        times.Sort();
        var median = times[times.Count / 2];
        table.Row(name, Numbers.Text(batch), (1000 * median).ToString("0.0", CultureInfo.InvariantCulture), (batch / median).ToString("0.#", CultureInfo.InvariantCulture));
    }
}
