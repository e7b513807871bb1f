using FusionGen.Cli.Compilation;
using FusionGen.Compiler;
using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;
using FusionGen.Compiler.Spec;
using FusionGen.Kernels;
using FusionGen.Search;
using FusionGen.Static;
using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.EndToEnd.Tests;

/// <summary>Static program, on the host and on a device, and eager modules are one network: logits, loss and every gradient.</summary>
public sealed class StaticTests
{
    private static IEnumerable<TestCaseData> Cases()
    {
        foreach (var batch in new[] { 1, 3, 19 })
        {
            yield return new TestCaseData(Specs.Tiny(), batch).SetName($"shared, {batch}");
            yield return new TestCaseData(Specs.Tiny(share: false, pool: Pooling.Mean), batch).SetName($"unshared, mean, {batch}");
            yield return new TestCaseData(Specs.TinySwin(), batch).SetName($"swin, {batch}");
            yield return new TestCaseData(Specs.Sites(Specs.Tiny()), batch).SetName($"sites, {batch}");
            yield return new TestCaseData(Specs.TwoPrefixes(Specs.Tiny()), batch).SetName($"two prefixes, {batch}");
        }
        yield return new TestCaseData(Specs.Tiny() with { Search = new SearchSettings { Channels = 4 } }, 9).SetName("a quarter of the channels");
        yield return new TestCaseData(Specs.TinySwin() with { Search = new SearchSettings { Channels = 4 } }, 9).SetName("swin, a quarter of the channels");
        yield return new TestCaseData(Specs.Streams(Specs.Tiny(), 0), 9).SetName("accelerated streams");
        yield return new TestCaseData(Specs.Streams(Specs.Tiny(pool: Pooling.Mean), 1), 9).SetName("original streams, mean");
        yield return new TestCaseData(Specs.Streams(Specs.Tiny(depth: 8), 0), 9).SetName("deep streams");
        // Deep enough for layers to be like others.
        yield return new TestCaseData(Specs.Tiny(depth: 7), 9).SetName("deep, shared");
        yield return new TestCaseData(Specs.Tiny(depth: 6, share: false, pool: Pooling.Mean), 9).SetName("deep, unshared, mean");
        yield return new TestCaseData(Specs.TinySwin(8), 9).SetName("deep swin");
    }

    [TestCaseSource(nameof(Cases))]
    public void The_supernets_step_is_the_eager_one(SpecDocument spec, int batch)
    {
        var compiled = CompiledSpec.Compile(spec, null);
        Compare((device, type) => compiled.CreateSupernet(device, type), spec, batch);
    }

    /// <summary>Specs that nobody thought of. Some are ill-conditioned, on some machine: what is wrong is wrong by more.</summary>
    [Test]
    public void So_is_a_step_of_a_drawn_spec([Range(0, 39)] int seed)
    {
        var (spec, policy) = RandomSpecs.Draw(seed);
        TestContext.Out.WriteLine($"{SpecHash.Canonical(spec)} {string.Join(' ', policy?.Choices ?? default)}");
        var compiled = CompiledSpec.Compile(spec, policy);
        Func<Device?, ScalarType, FusionNetwork> create = policy is null ? compiled.CreateSupernet : compiled.CreateModel;
        CompareAt(supernet => supernet.Temperature = 0.7, (device, type) => Dropping(create(device, type)), spec, (1e-3, 20), 1 + (seed % 11));
    }

    [Test]
    public void So_is_a_models([Values("none", "add", "affine", "concat", "cross-attention", "prefix", "e2vpt", "vapt")] string kind)
    {
        var spec = Specs.Tiny();
        var compiled = CompiledSpec.Compile(spec, new PolicyDocument(spec.Model, SpecHash.Of(spec), spec.Layers.Select(_ => kind).ToEquatableArray()));
        Compare((device, type) => compiled.CreateModel(device, type), spec, 5);
    }

    /// <summary>Layers with the same operator between others with the same ones are like each other, wherever they are.</summary>
    [Test]
    public void So_is_a_models_with_several_operators([Values("add concat add concat add concat add concat", "none none affine affine affine affine concat affine", "cross-attention prefix add cross-attention prefix add cross-attention prefix")] string choices)
    {
        var spec = Specs.Tiny(depth: 8);
        var compiled = CompiledSpec.Compile(spec, new PolicyDocument(spec.Model, SpecHash.Of(spec), choices.Split(' ').ToEquatableArray()));
        Compare((device, type) => compiled.CreateModel(device, type), spec, 5);
    }

