using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;

namespace FusionGen.Compiler.Tests.Passes;

public class MergeIntoWeightsTests
{
    /// <summary>Two blocks: one projection each; all four linear layers; these and the patch projection.</summary>
    [TestCase("lora", 2)]
    [TestCase("some", 8)]
    [TestCase("ssf", 9)]
    public void KeepsLogitsAndGradients(string operators, int times)
    {
        var after = Identity.Holds(new MergeIntoWeights(), TinySpecs.Network(TinySpecs.Vit(operators)), times);
        Assert.That(after.Values.Count(value => value is { Op: LinearOp, Shape.IsPerSample: true }), Is.EqualTo(9), "four a block, and the head");
    }

    /// <summary>In a mixture π is part of the gain and of the product. Of two candidates that act on one layer both are merged.</summary>
    [TestCase("lora, prefix", 2)]
    [TestCase("lora, ssf", 11)]
    [TestCase("lora, some", 10)]
    public void KeepsLogitsAndGradientsOfAMixture(string candidates, int times) => Identity.Holds(new MergeIntoWeights(), TinySpecs.Network(TinySpecs.Vit(candidates)), times);

    [TestCase("lora, ssf")]
    public void KeepsLogitsAndGradientsOnWindows(string candidates) => Identity.Holds(new MergeIntoWeights(), TinySpecs.Network(TinySpecs.Swin(candidates)), times: 21);

    /// <summary>An adapter reads what the MLP's last layer gives, so that has to exist without SSF's gain.</summary>
    [Test]
    public void OtherReadersBlockIt()
    {
        var network = TinySpecs.Network(TinySpecs.Vit("ssf, adapter"));
        var rewriter = Rewriter.Run(network, new MergeIntoWeights());
        Assert.That(rewriter.Network.Values.Count(value => value is { Op: MulAddOp, Inputs: [{ Op: LinearOp }, ..] }), Is.EqualTo(2));
        Identity.Holds(new MergeIntoWeights(), network, times: 7);
    }

    [Test]
    public void AnAdapterAloneBlocksIt() => Identity.IsBlocked(new MergeIntoWeights(), TinySpecs.Network(TinySpecs.Vit("adapter")), "read its result too");

    [Test]
    public void WithoutSuchAnOperatorThereIsNothingToMerge() => Identity.IsBlocked(new MergeIntoWeights(), TinySpecs.Network(TinySpecs.Vit("add, prefix")), "an ssf or lora operator");
}
