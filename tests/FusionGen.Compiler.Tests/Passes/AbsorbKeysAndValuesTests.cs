using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;

namespace FusionGen.Compiler.Tests.Passes;

public class AbsorbKeysAndValuesTests
{
    private static readonly AbsorbKeysAndValues Pass = new(evenIfTuned: false);

    [TestCase("add")]
    [TestCase("concat")]
    [TestCase("prefix")]
    [TestCase("prefix, deep, cross")]
    [TestCase("vapt, prefix")]
    [TestCase("add, affine, concat, cross, prefix, none")]
    public void KeepsLogitsAndGradients(string candidates)
    {
        var before = TinySpecs.Network(TinySpecs.Vit(candidates));
        var after = Identity.Holds(Pass, before, times: 1);
        Assert.That(after.Macs, Is.LessThan(before.Macs));
        Assert.That(Differentiation.Of(after).Macs, Is.LessThan(Differentiation.Of(before).Macs));
        Assert.That(after.Values.Count(value => value.Op is AttentionOp), Is.EqualTo(1));
    }

    [Test]
    public void KeepsThePlainNetwork() => Identity.Holds(Pass, TinySpecs.Network(TinySpecs.Vit("")), times: 1);

    [Test]
    public void MeanPoolingBlocks() => Identity.IsBlocked(Pass, TinySpecs.Network(TinySpecs.Vit("add", "mean")), "pooling by the class token");

    [Test]
    public void WindowsBlock() => Identity.IsBlocked(Pass, TinySpecs.Network(TinySpecs.Swin("add")), "pooling by the class token");

    /// <summary>METHOD §7.10: where the pool reads the last block's prompts, they go through it in full.</summary>
    [TestCase("prefix")]
    [TestCase("vapt")]
    public void PooledPromptsBlock(string candidates)
    {
        var network = TinySpecs.Network(TinySpecs.Vit(candidates, "mean-with-prompts"));
        Identity.IsBlocked(Pass, network, "pooling by the class token");
        var rows = network.Values.Where(value => value.Op is AttentionOp).Select(value => value.Shape[1].Size);
        Assert.That(rows, Is.EqualTo(new[] { 5, 7 }), "five tokens, then two prompts with them");
    }

    [Test]
    public void PooledPromptsAreNoneOfSeveralCandidates() =>
        Assert.That(() => TinySpecs.Network(TinySpecs.Vit("prefix, add", "mean-with-prompts")), Throws.TypeOf<ShapeException>().With.Message.Contains("give the last layer one"));

    /// <summary>Rows that are keys and values as they are came from no tokens.</summary>
    [Test]
    public void KeysAndValuesOfTheirOwnBlock() => Identity.IsBlocked(Pass, TinySpecs.Network(TinySpecs.Vit("e2vpt")), "does not pass the tokens' projections");

    [Test]
    public void TunedProjectionsBlock() => Identity.IsBlocked(Pass, TinySpecs.Network(TinySpecs.Vit("", more: "tune: all\n")), "the projections are tuned");

    [Test]
    public void OperatorsOnTheProjectionsBlock() => Identity.IsBlocked(Pass, TinySpecs.Network(TinySpecs.Vit("lora")), "operators act on the projections");

    /// <summary>Every head reads all of every token: two tokens' projections cost less than that for eight heads.</summary>
    [TestCase(8, "so few tokens that keys and values cost less")]
    [TestCase(2, null)]
    public void FewTokensBlock(int heads, string? reason)
    {
        var network = TinySpecs.Network(TinySpecs.Vit("", image: 4, heads: heads));
        if (reason is null)
            Identity.Holds(Pass, network, times: 1);
        else
            Identity.IsBlocked(Pass, network, reason);
    }

    /// <summary>For predictions LoRA has become part of the projections, and tuned ones are as good as frozen ones.</summary>
    [Test]
    public void PredictionsAbsorbWhatLoraMade()
    {
        var after = Pipeline.ForInference(TinySpecs.Network(TinySpecs.Vit("lora")));
        Assert.That(after.Values, Has.One.Matches<Value>(value => value!.Op is RowAttentionOp));
    }
}
