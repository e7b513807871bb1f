using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;

namespace FusionGen.Compiler.Tests.Passes;

public class FrozenPrefixTests
{
    /// <summary>Five tokens of 8 channels come out of the patch embedding, four patches of 4·4·3 numbers go in.</summary>
    [TestCase("affine", 5 * 8, 4 * 8 * 48, TestName = "The norm takes the operator in: tokens are kept")]
    [TestCase("prefix", 4 * 5 * 8, (4 * 8 * 48) + (5 * 8 * 24), TestName = "Queries, keys and values of the first layer are kept too")]
    [TestCase("adapter", 2 * 5 * 8, (4 * 8 * 48) + (5 * 8 * (24 + 8 + 12 + 12)) + (2 * 5 * 5 * 8), TestName = "Before an adapter: the tokens, and what the layer adds to them")]
    public void EndsAtTheFirstTunedValue(string candidates, int numbers, int macs)
    {
        foreach (var isShort in new[] { false, true })
        {
            var prefix = Prefix(TinySpecs.Network(TinySpecs.Vit(candidates, depth: 3)), isShort)!;
            Assert.That((prefix.Bytes, prefix.Macs), Is.EqualTo((4L * numbers, (long)macs)));
        }
    }

    [TestCase("prefix", false)]
    [TestCase("prefix", true)]
    public void EndsAtAMaskThatIsAnotherOneEveryTime(string candidates, bool isShared)
    {
        var kept = Prefix(TinySpecs.Network(TinySpecs.Vit(candidates, dropout: 0.5, shareDropout: isShared)), isShort: false)!;
        var plain = Prefix(TinySpecs.Network(TinySpecs.Vit(candidates)), isShort: false)!;
        // A mask of all images is a matter of the step; a mask of each comes before the first layer's products.
        Assert.That(kept.Macs, isShared ? Is.EqualTo(plain.Macs) : Is.LessThan(plain.Macs));
    }

    [Test]
    public void IsEverythingUpToTheHeadOfALinearProbe()
    {
        var network = TinySpecs.Network(TinySpecs.Vit(""));
        var prefix = Prefix(network, isShort: true)!;
        Assert.That((prefix.Bytes, prefix.Macs), Is.EqualTo((4L * 8, Pipeline.ForTraining(network).Macs - network.Logits.Macs)));
    }

    [Test]
    public void IsAllButTheLastBlockWhereOnlyThatIsTuned()
    {
        var network = TinySpecs.Network(TinySpecs.Vit("", depth: 4, more: "tune: { last: 1 }\n"));
        var prefix = Prefix(network, isShort: true)!;
        var macs = network.Values.Where(value => value.Scope is "embed" or "blocks.0" or "blocks.1" or "blocks.2").Sum(value => value.Macs);
        Assert.That((prefix.Bytes, prefix.Macs), Is.EqualTo((4L * 5 * 8, macs)));
    }

    [Test]
    public void IsNothingWhereEverythingIsTuned() => Assert.That(Prefix(TinySpecs.Network(TinySpecs.Vit("", more: "tune: all\n")), isShort: true), Is.Null);

    private static FrozenPrefix? Prefix(Network network, bool isShort) => StaticPlan.Of(Differentiation.Of(Pipeline.ForTraining(network, isShort))).Layout.Frozen;

    [TestCase("pfd")]
    [TestCase("vpt-fgvc")]
    public void RandomCropsBlockIt(string preprocessing)
    {
        var network = TinySpecs.Network(TinySpecs.Vit("adapter"));
        var prefix = Prefix(network, isShort: false)!;
        Assert.That(prefix.Blocked(preprocessing, network.Macs), Does.Contain(preprocessing));
        Assert.That(prefix.Blocked("vpt-vtab", network.Macs), Is.Null);
        Assert.That((prefix with { Macs = network.Macs / 21 }).Blocked("vpt-vtab", network.Macs), Does.Contain("too little"));
    }
}
