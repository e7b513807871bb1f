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

    /// <summary>Windows are cut between norm and fusion, so the norm's result is not what the operator is given.</summary>
    [Test]
    public void WindowsBlock() => Identity.IsBlocked(new FoldIntoNorm(evenIfRead: true), TinySpecs.Network(TinySpecs.Swin("affine")), "an add or affine operator");
}
