using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;

namespace FusionGen.Compiler.Tests.Passes;

public class NoDropoutTests
{
    private static readonly NoDropout Pass = new();

    /// <summary>Prompts are the same for all images again: nothing of their keys and values is an image's.</summary>
    [TestCase("prefix", 2)]
    [TestCase("e2vpt", 2)]
    [TestCase("vapt", 4)]
    [TestCase("prefix, vapt, e2vpt", 8)]
    public void KeepsLogits(string candidates, int times)
    {
        var after = Identity.Holds(Pass, TinySpecs.Network(TinySpecs.Vit(candidates, dropout: 0.3)), times);
        Assert.That(after.Values, Has.None.Matches<Value>(value => value!.Op is DropoutMaskOp));
        if (!candidates.Contains("vapt", StringComparison.Ordinal))
            Assert.That(after.Values.Where(value => value.Op is AttentionOp).SelectMany(value => value.Inputs.Skip(1)), Is.All.Matches<Value>(prefix => !prefix!.Shape.IsPerSample));
    }

    /// <summary>METHOD §7.10: dropout of each image blocks S2 in training; a mask that all share does not.</summary>
    [TestCase(false)]
    [TestCase(true)]
    public void AMaskOfEachImageBlocksHoisting(bool share)
    {
        var network = Pipeline.ForTraining(TinySpecs.Network(TinySpecs.Vit("prefix", "mean", dropout: 0.3, shareDropout: share)));
        Assert.That(network.Values.Where(value => value.Op is AttentionOp).Select(value => value.Inputs[1].Shape.IsPerSample), Is.All.EqualTo(!share));
    }

    [Test]
    public void ThereIsNothingToDoWithoutDropout() => Identity.IsBlocked(Pass, TinySpecs.Network(TinySpecs.Vit("prefix")), "dropout");
}