    /// <summary>A candidate of each layer is drawn, or has all of π because the others' underflow: the others do not run, forward or backward.</summary>
    [Test]
    public void So_is_a_step_in_which_few_candidates_have_a_share([Values(0, 1, 2, 3)] int seed, [Values] bool swin)
    {
        var spec = swin ? Specs.TinySwin() : Specs.Tiny(share: seed % 2 == 0);
        var compiled = CompiledSpec.Compile(spec, null);
        CompareAt(
            supernet =>
            {
                supernet.Relaxation = seed == 0 ? Relaxation.Softmax : Relaxation.Gdas;
                supernet.Temperature = seed == 0 ? 1e-4 : 0.7;
                if (seed > 0)
                    supernet.Draw(SplitMix.For(seed, "draw"));
            },
            compiled.CreateSupernet, spec, (1e-5, 2), 3, 11);
    }

    /// <summary>What an operator without a share anywhere holds is not even read: it may be no number.</summary>
    [Test]
    public void What_is_not_drawn_does_not_run([Values("affine", "concat", "cross-attention")] string kind)
    {
        // A bank of its own for each layer: of a shared one, what depends on it alone is computed if any layer may want it.
        var spec = Specs.Tiny(share: false);
        using var network = CompiledSpec.Compile(spec, null).CreateSupernet();
        Randomize(network);
        network.Relaxation = Relaxation.Gdas;
        var index = network.Layers[0].Names.ToList().IndexOf(kind);
        var seed = Enumerable.Range(0, 1000).First(seed =>
        {
            network.Draw(SplitMix.For(seed, "draw"));
            using var mixture = network.Mix(network.Table);
            return mixture.Weights.All(weights => weights!.data<float>()[index] == 0) && mixture.Weights.Select(weights => weights!.argmax(0).item<long>()).Distinct().Count() > 1;
        });
        network.Draw(SplitMix.For(seed, "draw"));
        var expected = Step(network, spec, 5);
        using (no_grad())
        {
            foreach (var name in network.Specs.Select(parameter => parameter.Name).Where(name => name.StartsWith($"operators.{kind}.", StringComparison.Ordinal)))
                network[name].fill_(double.NaN);
        }
        var actual = Step(network, spec, 5);
        expected.Remove("vertex");
        foreach (var (name, values) in expected)
            Assert.That(actual[name], Is.EqualTo(values), name);
    }

    [Test]
    public void So_is_a_models_with_operators_of_any_site([Values("lora", "narrow", "ssf", "adapter", "quick", "add-direct", "affine-direct")] string name, [Values("cls", "mean", "swin")] string backbone)
    {
        var spec = Specs.Sites(backbone == "swin" ? Specs.TinySwin() : Specs.Tiny(pool: backbone == "mean" ? Pooling.Mean : Pooling.Cls));
        var compiled = CompiledSpec.Compile(spec, new PolicyDocument(spec.Model, SpecHash.Of(spec), spec.Layers.Select(_ => name).ToEquatableArray()));
        Compare((device, type) => compiled.CreateModel(device, type), spec, 5);
    }

    /// <summary>A pass that starts at a layer gives the bits of a whole one, and does start there: the images may be gone.</summary>
    [Test]
    public void A_pass_may_start_at_any_layer([Values] bool swin, [Values(3, 19)] int size)
    {
        var spec = swin ? Specs.TinySwin() : Specs.Tiny(depth: 6);
        using var network = CompiledSpec.Compile(spec, null).CreateSupernet();
        Randomize(network);
        using var guard = no_grad();
        using var images = VertexTests.Images(spec, size);
        for (var layer = 0; layer < network.Layers.Count; layer++)
        {
            var run = network.FromLayer(layer);
            var there = images.clone();
            for (var candidate = 0; candidate < network.Layers[layer].Names.Count; candidate++)
            {
                using var mixture = network.Without(layer, candidate);
                using var expected = network.Forward(images, mixture);
                using var actual = run(there, mixture);
                Assert.That(actual.bytes.SequenceEqual(expected.bytes), Is.True, $"layer {layer} without {candidate}");
                there.fill_(double.NaN);
            }
        }
    }

