using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Tests.Passes;

/// <summary>Passes compose: all of them in one walk, and one after another, compute what the graph computed.</summary>
public class PipelineTests
{
    private const string All = "add, affine, concat, cross, prefix, deep, e2vpt, none";
    private const string Sites = "add, prefix, lora, some, ssf, adapter, quick, vector, modulate";

    private static IEnumerable<TestCaseData> Specs()
    {
        yield return new TestCaseData(TinySpecs.Vit(All + ", vapt, vapt-own")).SetName("vit");
        yield return new TestCaseData(TinySpecs.Vit(All + ", vapt", "mean")).SetName("vit, mean");
        yield return new TestCaseData(TinySpecs.Vit("e2vpt", "mean-with-prompts")).SetName("vit, prompts pooled");
        yield return new TestCaseData(TinySpecs.Vit("prefix, vapt, e2vpt", dropout: 0.3)).SetName("vit, dropout");
        yield return new TestCaseData(TinySpecs.Vit("shallow")).SetName("vit, shallow prompts");
        yield return new TestCaseData(TinySpecs.Vit("")).SetName("vit, plain");
        yield return new TestCaseData(TinySpecs.Streams("original")).SetName("vit, streams");
        yield return new TestCaseData(TinySpecs.Vit("", more: "tune: all\n")).SetName("vit, tuned");
        yield return new TestCaseData(TinySpecs.Vit("", more: "tune: bias\n")).SetName("vit, biases");
        yield return new TestCaseData(TinySpecs.Vit("", more: "tune: { last: 1 }\n")).SetName("vit, last block");
        yield return new TestCaseData(TinySpecs.Vit(Sites)).SetName("vit, sites");
        yield return new TestCaseData(TinySpecs.Vit(Sites, "mean")).SetName("vit, sites, mean");
        yield return new TestCaseData(TinySpecs.Vit("lora")).SetName("vit, lora");
        yield return new TestCaseData(TinySpecs.Vit("ssf")).SetName("vit, ssf");
        yield return new TestCaseData(TinySpecs.Swin(Sites)).SetName("swin, sites");
        yield return new TestCaseData(TinySpecs.Swin(All)).SetName("swin");
    }

    [TestCaseSource(nameof(Specs))]
    public void TrainingKeepsLogitsAndGradients(SpecDocument spec)
    {
        var network = TinySpecs.Network(spec);
        Identity.Holds(network, Pipeline.ForTraining(network));
    }

    [TestCaseSource(nameof(Specs))]
    public void InferenceKeepsLogits(SpecDocument spec)
    {
        var network = TinySpecs.Network(spec);
        Identity.Holds(network, Pipeline.ForInference(network), gradients: false);
    }

    [TestCaseSource(nameof(Specs))]
    public void OneWalkIsAllPassesInTurn(SpecDocument spec)
    {
        foreach (var passes in new[] { Pipeline.Training, Pipeline.Inference })
        {
            var network = TinySpecs.Network(spec);
            var inTurn = passes.Aggregate(network, (before, pass) => Rewriter.Run(before, pass).Network);
            Assert.That(Print(Rewriter.Run(network, passes).Network), Is.EqualTo(Print(inTurn)));
        }
    }

    [Test]
    public void EveryPassIsDocumented()
    {
        var docs = Golden.Read("../../docs/passes.md");
        foreach (var pass in Pipeline.Training.Concat(Pipeline.Inference))
            Assert.That(docs, Does.Contain($"| {pass.Name} |"));
    }

    /// <summary>Values in the order of the graph, under new numbers: those of the dead leave gaps.</summary>
    private static string[] Print(Network network)
    {
        var ids = network.Values.Select((value, i) => (value, i)).ToDictionary(pair => pair.value, pair => pair.i);
        return [.. network.Values.Select(value => $"{value.Scope}: {value.Op} {value.Hint} {string.Join(',', value.Inputs.Select(input => ids[input]))}")];
    }
}
