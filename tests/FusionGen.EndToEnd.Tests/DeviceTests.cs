using FusionGen.Cli.Compilation;
using FusionGen.Compiler;
using FusionGen.Compiler.Spec;
using FusionGen.Search;
using FusionGen.Static;
using static TorchSharp.torch;

namespace FusionGen.EndToEnd.Tests;

/// <summary>
/// Static programs on a device of libtorch: a GPU where there is one, else its CPU. That a step there is that of the host and of the eager modules is shown where those are compared (<see cref="StaticTests"/>).
/// </summary>
public sealed class DeviceTests
{
    /// <summary>The device.</summary>
    internal static Accelerator Device { get; } = new(cuda.is_available() ? CUDA : CPU);

    private static IEnumerable<TestCaseData> Halves()
    {
        yield return new TestCaseData(Specs.Tiny()).SetName("shared");
        yield return new TestCaseData(Specs.Tiny(share: false, pool: Pooling.Mean)).SetName("unshared, mean");
        yield return new TestCaseData(Specs.TinySwin()).SetName("swin");
        yield return new TestCaseData(Specs.Sites(Specs.Tiny())).SetName("sites");
        yield return new TestCaseData(Specs.Streams(Specs.Tiny(), 0)).SetName("streams");
    }

    /// <summary>Eight bits of mantissa: logits and gradients point where those of float32 do, and are no copies of them.</summary>
    [TestCaseSource(nameof(Halves))]
    public void Bfloat16_is_close_to_float32(SpecDocument spec)
    {
        using var network = CompiledSpec.Compile(spec, null).CreateSupernet();
        StaticTests.Randomize(network);
        network.Temperature = 0.7;
        var expected = StaticTests.Step(network, spec, 5);
        network.Accelerator = new Accelerator(Device.Device, ScalarType.BFloat16);
        var actual = StaticTests.Step(network, spec, 5);
        Assert.Multiple(() =>
        {
            Assert.That(Math.Abs(actual["loss"][0] - expected["loss"][0]), Is.LessThan(0.01 * expected["loss"][0]));
            foreach (var name in new[] { "logits", "inference", "features", "vertex" })
                Assert.That(Apart(actual[name], expected[name]), Is.InRange(1e-5, 0.05), name);
            string[] gradients = [.. network.Specs.Where(one => one.IsTuned || one.Role == TensorRole.Architecture).Select(one => one.Name)];
            Assert.That(Apart(All(actual), All(expected)), Is.InRange(1e-5, 0.1), "all gradients");

            double[] All(Dictionary<string, double[]> step) => [.. gradients.SelectMany(name => step[name])];
        });
    }

    /// <summary>Half the bytes of what is per image and of the frozen weights.</summary>
    [Test]
    public void Bfloat16_takes_less_memory()
    {
        var spec = Specs.Tiny();
        using var network = CompiledSpec.Compile(spec, null).CreateSupernet();
        StaticTests.Randomize(network);
        long BytesIn(ScalarType precision)
        {
            network.Accelerator = new Accelerator(Device.Device, precision);
            using var batch = StaticTests.Batch(spec, 32, ScalarType.Float32);
            network.AtOwn(network.Training!.NewPass()).On(batch).Run();
            return network.Training.Bytes;
        }
        Assert.That(BytesIn(ScalarType.BFloat16) / (double)BytesIn(ScalarType.Float32), Is.InRange(0.5, 0.6));
    }

    /// <summary>What has changed on the host is what the next run sees: tuned numbers, frozen weights, images; smaller and larger batches.</summary>
    [Test]
    public void A_run_sees_what_has_changed()
    {
        var spec = Specs.Tiny();
        using var network = CompiledSpec.Compile(spec, null).CreateSupernet();
        StaticTests.Randomize(network);
        network.Accelerator = Device;
        using var host = CompiledSpec.Compile(spec, null).CreateSupernet();
        foreach (var (size, name) in new[] { (3, "head.bias"), (7, "blocks.1.mlp.fc1.weight"), (2, network.Specs.First(one => one.IsTuned).Name), (2, "blocks.0.norm1.bias") })
        {
            var before = Logits(network, spec, size);
            using (no_grad())
                network[name].add_(0.05);
            Copy(network, host);
            var after = Logits(network, spec, size);
            Assert.That((Apart(after, before), Apart(after, Logits(host, spec, size))), Is.EqualTo((1.0, 0.0)).Using<(double Moved, double Wrong)>((actual, _) => actual.Moved > 1e-4 && actual.Wrong < 1e-5), name);
        }
    }