    /// <summary>Where the pool averages the prompts too, the last block's go through it as tokens do.</summary>
    [Test]
    public void So_is_one_that_pools_its_prompts([Values("prefix", "e2vpt", "vapt")] string kind)
    {
        var spec = Specs.Tiny(pool: Pooling.MeanWithPrompts);
        spec = spec with { Layers = spec.Layers.Select(_ => new LayerSpec(EquatableArray.Of(kind))).ToEquatableArray() };
        var compiled = CompiledSpec.Compile(spec, new PolicyDocument(spec.Model, SpecHash.Of(spec), spec.Layers.Select(_ => kind).ToEquatableArray()));
        Compare((device, type) => compiled.CreateModel(device, type), spec, 5);
    }

    /// <summary>Dropout is a function of the step, the site and the image, whoever computes it: both engines, in both precisions, drop the same numbers.</summary>
    [Test]
    public void So_is_a_step_with_dropout([Values] bool share, [Values("prefix", "e2vpt", "vapt", "")] string kind)
    {
        var spec = Specs.Tiny() with { Prompts = new PromptSpec { Tokens = 5, Dropout = 0.3, ShareDropout = share } };
        var policy = kind.Length == 0 ? null : new PolicyDocument(spec.Model, SpecHash.Of(spec), spec.Layers.Select(_ => kind).ToEquatableArray());
        var compiled = CompiledSpec.Compile(spec, policy);
        if (policy is null)
            Compare((device, type) => Dropping(compiled.CreateSupernet(device, type)), spec, 5);
        else
            Compare((device, type) => Dropping(compiled.CreateModel(device, type)), spec, 19);
    }

    /// <summary>What is dropped of prompts is dropped by image, not by window (METHOD §2.2).</summary>
    [Test]
    public void So_is_a_step_with_dropout_in_windows([Values("prefix", "e2vpt")] string kind)
    {
        var spec = Specs.TinySwin() with { Prompts = new PromptSpec { Tokens = 5, Dropout = 0.3 } };
        var policy = new PolicyDocument(spec.Model, SpecHash.Of(spec), spec.Layers.Select(_ => kind).ToEquatableArray());
        var masks = Networks.Build(spec, policy).Model!.Values.Select(value => value.Op).OfType<DropoutMaskOp>();
        Assert.That(masks.Select(mask => mask.Shape), Is.EqualTo(new[] { 32, 32, 64, 64 }.Select(width => Shape.Batched(1, 5, width))));
        var compiled = CompiledSpec.Compile(spec, policy);
        Compare((device, type) => Dropping(compiled.CreateModel(device, type)), spec, 5);
    }

    /// <summary>The backbone's own dropout, where it is tuned itself (as VPT tunes everything), where it is frozen, and with a second stream, which has masks of its own (as SA2VP is trained).</summary>
    [Test]
    public void So_is_a_step_with_the_backbones_dropout([Values("all", "swin", "prefix", "accelerated", "original")] string which)
    {
        var tiny = which switch
        {
            "swin" => Specs.TinySwin(),
            "accelerated" => Specs.Streams(Specs.Tiny(depth: 5), 0),
            "original" => Specs.Streams(Specs.Tiny(depth: 5, pool: Pooling.Mean), 1),
            _ => Specs.Tiny(depth: 5),
        };
        var spec = tiny with { Backbone = tiny.Backbone with { Dropout = 0.2 }, Tune = which is "all" or "swin" ? new TuneSpec(TuneScope.All) : tiny.Tune };
        var kind = which == "prefix" ? "prefix" : which is "all" or "swin" ? "none" : "add";
        var policy = new PolicyDocument(spec.Model, SpecHash.Of(spec), spec.Layers.Select(_ => kind).ToEquatableArray());
        var masks = Networks.Build(spec, policy).Model!.Values.Select(value => value.Op).OfType<DropoutMaskOp>().ToList();
        Assert.That(masks.Select(mask => mask.Number), Is.Unique);
        Assert.That(masks, Has.Count.EqualTo(which switch { "swin" => 1 + (2 * 4), "accelerated" or "original" => 1 + (2 * 5) + 1 + (2 * 5) + (3 * 5) + (2 * 2), _ => 1 + (2 * 5) }));
        var compiled = CompiledSpec.Compile(spec, policy);
        Compare((device, type) => Dropping(compiled.CreateModel(device, type)), spec, 5);
    }

