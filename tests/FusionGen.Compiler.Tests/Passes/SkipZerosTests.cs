using FusionGen.Compiler.Passes;

namespace FusionGen.Compiler.Tests.Passes;

public class SkipZerosTests
{
    private static readonly SkipZeros Pass = new();

    [TestCase("top")]
    [TestCase("top, affine, prefix")]
    public void KeepsLogitsAndGradients(string candidates) => Identity.Holds(Pass, TinySpecs.Network(TinySpecs.Vit(candidates)), times: 2);

    [Test]
    public void CountsTheRowsThatAreKept()
    {
        var before = TinySpecs.Network(TinySpecs.Vit("top"));
        var after = Rewriter.Run(before, Pass).Network;

        // Two layers, five tokens of 8 channels, three rows fewer of five for each.
        Assert.That(before.Macs - after.Macs, Is.EqualTo(2 * 5 * 8 * 3));
    }

    [Test]
    public void AFullMixBlocks() => Identity.IsBlocked(Pass, TinySpecs.Network(TinySpecs.Vit("concat")), "all rows count");

    [Test]
    public void NoConcatBlocks() => Identity.IsBlocked(Pass, TinySpecs.Network(TinySpecs.Vit("add")), "a concat operator");
}
