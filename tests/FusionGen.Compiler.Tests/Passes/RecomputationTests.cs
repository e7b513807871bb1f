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
        foreach (var recomputation in new[] { Recomputation.Norms, Recomputation.NormsAndActivations })
            Identity.Holds(TinySpecs.Network(spec), TinySpecs.Network(spec), recomputation);
    }

    [TestCaseSource(nameof(Specs))]
    public void TheLeastThatFitsIsChosen(SpecDocument spec)
    {
        const int Batch = 4;
        Differentiation Within(long bytes) => Recomputations.Within(TinySpecs.Network(spec), Batch, passes: 1, bytes);
        long Peak(Recomputation recomputation) => StaticPlan.Of(Differentiation.Of(TinySpecs.Network(spec), recomputation)).PeakBytes(Batch);
        var (none, norms, most) = (Peak(Recomputation.None), Peak(Recomputation.Norms), Peak(Recomputation.NormsAndActivations));
        Assert.Multiple(() =>
        {
            Assert.That(norms, Is.LessThan(none));
            Assert.That(most, Is.LessThanOrEqualTo(norms));
            Assert.That(Within(0).Recomputation, Is.EqualTo(Recomputation.None), "no budget");
            Assert.That(StaticPlan.Of(Within(none)).PeakBytes(Batch), Is.EqualTo(none));
            Assert.That(StaticPlan.Of(Within(none - 1)).PeakBytes(Batch), Is.EqualTo(norms));
            Assert.That(StaticPlan.Of(Within(1)).PeakBytes(Batch), Is.EqualTo(most), "as little as can be");
        });
    }
}
