using FusionGen.Cli.Compilation;
using FusionGen.Compiler;
using FusionGen.Compiler.Spec;
using FusionGen.Search;
using FusionGen.Static;
using FusionGen.Training;
using static TorchSharp.torch;
using SearchOrder = FusionGen.Search.SearchOrder;

namespace FusionGen.EndToEnd.Tests;

/// <summary>Static program and eager modules are one network: logits, loss and every gradient.</summary>
public sealed class StaticTests
{
    private static IEnumerable<TestCaseData> Cases()
    {
        foreach (var batch in new[] { 1, 3, 19 })
        {
            yield return new TestCaseData(Specs.Tiny(), batch).SetName($"shared, {batch}");
            yield return new TestCaseData(Specs.Tiny(share: false, pool: Pooling.Mean), batch).SetName($"unshared, mean, {batch}");
            yield return new TestCaseData(Specs.TinySwin(), batch).SetName($"swin, {batch}");
            yield return new TestCaseData(Specs.TwoPrefixes(Specs.Tiny()), batch).SetName($"two prefixes, {batch}");
        }
    }

    [TestCaseSource(nameof(Cases))]
    public void The_supernets_step_is_the_eager_one(SpecDocument spec, int batch)
    {
        var compiled = CompiledSpec.Compile(spec, null);
        Compare((device, type) => compiled.CreateSupernet(device, type), spec, batch);
    }

    [Test]
    public void So_is_a_models([Values("none", "add", "affine", "concat", "cross-attention", "prefix")] string kind)
    {
        var spec = Specs.Tiny();
        var compiled = CompiledSpec.Compile(spec, new PolicyDocument(spec.Model, SpecHash.Of(spec), spec.Layers.Select(_ => kind).ToEquatableArray()));
        Compare((device, type) => compiled.CreateModel(device, type), spec, 5);
    }

    [Test]
    public void Another_batch_afterwards_is_as_right_as_the_first()
    {
        var spec = Specs.Tiny();
        var compiled = CompiledSpec.Compile(spec, null);
        Compare((device, type) => compiled.CreateSupernet(device, type), spec, 4, 11, 2);
    }

    /// <summary>The memory a step takes is what the compiler said, to the byte, at any batch.</summary>
    [Test]
    public void Memory_is_as_planned([Values(1, 5, 32)] int batch)
    {
        var spec = Specs.Tiny();
        using var network = CompiledSpec.Compile(spec, null).CreateSupernet();
        network.Initialize(1);
        Step(network, spec, batch);
        Assert.That(network.StepEngine, Is.Not.Null);
        Assert.That(network.StepEngine!.Bytes, Is.EqualTo(network.StepEngine.Program.PeakBytes(batch, network.StepEngine.Workers)));
    }

    /// <summary>Neither the number of workers nor their timing changes a bit.</summary>
    [Test]
    public void Any_number_of_workers_gives_the_same_bits()
    {
        var spec = Specs.Tiny();
        using var network = CompiledSpec.Compile(spec, null).CreateSupernet();
        Randomize(network);
        Step(network, spec, 29);
        using var images = VertexTests.Images(spec, 29);
        using var mixture = Mixture.Soft(network.Architecture(network.Table), 0.7);
        var labels = Enumerable.Range(0, 29).Select(i => i % spec.Classes).ToArray();
        float[] Run(int workers)
        {
            using var engine = new StaticEngine(network.StepEngine!.Program, network, network.Plan.Depth, workers);
            var loss = engine.Gradients(images, labels, network.Table, mixture);
            return [(float)loss, .. engine.Logits, .. engine.Program.Gradients.SelectMany(gradient => engine[gradient].ToArray())];
        }
        var one = Run(1);
        foreach (var workers in new[] { 2, 3, 8, 2 })
            Assert.That(Run(workers), Is.EqualTo(one), $"{workers} workers");
    }

