using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Tests.Passes;

/// <summary>Memory is planned so that nothing overwrites what is still needed, and little is left over.</summary>
public class StaticPlanTests
{
    private const string All = "add, affine, concat, cross, prefix, none";

    private static IEnumerable<TestCaseData> Plans()
    {
        foreach (var (name, spec) in new (string, SpecDocument)[] { ("vit", TinySpecs.Vit(All)), ("vit, mean", TinySpecs.Vit("affine, prefix", "mean")), ("swin", TinySpecs.Swin(All)), ("head only", TinySpecs.Vit("")), ("streams", TinySpecs.Streams("original", "mean")) })
        {
            yield return new TestCaseData(StaticPlan.Of(TinySpecs.Network(spec))).SetName($"{name}, forward");
            yield return new TestCaseData(StaticPlan.Of(Differentiation.Of(TinySpecs.Network(spec)))).SetName($"{name}, step");
            yield return new TestCaseData(StaticPlan.Of(Pipeline.ForInference(TinySpecs.Network(spec)))).SetName($"{name}, rewritten, forward");
            yield return new TestCaseData(StaticPlan.Of(Differentiation.Of(Pipeline.ForTraining(TinySpecs.Network(spec))))).SetName($"{name}, rewritten, step");
        }
    }

    [TestCaseSource(nameof(Plans))]
    public void WhatIsAliveAtOnceIsApart(StaticPlan plan)
    {
        var buffers = Buffers(plan);
        foreach (var one in buffers)
        {
            foreach (var other in buffers.Where(other => other != one && Arena(other) == Arena(one)))
            {
                var together = Arena(one) == Phase.Partial || (one.First <= other.Last && other.First <= one.Last);
                Assert.That(together && Start(one) < Start(other) + other.Elements && Start(other) < Start(one) + one.Elements, Is.False, $"{one.Phase} {Start(one)} {one.Elements} and {other.Phase} {Start(other)} {other.Elements}");
            }
        }
    }

    /// <summary>Phase after phase, images as often as one likes where nothing follows them: every number read is of the buffer that is meant.</summary>
    [TestCaseSource(nameof(Plans))]
    public void NobodyWritesOverWhatALaterPhaseReads(StaticPlan plan)
    {
        var memory = new[] { (Phase.Shared, plan.SharedElements), (Phase.Sample, plan.SampleElements), (Phase.Partial, plan.PartialElements) }.ToDictionary(arena => arena.Item1, arena => new StaticBuffer[arena.Item2]);
        var hasGradients = plan.Instructions.Any(i => i.Phase == Phase.Partial);
        Run(Phase.Shared);
        Run(Phase.Sample, Phase.Partial);
        Run(hasGradients ? [Phase.Finish] : [Phase.Sample]);

        void Run(params Phase[] phases)
        {
            foreach (var i in plan.Instructions.Where(i => phases.Contains(i.Phase)))
            {
                foreach (var buffer in i.Inputs.Append(i.Residual).Select(place => place?.Buffer).OfType<StaticBuffer>())
                    Assert.That(Numbers(buffer).ToArray(), Is.All.SameAs(buffer), i.Value.Op.ToString());
                foreach (var buffer in i.Parts.Values.Append(i.Result).Append(i.Saved).Select(place => place?.Buffer).OfType<StaticBuffer>())
                    Numbers(buffer).Fill(buffer);
            }
        }

        Span<StaticBuffer> Numbers(StaticBuffer buffer) => memory[Arena(buffer)].AsSpan((int)Start(buffer), (int)buffer.Elements);
    }

    /// <summary>An instruction writes over one of its own operands at most where it works element by element, or adds to it.</summary>
    [TestCaseSource(nameof(Plans))]
    public void OnlyElementwiseOperationsWorkInPlace(StaticPlan plan)
    {
        foreach (var instruction in plan.Instructions)
        {
            var overwritten = instruction.Inputs.Where(input => input.Buffer is { } buffer && buffer == instruction.Result.Buffer).ToList();
            if (instruction.Value.Op is UnaryOp or UnaryGradientOp or ScaleOp or AddOp or MulOp or MulAddOp)
                Assert.That(overwritten, Is.All.Matches<StaticPlace>(place => place == instruction.Result), instruction.Value.Op.ToString());
            else
                Assert.That(overwritten, Is.Empty, instruction.Value.Op.ToString());
        }
    }