    /// <summary>Steps draw anew, no number of workers changes a bit, and outside of training nothing is dropped.</summary>
    [Test]
    public void Dropout_draws_by_step_and_image()
    {
        var spec = Specs.Tiny() with { Prompts = new PromptSpec { Tokens = 5, Dropout = 0.3 } };
        using var network = CompiledSpec.Compile(spec, null).CreateSupernet();
        Randomize(network);
        using var batch = Batch(spec, 29, ScalarType.Float32);
        float[] Run(DropoutStep? step, int workers)
        {
            using var engine = new HostEngine(network.Training!.Program, network, workers);
            network.Dropout = step;
            var pass = network.AtOwn(engine.NewPass()).On(batch).Run();
            return [(float)pass.Loss, .. pass.Logits, .. pass.WeightGradient];
        }
        var one = Run(new DropoutStep(1, 5), 1);
        foreach (var workers in new[] { 2, 3, 8 })
            Assert.That(Run(new DropoutStep(1, 5), workers), Is.EqualTo(one), $"{workers} workers");
        Assert.That(Run(new DropoutStep(1, 6), 1), Is.Not.EqualTo(one));
        Assert.That(Run(new DropoutStep(2, 5), 1), Is.Not.EqualTo(one));

        var without = spec with { Prompts = spec.Prompts with { Dropout = 0 }, Operators = spec.Operators.Select(each => each.Kind == "vapt" ? Specs.Operator("vapt", ("share", 1), ("dropout", 0), ("channel-dropout", 0)) : each).ToEquatableArray() };
        using var plain = CompiledSpec.Compile(without, null).CreateSupernet();
        Randomize(plain);
        var expected = plain.AtOwn(plain.Training!.NewPass()).On(batch).Run();
        Assert.That(Run(null, 1)[1..(1 + (29 * spec.Classes))], Is.EqualTo(expected.Logits.ToArray()).Within(1e-6f));
    }

