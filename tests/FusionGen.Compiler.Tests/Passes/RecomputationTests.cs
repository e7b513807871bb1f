using FusionGen.Compiler.Passes;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Tests.Passes;

/// <summary>Less is kept, more is computed, and the gradients are the same.</summary>
public class RecomputationTests
{
    private static IEnumerable<TestCaseData> Specs()
    {
        yield return new TestCaseData(TinySpecs.Vit("affine, concat, cross, prefix")).SetName("supernet");
        yield return new TestCaseData(TinySpecs.Vit("", more: "tune: all\n")).SetName("everything tuned");
    }

    [TestCaseSource(nameof(Specs))]
    public void GradientsStay(SpecDocument spec)
    {
        foreach (var recomputation in new[] { Recomputation.Probabilities, Recomputation.Norms, Recomputation.Activations })
            Identity.Holds(TinySpecs.Network(spec), TinySpecs.Network(spec), recomputation);
    }

    /// <summary>H·(T + P) numbers a token against an MLP's 4d.</summary>
    [Test]
    public void LongRowsOfProbabilitiesAreNotKept([Values(3, 4)] int side)
    {
        // Heads of 4 keep 16 keys: a token for every patch, and the class token's.
        var spec = TinySpecs.Vit("", more: "tune: all\n");
        spec = spec with { Backbone = spec.Backbone with { Image = side * spec.Backbone.Patch, Width = 8, Heads = 2 } };
        long Peak(Recomputation recomputation) => StaticPlan.Of(Differentiation.Of(TinySpecs.Network(spec), recomputation)).PeakBytes(1);
        Assert.That(Peak(Recomputation.None) > Peak(Recomputation.Probabilities), Is.EqualTo(side * side < 16));
    }

    [TestCaseSource(nameof(Specs))]
    public void TheLeastThatFitsIsChosen(SpecDocument spec)
    {
        const int Batch = 4;
        Differentiation Within(long bytes) => Recomputations.Within(TinySpecs.Network(spec), Batch, passes: 1, bytes);
        long Peak(Recomputation recomputation) => StaticPlan.Of(Differentiation.Of(TinySpecs.Network(spec), recomputation)).PeakBytes(Batch);
        var (none, probabilities, norms, most) = (Peak(Recomputation.None), Peak(Recomputation.Probabilities), Peak(Recomputation.Norms), Peak(Recomputation.Activations));
        Assert.Multiple(() =>
        {
            Assert.That(probabilities, Is.LessThan(none));
            Assert.That(norms, Is.LessThan(probabilities));
            Assert.That(most, Is.LessThanOrEqualTo(norms));
            Assert.That(Within(0).Recomputation, Is.EqualTo(Recomputation.None), "no budget");
            Assert.That(StaticPlan.Of(Within(none)).PeakBytes(Batch), Is.EqualTo(none));
            Assert.That(StaticPlan.Of(Within(none - 1)).PeakBytes(Batch), Is.EqualTo(probabilities));
            Assert.That(StaticPlan.Of(Within(probabilities - 1)).PeakBytes(Batch), Is.EqualTo(norms));
            Assert.That(StaticPlan.Of(Within(1)).PeakBytes(Batch), Is.EqualTo(most), "as little as can be");
        });
    }
}
