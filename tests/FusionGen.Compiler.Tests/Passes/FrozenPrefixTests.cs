using FusionGen.Compiler.Passes;

namespace FusionGen.Compiler.Tests.Passes;

public class FrozenPrefixTests
{
    /// <summary>Five tokens of 8 channels come out of the patch embedding, four patches of 4·4·3 numbers go in.</summary>
    [TestCase("affine", 5 * 8, 4 * 8 * 48, TestName = "The norm takes the operator in: tokens are kept")]
    [TestCase("prefix", 4 * 5 * 8, (4 * 8 * 48) + (5 * 8 * 24), TestName = "Queries, keys and values of the first layer are kept too")]
    public void EndsAtTheFirstTunedValue(string candidates, int numbers, int macs)
    {
        var prefix = FrozenPrefix.Of(Differentiation.Of(Pipeline.ForTraining(TinySpecs.Network(TinySpecs.Vit(candidates)))));
        Assert.That((prefix.Bytes, prefix.Macs), Is.EqualTo((4L * numbers, (long)macs)));
    }

    [Test]
    public void IsEverythingUpToTheHeadOfALinearProbe()
    {
        var network = Pipeline.ForTraining(TinySpecs.Network(TinySpecs.Vit("")));
        var prefix = FrozenPrefix.Of(Differentiation.Of(network));
        Assert.That(prefix.Boundary, Is.EqualTo(new[] { network.Features }));
        Assert.That(prefix.Macs, Is.EqualTo(network.Macs - network.Logits.Macs));
    }

    [Test]
    public void IsNothingWhereEverythingIsTuned()
    {
        var prefix = FrozenPrefix.Of(Differentiation.Of(TinySpecs.Network(TinySpecs.Vit("", more: "tune: all\n"))));
        Assert.That((prefix.Boundary.Count, prefix.Macs), Is.EqualTo((0, 0L)));
    }

    [TestCase("pfd")]
    [TestCase("vpt-fgvc")]
    public void RandomCropsBlockIt(string preprocessing) => Assert.That(FrozenPrefix.Blocked(preprocessing), Does.Contain(preprocessing));

    [Test]
    public void FixedImagesDoNot() => Assert.That(FrozenPrefix.Blocked("vpt-vtab"), Is.Null);
}
