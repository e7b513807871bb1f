using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Tests.Passes;

/// <summary>What is planned once for sections that are alike is laid out as if each had been planned.</summary>
public class StaticLayoutTests
{
    private const string All = "add, affine, concat, cross, prefix, none";

    private static IEnumerable<TestCaseData> Specs() =>
    [
        new TestCaseData(TinySpecs.Vit(All, depth: 9), 5).SetName("vit"),
        new TestCaseData(TinySpecs.Vit("affine, prefix", "mean", depth: 9), 4).SetName("vit, mean"),
        new TestCaseData(TinySpecs.Vit("", depth: 9), 4).SetName("head only"),
        new TestCaseData(TinySpecs.Vit("", "mean", "tune: all\n", depth: 9), 3).SetName("all tuned"),
        new TestCaseData(TinySpecs.Vit("add, none", layers: "0..3, candidates: [add, none] }\n  - { at: 4..8, candidates: [cross", depth: 9), 8).SetName("two kinds"),
    ];

    [TestCaseSource(nameof(Specs))]
    public void EverySectionIsLikeOneThatIsPlanned(SpecDocument spec, int blocks)
    {
        var sections = TinySpecs.Network(spec).Sections;
        Assert.That(sections.IsChain);
        Assert.That(sections.Short.Count(section => section.Scope.StartsWith("blocks", StringComparison.Ordinal)), Is.EqualTo(blocks));
        Assert.That(sections.All.Select(section => section.Like).Distinct(), Is.SubsetOf(sections.Short));
    }

    [TestCaseSource(nameof(Specs))]
    public void TheCallsAreThoseOfAWholePlan(SpecDocument spec, int blocks)
    {
        foreach (var (whole, laidOut) in Plans(spec))
        {
            Assert.That(laidOut.Network.IsShort);
            Assert.That(Calls(laidOut), Is.EqualTo(Calls(whole)));
            Assert.That(laidOut.PartialElements, Is.EqualTo(whole.PartialElements));
            Assert.That(laidOut.PeakBytes(16), Is.LessThanOrEqualTo(1.05 * whole.PeakBytes(16)));
        }
    }

    [TestCaseSource(nameof(Specs))]
    public void NobodyWritesOverWhatIsReadLater(SpecDocument spec, int blocks)
    {
        foreach (var (_, plan) in Plans(spec))
        {
            var memory = new[] { (Phase.Shared, plan.SharedElements), (Phase.Sample, plan.SampleElements), (Phase.Partial, plan.PartialElements) }.ToDictionary(arena => arena.Item1, arena => new (StaticBlock, long)[arena.Item2]);
            foreach (var call in plan.Layout.Calls)
            {
                foreach (var i in call.Run.Instructions)
                {
                    var read = plan.Layout.Summands(i) ?? [.. i.Inputs.Append(i.Residual).OfType<StaticPlace>().Select(place => (place, call.Section))];
                    foreach (var (place, section) in read.Where(pair => pair.Item1.Buffer is not null))
                        Assert.That(Numbers(place, section).ToArray(), Is.All.EqualTo(Mark(place, section)), $"{i.Value.Op} of {call.Scope}");
                    foreach (var place in i.Parts.Values.Append(i.Result).Append(i.Saved).OfType<StaticPlace>().Where(place => place.Buffer is not null))
                        Numbers(place, call.Section).Fill(Mark(place, call.Section));
                }
            }

            (StaticBlock, long) Mark(StaticPlace place, Section? section) => (plan.Layout.Block(place.Buffer!.Block, section), place.Buffer.Offset);

            Span<(StaticBlock, long)> Numbers(StaticPlace place, Section? section) =>
                memory[place.Buffer!.Block.Phase].AsSpan((int)(plan.Layout.Offset(place, section) - place.Start), (int)place.Buffer.Elements);
        }
    }

    private static IEnumerable<(StaticPlan Whole, StaticPlan LaidOut)> Plans(SpecDocument spec)
    {
        var network = TinySpecs.Network(spec);
        yield return (StaticPlan.Of(Pipeline.ForInference(network)), StaticPlan.Of(Pipeline.ForInference(network, isShort: true)));
        yield return (StaticPlan.Of(Differentiation.Of(Pipeline.ForTraining(network))), StaticPlan.Of(Differentiation.Of(Pipeline.ForTraining(network, isShort: true))));
    }

    private static List<string> Calls(StaticPlan plan) =>
        [.. plan.Layout.Calls.SelectMany(call => call.Run.Instructions.Select(i => $"{call.Scope}: {i.Value.Op} {i.Value.Shape} {i.Value.Hint} {plan.Layout.Summands(i)?.Count} {i.Residual is null} {i.Result == i.Residual} {i.Inputs.Contains(i.Result)}"))];
}