    /// <summary>What is dropped depends on the step alone, so a training that was stopped and taken up again ends at the same bits.</summary>
    [Test]
    public void A_training_with_dropout_resumes_to_the_bit()
    {
        var spec = Specs.Tiny(depth: 2) with { Prompts = new PromptSpec { Tokens = 5, Dropout = 0.5 } };
        spec = spec with { Layers = spec.Layers.Select(_ => new LayerSpec(EquatableArray.Of("vapt"))).ToEquatableArray(), Operators = spec.Operators.Where(each => each.Kind == "vapt").ToEquatableArray() };
        spec = spec with { Operators = spec.Operators.Append(Specs.Operator("prefix")).ToEquatableArray(), Layers = EquatableArray.Of(new LayerSpec(EquatableArray.Of("prefix")), spec.Layers[1]) };
        var compiled = CompiledSpec.Compile(spec, new PolicyDocument(spec.Model, SpecHash.Of(spec), EquatableArray.Of("prefix", "vapt")));
        byte[] Train(string? folder, Engine engine, int stopAfter)
        {
            using var model = compiled.CreateModel();
            Randomize(model);
            model.Engine = engine;
            using var cancellation = new CancellationTokenSource();
            var settings = new TrainSettings { Epochs = 2, Optimizer = new OptimizerSettings { LearningRate = 0.01 } };
            using var trainer = new Trainer(model, new Given(spec, 3), new Given(spec, 1), settings, new RunContext { Seed = 4, Folder = folder });
            var steps = 0;
            trainer.AfterStep = (_, _) =>
            {
                if (++steps == stopAfter)
                    cancellation.Cancel();
            };
            try
            {
                trainer.Run(cancellation.Token);
            }
            catch (FusionException stopped) when (stopped.Code == ExitCode.Checkpointed)
            {
                return [];
            }
            return [.. model.Table.SelectMany(parameter => parameter.detach().bytes.ToArray())];
        }
        foreach (var engine in Enum.GetValues<Engine>())
        {
            var folder = Directory.CreateTempSubdirectory("fusiongen-dropout-").FullName;
            var expected = Train(null, engine, stopAfter: 0);
            Assert.That(Train(folder, engine, stopAfter: 2), Is.Empty, "stopped");
            Assert.That(Train(folder, engine, stopAfter: 0), Is.EqualTo(expected), engine.ToString());
            Directory.Delete(folder, recursive: true);
        }
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
    public void Memory_is_as_planned([Values(1, 2, 5, 32)] int batch)
    {
        var spec = Specs.Tiny();
        using var network = CompiledSpec.Compile(spec, null).CreateSupernet();
        network.Initialize(1);
        Step(network, spec, batch);
        Assert.That(network.Training, Is.Not.Null);
        var program = network.Training!.Program;
        Assert.That(network.Training.Bytes, Is.EqualTo(program.PeakBytes(batch, network.Training.Workers)));
        // The plan's function counts parameters as well, and a worker to every slice.
        var peak = network.GetType().Assembly.GetType($"{spec.Namespace}.{spec.Model}Plan")!.GetMethod("PeakBytes")!.CreateDelegate<Func<int, long>>();
        Assert.That(peak(batch) - peak(1), Is.EqualTo(program.PeakBytes(batch, StaticPlan.SlicesOf(batch)) - program.PeakBytes(1, 1)));
        Assert.That(peak(1) - program.PeakBytes(1, 1), Is.GreaterThan(sizeof(float) * network.Specs.Sum(parameter => parameter.Count)));
    }

    /// <summary>Steps of weights and of α, once warm, take nothing from the collector's heap nor beside it. What the test host takes shows up in some windows, what a step takes would in all.</summary>
    [Test]
    public void A_step_allocates_nothing([Values(SearchOrder.First, SearchOrder.SecondFd, SearchOrder.SecondForward)] SearchOrder order, [Values(OptimizerKind.AdamW, OptimizerKind.Sgd)] OptimizerKind kind)
    {
        var spec = Specs.Tiny();
        using var network = CompiledSpec.Compile(spec, null).CreateSupernet();
        Randomize(network);
        var optimizer = new OptimizerSettings { Kind = kind, LearningRate = 1e-3 };
        using var steps = new BilevelSteps(network, network.Plan.Search with { Order = order, Optimizer = optimizer, Architecture = optimizer, Clip = 1e-3 }, weightClip: 1e-3);
        using var batch = Batch(spec, 9, ScalarType.Float32);
        void Run(int count)
        {
            for (var i = 0; i < count; i++)
            {
                steps.StepWeights(batch);
                steps.StepArchitecture(batch, batch);
            }
        }
        Run(5);
        Assert.That(network.Training!.Bytes, Is.EqualTo(network.Training.Program.PeakBytes(9, network.Training.Workers, passes: order == SearchOrder.SecondFd ? 2 : 1)), "as planned");
        var (taken, own) = (StaticMemory.Taken, GC.GetAllocatedBytesForCurrentThread());
        Run(10);
        Assert.That(GC.GetAllocatedBytesForCurrentThread(), Is.EqualTo(own), "on the thread that steps");
        var least = long.MaxValue;
        for (var window = 0; window < 100 && least > 0; window++)
        {
            var all = GC.GetTotalAllocatedBytes(precise: true);
            Run(1);
            least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - all);
        }
        Assert.That(least, Is.Zero, "on any thread");
        Assert.That(StaticMemory.Taken, Is.EqualTo(taken), "beside the heap");
    }

    /// <summary>Neither the number of workers nor their timing changes a bit; where there are fewer images than workers, these share the operations of one.</summary>
    [TestCase(29)]
    [TestCase(3)]
    [TestCase(1)]
    public void Any_number_of_workers_gives_the_same_bits(int images)
    {
        Assume.That(Gemm.Product, Does.StartWith("FusionGen"), "a library may sum other rows in another order");
        var tiny = Specs.Tiny();
        // Large enough that sharing an operation is worth it.
        var spec = tiny with { Backbone = tiny.Backbone with { Image = 64, Width = 96, Mlp = 384 } };
        using var network = CompiledSpec.Compile(spec, null).CreateSupernet();
        Randomize(network);
        using var batch = Batch(spec, images, ScalarType.Float32);
        float[] Run(int workers)
        {
            using var engine = new HostEngine(network.Training!.Program, network, workers);
            var (pass, alphas) = (network.AtOwn(engine.NewPass()).On(batch).Run(), new float[network.Alphas.Elements]);
            pass.Mixture.Gradient(alphas);
            return [(float)pass.Loss, .. pass.Logits, .. pass.WeightGradient, .. alphas];
        }
        var one = Run(1);
        foreach (var workers in new[] { 2, 3, 8, 2 })
            Assert.That(Run(workers), Is.EqualTo(one), $"{workers} workers");
    }

