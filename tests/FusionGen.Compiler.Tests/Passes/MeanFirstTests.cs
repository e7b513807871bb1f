using FusionGen.Compiler.Passes;

namespace FusionGen.Compiler.Tests.Passes;

public class MeanFirstTests
{
    private static readonly MeanFirst Pass = new();

    [Test]
    public void KeepsLogitsAndGradients()
    {
        var before = TinySpecs.Network(TinySpecs.Vit("affine, prefix", "mean"));
        var after = Identity.Holds(Pass, before, times: 1);

        // Five rows of the last layer (8 ← 12 channels) are one.
        Assert.That(before.Macs - after.Macs, Is.EqualTo(4 * 8 * 12));
    }

    [Test]
    public void KeepsGradientsOfTunedLayers() => Identity.Holds(Pass, TinySpecs.Network(TinySpecs.Vit("", "mean", "tune: all\n")), times: 1);

    [Test]
    public void TheClassTokenBlocks() => Identity.IsBlocked(Pass, TinySpecs.Network(TinySpecs.Vit("add")), "pooling by the mean");

    [Test]
    public void ANormBetweenBlocks() => Identity.IsBlocked(Pass, TinySpecs.Network(TinySpecs.Swin("add")), "a norm lies between");
}
