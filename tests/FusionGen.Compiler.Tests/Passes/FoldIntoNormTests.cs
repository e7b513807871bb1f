using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;

namespace FusionGen.Compiler.Tests.Passes;

public class FoldIntoNormTests
{
    [TestCase("add")]
    [TestCase("affine")]
    [TestCase("add, affine, none")]
    public void KeepsLogitsAndGradients(string candidates)
    {
        var after = Identity.Holds(new FoldIntoNorm(evenIfRead: false), TinySpecs.Network(TinySpecs.Vit(candidates)), times: 2);
        Assert.That(after.Values, Has.None.Matches<Value>(value => value!.Op is MulAddOp && value.Shape.IsPerSample));
    }

    [TestCase("affine, cross")]
    [TestCase("add, affine, concat, cross, prefix, none")]
    public void KeepsLogitsAndGradientsWhereOthersReadTheTokens(string candidates) =>
        Identity.Holds(new FoldIntoNorm(evenIfRead: true), TinySpecs.Network(TinySpecs.Vit(candidates)), times: 2);

    [Test]
    public void OtherReadersBlockItInTraining() =>
        Identity.IsBlocked(new FoldIntoNorm(evenIfRead: false), TinySpecs.Network(TinySpecs.Vit("affine, cross")), "read the normalised tokens too");

    [Test]
    public void AnOperatorWithoutGainOrShiftIsLeftAlone() =>
        Identity.IsBlocked(new FoldIntoNorm(evenIfRead: true), TinySpecs.Network(TinySpecs.Vit("prefix")), "an add or affine operator");

    /// <summary>Shifting and cutting windows moves rows, which gain and shift treat alike; where windows are completed by zeros, as in the two blocks of the first stage at 12 pixels, these would be shifted too.</summary>
    [TestCase(16, 4)]
    [TestCase(12, 2)]
    public void KeepsLogitsAndGradientsBeforeWindows(int image, int times)
    {
        Identity.Holds(new FoldIntoNorm(evenIfRead: false), TinySpecs.Network(TinySpecs.Swin("affine", image: image)), times);
        Identity.Holds(new FoldIntoNorm(evenIfRead: true), TinySpecs.Network(TinySpecs.Swin("add, affine, cross", image: image)), times);
    }
}
