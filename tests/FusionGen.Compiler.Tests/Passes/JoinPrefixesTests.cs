using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;

namespace FusionGen.Compiler.Tests.Passes;

public class JoinPrefixesTests
{
    private static readonly JoinPrefixes Pass = new();

    [TestCase("prefix, deep")]
    [TestCase("prefix, affine, deep, none")]
    [TestCase("e2vpt")]
    [TestCase("prefix, vapt, e2vpt")]
    public void KeepsLogitsAndGradients(string candidates)
    {
        var network = TinySpecs.Network(TinySpecs.Vit(candidates));
        var joined = Identity.Holds(Pass, network, times: 2);
        Assert.That(joined.Values.Select(value => value.Op).OfType<AttentionOp>(), Is.All.Matches<AttentionOp>(op => op!.Prefixes.Count == 1));
    }

    [Test]
    public void KeepsTheBiasOfASwin() => Identity.Holds(Pass, TinySpecs.Network(TinySpecs.Swin("prefix, deep")), times: 4);

    [Test]
    public void LeavesASinglePrefixAlone() => Identity.IsBlocked(Pass, TinySpecs.Network(TinySpecs.Vit("prefix, add")), "several prefix candidates");
}