    /// <summary>Every operand was written before it is read, by the value that is meant and by nobody since.</summary>
    [TestCaseSource(nameof(Plans))]
    public void WhatIsReadIsWhatWasMeant(StaticPlan plan)
    {
        var holds = new Dictionary<StaticBuffer, Value>();
        foreach (var instruction in plan.Instructions)
        {
            foreach (var (input, place) in instruction.Value.Inputs.Zip(instruction.Inputs).Where(pair => pair.Second.Buffer is not null))
                Assert.That(Origin(holds[place.Buffer!]), Is.EqualTo(Origin(input)), $"{instruction.Value.Op} reads {input.Op}");
            if (instruction.Result.Buffer is { } written)
                holds[written] = instruction.Residual is null ? instruction.Value : SumOf(instruction.Value);
            foreach (var (index, place) in instruction.Parts)
                holds[place.Buffer!] = plan.Values.First(value => value.Op is PartOp part && part.Index == index && value.Inputs[0] == instruction.Value);
        }

        Value SumOf(Value product) => plan.Values.First(value => value.Op is AddOp && value.Inputs.Contains(product));
    }

    [TestCaseSource(nameof(Plans))]
    public void NoMoreIsTakenThanWhatIsAliveAtTheWorstMomentAndATenth(StaticPlan plan)
    {
        var buffers = Buffers(plan).Where(buffer => buffer.Phase == Phase.Sample).ToList();
        var worst = buffers.Select(buffer => buffer.First).Max(i => buffers.Where(buffer => buffer.First <= i && i <= buffer.Last).Sum(buffer => buffer.Elements));
        Assert.That(plan.SampleElements, Is.InRange(worst, 1.1 * worst));
    }

    [Test]
    public void SumsOverImagesAreKeptApartFromWhatIsPerImage()
    {
        var differentiation = Differentiation.Of(TinySpecs.Network(TinySpecs.Vit(All)));
        var plan = StaticPlan.Of(differentiation);
        Assert.Multiple(() =>
        {
            foreach (var gradient in differentiation.Gradients.Values)
                Assert.That(plan[gradient].Buffer?.Phase, Is.AnyOf(Phase.Partial, Phase.Finish), gradient.Op.ToString());
            Assert.That(plan.Instructions.Where(i => i.Phase == Phase.Finish).SelectMany(i => i.Value.Inputs), Is.All.Matches<Value>(value => value is not { Shape.IsPerSample: true }));
        });
    }

    /// <summary>METHOD §6.1, S7: before the first prompts nothing wants the gradient of the tokens.</summary>
    [Test]
    public void TheFirstLayersTokensGetNoGradientOfTheirOwn()
    {
        var gradients = StaticPlan.Of(Differentiation.Of(TinySpecs.Network(TinySpecs.Vit("prefix")))).Instructions.Where(i => i.Value.Op is AttentionGradientOp).ToList();
        Assert.That(gradients.Select(i => i.Result.Elements > 0), Is.EqualTo(new[] { true, false }), "last layer first");
        Assert.That(gradients, Is.All.Matches<StaticInstruction>(i => i is { Parts.Count: 1 }));
    }

    private static long Start(StaticBuffer buffer) => buffer.Block.Offset + buffer.Offset;

    private static Phase Arena(StaticBuffer buffer) => buffer.Phase == Phase.Finish ? Phase.Shared : buffer.Phase;

    private static List<StaticBuffer> Buffers(StaticPlan plan) =>
        [.. plan.Instructions.SelectMany(i => i.Inputs.Append(i.Result).Append(i.Residual).Append(i.Saved).Concat(i.Parts.Values)).Select(place => place?.Buffer).OfType<StaticBuffer>().Distinct()];

    /// <summary>What a view shows.</summary>
    private static Value Origin(Value value) => value.Op is ReshapeOp ? Origin(value.Inputs[0]) : value.Op is SliceOp or SelectOp && !value.Shape.IsPerSample ? Origin(value.Inputs[0]) : value;
}