    /// <summary>Fifty steps of either level in turn lead both engines to the same policy, and to the same α to 1e-4.</summary>
    [TestCase(SearchOrder.First)]
    [TestCase(SearchOrder.SecondFd)]
    public void A_search_of_fifty_steps_finds_the_same(SearchOrder order)
    {
        var spec = Specs.Tiny();
        var compiled = CompiledSpec.Compile(spec, null);
        (double[] Alphas, int[] Policy) Search(Engine engine)
        {
            using var network = compiled.CreateSupernet();
            Randomize(network);
            network.Engine = engine;
            network.Temperature = 0.8;
            var settings = network.Plan.Search with
            {
                Order = order,
                Optimizer = new OptimizerSettings { Kind = OptimizerKind.Sgd, LearningRate = 0.02, Momentum = 0.9 },
                Architecture = new OptimizerSettings { Kind = OptimizerKind.Sgd, LearningRate = 0.5 },
            };
            using var steps = new BilevelSteps(network, settings);
            for (var step = 0; step < 50; step++)
            {
                using var scope = NewDisposeScope();
                using var train = Batch(step);
                using var validation = Batch(1000 + step);
                steps.StepWeights(train);
                steps.StepArchitecture(train, validation);
            }
            return ([.. network.WithRole(TensorRole.Architecture).SelectMany(alpha => alpha.data<float>().ToArray()).Select(value => (double)value)], [.. network.Argmax()]);
        }
        Batch Batch(int seed)
        {
            var random = SplitMix.For(seed, "batch");
            var images = Enumerable.Range(0, 6 * 3 * 32 * 32).Select(_ => (float)random.NextGaussian()).ToArray();
            return new Batch(tensor(images, [6, 3, 32, 32]), tensor(Enumerable.Range(0, 6).Select(_ => (long)random.Next(spec.Classes)).ToArray()));
        }
        var eager = Search(Engine.Eager);
        var @static = Search(Engine.Static);
        Assert.Multiple(() =>
        {
            Assert.That(@static.Policy, Is.EqualTo(eager.Policy));
            Assert.That(@static.Alphas.Zip(eager.Alphas).Max(pair => Math.Abs(pair.First - pair.Second)), Is.LessThan(1e-4));
            Assert.That(eager.Alphas.Max() - eager.Alphas.Min(), Is.GreaterThan(0.05), "α has moved");
        });
    }

    /// <summary>
    /// Float64 decides: the static engine's error is 1e-5 of the largest entry at most, or no more than twice what the eager modules' own
    /// float32 errs by where that is more.
    /// </summary>
    private static void Compare<TNetwork>(Func<Device?, ScalarType, TNetwork> create, SpecDocument spec, params int[] batches)
        where TNetwork : FusionNetwork
    {
        using var exact = create(null, ScalarType.Float64);
        using var network = create(null, ScalarType.Float32);
        foreach (var each in new FusionNetwork[] { exact, network })
        {
            Randomize(each);
            if (each is Supernet supernet)
                supernet.Temperature = 0.7;
        }
        foreach (var batch in batches)
        {
            network.Engine = Engine.Eager;
            var truth = Step(exact, spec, batch);
            var eager = Step(network, spec, batch);
            network.Engine = Engine.Static;
            var @static = Step(network, spec, batch);
            Assert.Multiple(() =>
            {
                foreach (var (name, expected) in truth)
                    Assert.That(Error(@static[name], expected), Is.LessThan(Math.Max(1e-5, 2 * Error(eager[name], expected))), name);
            });
        }
    }

    /// <summary>Weights of the size they have, so that logits of attention are too; nothing is zero, so that no operator is the identity.</summary>
    private static void Randomize(FusionNetwork network)
    {
        network.Initialize(5);
        using var guard = no_grad();
        foreach (var (spec, parameter) in network.Specs.Zip(network.Table))
        {
            var random = SplitMix.For(6, spec.Name);
            using var noise = tensor(Enumerable.Range(0, (int)spec.Count).Select(_ => (float)(0.05 * random.NextGaussian())).ToArray(), [.. spec.Shape]);
            parameter.add_(noise.to(network.DataType));
        }
    }

    /// <summary>Loss, logits and every gradient, by name.</summary>
    private static Dictionary<string, double[]> Step(FusionNetwork network, SpecDocument spec, int batch)
    {
        using var scope = NewDisposeScope();
        var images = VertexTests.Images(spec, batch).to(network.DataType);
        var labels = tensor(Enumerable.Range(0, batch).Select(i => (long)(i * 5 % spec.Classes)).ToArray());
        var wanted = Enumerable.Range(0, network.Specs.Count).Where(i => network.Specs[i].Role != TensorRole.Frozen).ToList();
        var (loss, logits) = network.Loss(images, labels, network.Table);
        var gradients = autograd.grad([loss], [.. wanted.Select(i => (Tensor)network.Table[i])], allow_unused: true);
        var values = wanted.Zip(gradients).Where(pair => pair.Second is not null).ToDictionary(pair => network.Specs[pair.First].Name, pair => Numbers(pair.Second));
        values.Add("loss", Numbers(loss));
        using (no_grad())
        {
            values.Add("inference", Numbers(network.forward(images)));
            if (network is Supernet supernet)
                values.Add("vertex", Numbers(supernet.Forward(images, supernet.Vertex([.. supernet.Layers.Select((layer, i) => (i + 3) % layer.Names.Count)]))));
        }
        values.Add("logits", Numbers(logits));
        return values;

        static double[] Numbers(Tensor tensor) => tensor.detach().to(ScalarType.Float64).contiguous().data<double>().ToArray();
    }

    private static double Error(double[] actual, double[] expected) =>
        actual.Zip(expected, (a, b) => Math.Abs(a - b)).Max() / Math.Max(1e-6, expected.Max(Math.Abs));
}