    /// <summary>Passes of one engine from several threads each have their own results, predictions too.</summary>
    [Test]
    public void Threads_do_not_mix()
    {
        var spec = Specs.Tiny();
        using var network = CompiledSpec.Compile(spec, null).CreateSupernet();
        Randomize(network);
        var batches = Enumerable.Range(1, 4).Select(size => Batch(spec, 3 * size, ScalarType.Float32)).ToList();
        float[][] Results(bool parallel)
        {
            var found = new float[batches.Count][];
            void Run(int i)
            {
                var pass = network.AtOwn(network.Training!.NewPass());
                for (var round = 0; round < (parallel ? 10 : 1); round++)
                {
                    using var guard = no_grad();
                    pass.On(batches[i]).Run();
                    found[i] = [(float)pass.Loss, .. pass.Logits, .. pass.WeightGradient, .. network.forward(batches[i].Images).data<float>().ToArray()];
                }
            }
            if (!parallel)
            {
                for (var i = 0; i < found.Length; i++)
                    Run(i);
                return found;
            }
            var threads = found.Select((_, i) => new Thread(() => Run(i))).ToList();
            threads.ForEach(thread => thread.Start());
            threads.ForEach(thread => thread.Join());
            return found;
        }
        Assert.That(Results(parallel: true), Is.EqualTo(Results(parallel: false)));
        batches.ForEach(batch => batch.Dispose());
    }

    /// <summary>Predictions compute what depends on parameters alone when one of them has changed, and only then.</summary>
    [Test]
    public void Predictions_see_every_change_of_a_parameter()
    {
        var spec = Specs.Tiny();
        var compiled = CompiledSpec.Compile(spec, null);
        using var network = compiled.CreateSupernet();
        using var eager = compiled.CreateSupernet();
        foreach (var each in new[] { network, eager })
            Randomize(each);
        eager.Engine = Engine.Eager;
        using var guard = no_grad();
        using var images = VertexTests.Images(spec, 3);
        void Same(int runs)
        {
            using var expected = eager.forward(images);
            for (var again = 0; again < 2; again++)
            {
                using var actual = network.forward(images);
                Assert.That(Error([.. actual.data<float>().ToArray().Select(x => (double)x)], [.. expected.data<float>().ToArray().Select(x => (double)x)]), Is.LessThan(1e-5));
            }
            Assert.That(network.Inference!.SharedRuns, Is.EqualTo(runs));
        }
        Same(1);
        foreach (var (name, runs) in new[] { ("prompts.1", 2), ("operators.affine.gamma.2.weight", 3), ("blocks.2.norm1.weight", 4), ("head.weight", 4) })
        {
            foreach (var each in new[] { network, eager })
                each[name].mul_(1.25);
            Same(runs);
        }
        foreach (var each in new[] { network, eager })
            each.Temperature = 0.3;
        Same(5);
    }

