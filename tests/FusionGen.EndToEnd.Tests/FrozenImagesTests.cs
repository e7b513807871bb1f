using FusionGen.Cli.Compilation;
using FusionGen.Compiler;
using FusionGen.Compiler.Spec;
using FusionGen.Static;
using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.EndToEnd.Tests;

/// <summary>What is kept of images from epoch to epoch (METHOD §6.1, S6) changes what is computed, not what comes out.</summary>
public sealed class FrozenImagesTests
{
    private const int Images = 11;

    /// <summary>Operators from the first layer on, or only in later ones; the last of the orders has images that come twice.</summary>
    [Test]
    public void Steps_come_out_as_if_nothing_were_kept(
        [Values("prefix prefix prefix prefix prefix", "none none none add prefix", "none none none none none", "affine none concat vapt e2vpt", "swin")] string choices, [Values(1, 2)] int workers)
    {
        using var network = Network(choices);
        using var plain = new HostEngine(network.Training!.Program, network, workers);
        using var keeping = new HostEngine(network.Training.Program, network, workers);
        keeping.KeepFrozen(1L << 30);
        foreach (var order in new[] { new[] { 0, 1, 2, 3, 4 }, [5, 6, 7, 8, 9, 10], [10, 3, 0, 7, 5, 1, 2], [4, 4, 6] })
        {
            using var batch = Batch(network, order);
            var (expected, actual) = (Run(plain, network, batch), Run(keeping, network, batch));
            var largest = expected.Max(Math.Abs);
            for (var i = 0; i < expected.Length; i++)
                Assert.That(actual[i], Is.EqualTo(expected[i]).Within(2e-5 * largest), $"{i}");
        }
        Assert.That((keeping.Frozen!.Count, keeping.Frozen.Computed), Is.InRange((Images, (long)Images), (Images, Images + 1L)), "each image once; twice if two workers meet on it");
    }

    /// <summary>Neither how many images are kept, nor the batches they come in, nor the workers change a bit.</summary>
    [Test]
    public void Every_bit_is_the_same_whatever_is_kept()
    {
        using var network = Network("none none prefix prefix prefix");
        int[][] orders = [[0, 1, 2, 3, 4, 5, 6], [6, 2, 9], [10, 8, 7, 2, 0]];
        float[] All(int workers, long bytes, bool warm)
        {
            using var engine = new HostEngine(network.Training!.Program, network, workers);
            engine.KeepFrozen(bytes);
            if (warm)
            {
                using var other = Batch(network, [.. Enumerable.Range(0, Images).Reverse()]);
                Run(engine, network, other);
            }
            var results = new List<float>();
            foreach (var order in orders)
            {
                using var batch = Batch(network, order);
                results.AddRange(Run(engine, network, batch));
            }
            return [.. results];
        }
        var expected = All(1, 1L << 30, warm: false);
        foreach (var (workers, bytes, warm) in new[] { (2, 1L << 30, true), (1, 200_000, true), (3, 1, false) })
            Assert.That(All(workers, bytes, warm), Is.EqualTo(expected), $"{workers} workers, {bytes} bytes");
    }

    [Test]
    public void Once_kept_a_step_allocates_nothing()
    {
        using var network = Network("none none prefix prefix prefix");
        using var batch = Batch(network, [.. Enumerable.Range(0, Images)]);
        using var engine = new HostEngine(network.Training!.Program, network, 1);
        engine.KeepFrozen(1L << 30);
        var pass = network.AtOwn(engine.NewPass()).On(batch);
        for (var i = 0; i < 3; i++)
            pass.Run();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 5; i++)
            pass.Run();
        Assert.That(GC.GetAllocatedBytesForCurrentThread(), Is.EqualTo(before));
    }

    /// <summary>Training keeps images for as long as it lasts, where the spec's preprocessing gives the same ones again and its budget leaves room.</summary>
    [TestCase("vpt-vtab", 0, true)]
    [TestCase("pfd", 0, false)]
    [TestCase("squash", 1 << 30, true)]
    public void Training_keeps_them(string preprocessing, long budget, bool keeps)
    {
        using var network = Network("none none prefix prefix prefix", spec => spec with { Train = spec.Train with { Preprocessing = preprocessing }, Budget = spec.Budget with { Memory = budget } });
        Assert.That(network.Plan.KeepBytes, budget > 0 ? Is.InRange(1, budget - 1) : keeps ? Is.Null : Is.Zero);
        var kept = new List<int>();
        using var trainer = new Trainer(network, new Same(network), new Same(network), new TrainSettings { Epochs = 2 }, new RunContext { Seed = 4 });
        trainer.AfterStep = (_, _) => kept.Add(network.Training!.Frozen?.Count ?? 0);
        trainer.Run();
        Assert.That(kept, Is.EqualTo(keeps ? new[] { 6, Images, Images, Images } : [0, 0, 0, 0]));
        Assert.That(network.Training!.Frozen, Is.Null);
    }

    private static FusionModel Network(string choices, Func<SpecDocument, SpecDocument>? change = null)
    {
        var spec = choices == "swin" ? Specs.TinySwin() : Specs.Tiny(depth: 5);
        spec = change?.Invoke(spec) ?? spec;
        var policy = (choices == "swin" ? "none none prefix add" : choices).Split(' ').ToEquatableArray();
        var network = CompiledSpec.Compile(spec, new PolicyDocument(spec.Model, SpecHash.Of(spec), policy)).CreateModel();
        network.Initialize(3);
        using var guard = no_grad();
        using var head = randn(network["head.weight"].shape) * 0.3;
        network["head.weight"].copy_(head);
        return network;
    }

    private static float[] Run(StaticEngine engine, FusionNetwork network, Batch batch)
    {
        var pass = network.AtOwn(engine.NewPass()).On(batch).Run();
        return [(float)pass.Loss, .. pass.Logits, .. pass.WeightGradient];
    }

    private static Batch Batch(FusionNetwork network, int[] indices)
    {
        var side = network.Plan.ImageSize;
        return new Batch(
            tensor(indices.SelectMany(index => Pixels(index, 3 * side * side)).ToArray(), [indices.Length, 3, side, side]),
            tensor(indices.Select(index => (long)(index % network.Plan.Classes)).ToArray()));
    }

    private static IEnumerable<float> Pixels(int index, int count)
    {
        var random = SplitMix.For(index, "pixels");
        for (var i = 0; i < count; i++)
            yield return (float)random.NextGaussian();
    }

    /// <summary>The images in two batches, in another order each epoch.</summary>
    private sealed class Same(FusionNetwork network) : IBatches
    {
        public int Count => 2;

        public IEnumerable<(Tensor Images, Tensor Labels)> Epoch(long seed, int epoch)
        {
            var order = Enumerable.Range(0, Images).ToArray();
            SplitMix.For(seed, $"{epoch}").Shuffle<int>(order);
            foreach (var part in new[] { order[..6], order[6..] })
            {
                var batch = Batch(network, part);
                yield return (batch.Images, batch.Labels);
            }
        }
    }
}
