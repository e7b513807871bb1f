using FusionGen.Cli.Compilation;
using FusionGen.Compiler;
using FusionGen.Compiler.Spec;
using FusionGen.Static;
using static TorchSharp.torch;

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
        }
    }

    [TestCaseSource(nameof(Cases))]
    public void The_supernets_step_is_the_eager_one(SpecDocument spec, int batch)
    {
        using var network = CompiledSpec.Compile(spec, null).CreateSupernet();
        VertexTests.Randomize(network);
        network.Temperature = 0.7;
        Compare(network, spec, batch);
    }

    [Test]
    public void So_is_a_models([Values("none", "add", "affine", "concat", "cross-attention", "prefix")] string kind)
    {
        var spec = Specs.Tiny();
        var policy = new PolicyDocument(spec.Model, SpecHash.Of(spec), spec.Layers.Select(_ => kind).ToEquatableArray());
        using var network = CompiledSpec.Compile(spec, policy).CreateModel();
        VertexTests.Randomize(network);
        Compare(network, spec, 5);
    }

    [Test]
    public void Another_batch_afterwards_is_as_right_as_the_first()
    {
        var spec = Specs.Tiny();
        using var network = CompiledSpec.Compile(spec, null).CreateSupernet();
        VertexTests.Randomize(network);
        foreach (var batch in new[] { 4, 11, 2 })
            Compare(network, spec, batch);
    }

    private static void Compare(FusionNetwork network, SpecDocument spec, int batch)
    {
        using var images = VertexTests.Images(spec, batch);
        using var labels = tensor(Enumerable.Range(0, batch).Select(i => (long)(i * 5 % spec.Classes)).ToArray());
        var wanted = network.Table.Where((_, i) => network.Specs[i].Role != TensorRole.Frozen).Cast<Tensor>().ToList();
        var names = network.Specs.Where(tensor => tensor.Role != TensorRole.Frozen).Select(tensor => tensor.Name).ToList();
        (float Loss, float[] Logits, float[][] Gradients) Step(Engine engine)
        {
            network.Engine = engine;
            var (loss, logits) = network.Loss(images, labels, network.Table);
            var gradients = autograd.grad([loss], wanted, allow_unused: true);
            return (loss.item<float>(), logits.data<float>().ToArray(), [.. gradients.Select(gradient => gradient is null ? [] : gradient.contiguous().data<float>().ToArray())]);
        }
        var eager = Step(Engine.Eager);
        var @static = Step(Engine.Static);
        Assert.Multiple(() =>
        {
            Assert.That(@static.Loss, Is.EqualTo(eager.Loss).Within(1e-5 * Math.Abs(eager.Loss)));
            Near(@static.Logits, eager.Logits, "logits");
            for (var i = 0; i < names.Count; i++)
            {
                // A parameter that the vertex does not use has no gradient, or zeros.
                if (eager.Gradients[i].Length > 0)
                    Near(@static.Gradients[i], eager.Gradients[i], names[i]);
            }
        });
    }

    private static void Near(float[] actual, float[] expected, string what)
    {
        var largest = Math.Max(1e-6, expected.Max(Math.Abs));
        Assert.That(actual, Has.Length.EqualTo(expected.Length), what);
        Assert.That(actual.Zip(expected).Max(pair => Math.Abs(pair.First - pair.Second)) / largest, Is.LessThan(2e-5), what);
    }
}