    /// <summary>From the second time on a step is played back, where the device can; to the same bits.</summary>
    [Test]
    public void A_step_that_recurs_gives_the_same()
    {
        var spec = Specs.Tiny();
        using var network = CompiledSpec.Compile(spec, null).CreateSupernet();
        StaticTests.Randomize(network);
        network.Accelerator = Device;
        var first = Logits(network, spec, 5);
        Assert.Multiple(() =>
        {
            var tensors = 0L;
            for (var i = 0; i < 3; i++)
            {
                Assert.That(Logits(network, spec, 5), Is.EqualTo(first));
                Assert.That(tensors, i == 0 ? Is.Zero : Is.EqualTo(TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount), "a run leaves no tensor behind");
                tensors = TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount;
            }
            Assert.That(((DeviceEngine)network.Training!).Recordings, Is.EqualTo(Accelerator.Records(Device.Device) ? 1 : 0));
        });
    }

    /// <summary>A prediction computes what depends on parameters alone when they have changed.</summary>
    [Test]
    public void What_is_shared_is_computed_once()
    {
        var spec = Specs.Tiny();
        using var network = CompiledSpec.Compile(spec, new PolicyDocument(spec.Model, SpecHash.Of(spec), spec.Layers.Select(_ => "affine").ToEquatableArray())).CreateModel();
        StaticTests.Randomize(network);
        network.Accelerator = Device;
        using var guard = no_grad();
        using var images = VertexTests.Images(spec, 3);
        network.forward(images).Dispose();
        using var before = network.forward(images);
        Assert.That(network.Inference!.SharedRuns, Is.EqualTo(1));
        network.Tuned()[0].mul_(2);
        using var after = network.forward(images);
        Assert.That((network.Inference.SharedRuns, after.bytes.SequenceEqual(before.bytes)), Is.EqualTo((2, false)));
    }

    [Test]
    public void Exact_second_order_says_that_it_is_not_there()
    {
        using var network = CompiledSpec.Compile(Specs.Tiny(), null).CreateSupernet();
        network.Accelerator = Device;
        var error = Assert.Throws<FusionException>(() => new BilevelSteps(network, network.Plan.Search with { Order = SearchOrder.SecondExact }).Dispose());
        Assert.That((error!.Code, error.Message), Is.EqualTo((ExitCode.Spec, "exact second order takes its inner step through the eager modules, and those are not on " + Device.Device + ": choose the eager engine there, or second-fd")));
    }

    [Test]
    public void Other_precisions_are_refused() =>
        Assert.That(() => new Accelerator(CPU, ScalarType.Float16), Throws.ArgumentException.With.Message.StartsWith("Float16 is neither Float32 nor BFloat16"));

    private static double[] Logits(FusionNetwork network, SpecDocument spec, int size)
    {
        using var scope = NewDisposeScope();
        var batch = StaticTests.Batch(spec, size, ScalarType.Float32);
        return Array.ConvertAll(network.AtOwn(network.Training!.NewPass()).On(batch).Run().Logits.ToArray(), value => (double)value);
    }

    private static void Copy(FusionNetwork from, FusionNetwork to)
    {
        using var guard = no_grad();
        foreach (var (source, target) in from.Table.Zip(to.Table))
            target.copy_(source);
    }

    /// <summary>‖a − b‖ / ‖b‖.</summary>
    private static double Apart(double[] a, double[] b) => Math.Sqrt(a.Zip(b, (x, y) => (x - y) * (x - y)).Sum() / b.Sum(y => y * y));
}