    /// <summary>Fifty steps of either level in turn lead both engines to the same policy, and to the same α to 1e-4; by forward differences, which divide what float32 rounds by a thirtieth of the radius, to 2e-3.</summary>
    [TestCase(SearchOrder.First)]
    [TestCase(SearchOrder.First, true)]
    [TestCase(SearchOrder.SecondFd)]
    [TestCase(SearchOrder.SecondFd, true)]
    [TestCase(SearchOrder.SecondForward)]
    [TestCase(SearchOrder.SecondForward, true)]
    [TestCase(SearchOrder.SecondExact)]
    public void A_search_of_fifty_steps_finds_the_same(SearchOrder order, bool onDevice = false)
    {
        var spec = Specs.Tiny();
        var compiled = CompiledSpec.Compile(spec, null);
        (double[] Alphas, int[] Policy) Search(Engine engine)
        {
            using var network = compiled.CreateSupernet();
            Randomize(network);
            network.Engine = engine;
            network.Accelerator = onDevice && engine == Engine.Static ? DeviceTests.Device : null;
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
            Assert.That(@static.Alphas.Zip(eager.Alphas).Max(pair => Math.Abs(pair.First - pair.Second)), Is.LessThan(order == SearchOrder.SecondForward ? 2e-3 : 1e-4));
            Assert.That(eager.Alphas.Max() - eager.Alphas.Min(), Is.GreaterThan(0.05), "α has moved");
        });
    }

    /// <summary>Some steps of either level of a drawn spec's search move weights and α alike in both engines.</summary>
    [Test]
    public void A_drawn_specs_search_moves_alike([Range(0, 15)] int seed)
    {
        var spec = RandomSpecs.DrawSupernet(seed);
        TestContext.Out.WriteLine(SpecHash.Canonical(spec));
        var order = Enum.GetValues<SearchOrder>()[seed % 4];
        var compiled = CompiledSpec.Compile(spec, null);
        double[][] Moved(Engine engine, ScalarType type)
        {
            using var network = compiled.CreateSupernet(dtype: type);
            Randomize(network);
            (network.Engine, network.Temperature) = (engine, 0.7);
            var sgd = new OptimizerSettings { Kind = OptimizerKind.Sgd, LearningRate = 0.01 };
            using var steps = new BilevelSteps(network, network.Plan.Search with { Order = order, Optimizer = sgd, Architecture = sgd });
            var indices = new[] { network.Weights.Indices, network.Alphas.Indices };
            double[] Of(IReadOnlyList<int> group) => [.. group.SelectMany(i => network.Table[i].detach().to(ScalarType.Float64).data<double>().ToArray())];
            var before = indices.Select(Of).ToArray();
            for (var step = 0; step < 2; step++)
            {
                using var scope = NewDisposeScope();
                network.Dropout = new DropoutStep(seed, step);
                if (network.Relaxation == Relaxation.Gdas)
                    network.Draw(SplitMix.For(seed, "draw"));
                using var train = Batch(spec, 3, type);
                using var validation = Batch(spec, 5, type);
                steps.StepWeights(train);
                steps.StepArchitecture(train, validation);
            }
            return [.. indices.Select(Of).Zip(before, (after, start) => after.Zip(start, (a, b) => a - b).ToArray())];
        }
        var exact = Moved(Engine.Eager, ScalarType.Float64);
        var eager = Moved(Engine.Eager, ScalarType.Float32);
        var @static = Moved(Engine.Static, ScalarType.Float32);
        for (var level = 0; level < 2; level++)
            Assert.That(Error(@static[level], exact[level]), Is.LessThan(Math.Max(1e-3, 5 * Error(eager[level], exact[level]))), $"{order}, {(level == 0 ? "weights" : "α")}");
    }

    /// <summary>
    /// Float64 decides: the static engine's error is 1e-5 of the largest entry at most, or no more than twice what the eager modules' own
    /// float32 errs by where that is more.
    /// </summary>
    private static void Compare<TNetwork>(Func<Device?, ScalarType, TNetwork> create, SpecDocument spec, params int[] batches)
        where TNetwork : FusionNetwork => CompareAt(supernet => supernet.Temperature = 0.7, create, spec, (1e-5, 2), batches);

    /// <summary>Likewise, with bounds of the error and of its ratio to the eager modules' own.</summary>
    private static void CompareAt<TNetwork>(Action<Supernet> prepare, Func<Device?, ScalarType, TNetwork> create, SpecDocument spec, (double Error, double OfEager) most, params int[] batches)
        where TNetwork : FusionNetwork
    {
        using var exact = create(null, ScalarType.Float64);
        using var network = create(null, ScalarType.Float32);
        foreach (var each in new FusionNetwork[] { exact, network })
        {
            Randomize(each);
            if (each is Supernet supernet)
                prepare(supernet);
        }
        foreach (var batch in batches)
        {
            network.Engine = Engine.Eager;
            var truth = Step(exact, spec, batch);
            var eager = Step(network, spec, batch);
            network.Engine = Engine.Static;
            foreach (var accelerator in new[] { null, DeviceTests.Device })
            {
                network.Accelerator = accelerator;
                var @static = Step(network, spec, batch);
                Assert.Multiple(() =>
                {
                    foreach (var (name, expected) in truth)
                    {
                        // A prompt's mask is a factor of what a layer norm divides by: its gradient vanishes, term by term against those of the prompt's segments (METHOD §8.1).
                        // α is one vector: of a single layer little may remain where candidates are alike, and the rounding errors of what cancelled (METHOD §6.2).
                        var scale = name.StartsWith("architecture.", StringComparison.Ordinal)
                            ? [.. truth.Where(other => other.Key.StartsWith("architecture.", StringComparison.Ordinal)).SelectMany(other => other.Value)]
                            : truth[name.Replace("mask.prompts", "mask.segments", StringComparison.Ordinal)];
                        Assert.That(Error(@static[name], expected, scale), Is.LessThan(Math.Max(most.Error, most.OfEager * Error(eager[name], expected, scale))), $"{name}, {(accelerator is null ? "host" : "device")}");
                    }
                });
            }
            network.Accelerator = null;
        }
    }

    /// <summary>Weights of the size they have, so that logits of attention are too; nothing is zero, so that no operator is the identity.</summary>
    private static T Dropping<T>(T network)
        where T : FusionNetwork
    {
        network.Dropout = new DropoutStep(3, 11);
        return network;
    }

    internal static void Randomize(FusionNetwork network)
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
    internal static Dictionary<string, double[]> Step(FusionNetwork network, SpecDocument spec, int batch)
    {
        using var scope = NewDisposeScope();
        using var given = Batch(spec, batch, network.DataType);
        var values = new Dictionary<string, double[]>();
        if (network.Training is { } engine)
        {
            var (pass, alphas) = (network.AtOwn(engine.NewPass()).On(given).Run(), new float[network.Alphas.Elements]);
            pass.Mixture.Gradient(alphas);
            foreach (var (group, gradients) in new[] { (network.Weights, pass.WeightGradient.ToArray()), (network.Alphas, alphas) })
            {
                foreach (var i in group.Indices)
                    values.Add(network.Specs[i].Name, Array.ConvertAll(gradients[group.OffsetOf(i)..(group.OffsetOf(i) + (int)network.Specs[i].Count)], value => (double)value));
            }
            values.Add("loss", [pass.Loss]);
            values.Add("logits", Array.ConvertAll(pass.Logits.ToArray(), value => (double)value));
        }
        else
        {
            var wanted = network.Weights.Indices.Concat(network.Alphas.Indices).ToList();
            var logits = network.Forward(given.Images, network.Table);
            var loss = network.Loss(logits, given.Labels);
            var gradients = Training.Gradients.Of(loss, [.. wanted.Select(i => (Tensor)network.Table[i])]);
            foreach (var (i, gradient) in wanted.Zip(gradients))
                values.Add(network.Specs[i].Name, gradient is null ? new double[network.Specs[i].Count] : Numbers(gradient));
            values.Add("loss", Numbers(loss));
            values.Add("logits", Numbers(logits));
        }
        var dropout = network.Dropout;
        network.Dropout = null;
        using var guard = no_grad();
        values.Add("inference", Numbers(network.forward(given.Images)));
        values.Add("features", Numbers(network.Features(given.Images)));
        network.Dropout = dropout;
        if (dropout is null && network is Supernet supernet)
            values.Add("vertex", Numbers(supernet.Forward(given.Images, supernet.Vertex([.. supernet.Layers.Select((layer, i) => (i + 3) % layer.Names.Count)]))));
        return values;

        static double[] Numbers(Tensor tensor) => tensor.detach().to(ScalarType.Float64).contiguous().data<double>().ToArray();
    }

    internal static Batch Batch(SpecDocument spec, int size, ScalarType dtype) =>
        new(VertexTests.Images(spec, size).to(dtype), tensor(Enumerable.Range(0, size).Select(i => (long)(i * 5 % spec.Classes)).ToArray()));

    /// <summary>Batches of four images.</summary>
    private sealed class Given(SpecDocument spec, int count) : IBatches
    {
        public int Count => count;

        public IEnumerable<(Tensor Images, Tensor Labels)> Epoch(long seed, int epoch)
        {
            for (var i = 0; i < count; i++)
            {
                var random = SplitMix.For(seed, $"{epoch} {i}");
                var side = spec.Backbone.Image;
                yield return (
                    tensor(Enumerable.Range(0, 4 * 3 * side * side).Select(_ => (float)random.NextGaussian()).ToArray(), [4, 3, side, side]),
                    tensor(Enumerable.Range(0, 4).Select(_ => (long)random.Next(spec.Classes)).ToArray()));
            }
        }
    }

    private static double Error(double[] actual, double[] expected, double[]? scale = null) =>
        actual.Zip(expected, (a, b) => Math.Abs(a - b)).Max() / Math.Max(1e-6, (scale ?? expected).Max(Math.Abs));
}
