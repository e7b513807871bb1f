using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Tests.Graph;

/// <summary>What each method tunes of ViT-B/16 besides the head, as METHOD §2 counts it from the published code.</summary>
internal sealed class ParameterCountTests
{
    [TestCase("kind: prefix", 92_160)]
    [TestCase("kind: add", 92_160)]
    [TestCase("kind: affine", 92_160 + 591_744)]
    [TestCase("kind: affine, share: false, reduction: 64", 92_160 + (12 * 38_424))]
    [TestCase("kind: concat", 92_160 + 40_779)]
    [TestCase("kind: cross-attention", 92_160 + 589_824)]
    [TestCase("kind: cross-attention, share: false, reduction: 64, output: zero", 92_160 + 442_368)]
    [TestCase("kind: add-direct", 9_216)]
    [TestCase("kind: affine-direct", 18_432)]
    [TestCase("kind: lora", 294_912)]
    [TestCase("kind: lora, rank: 16, targets: [q, v]", 12 * 16 * 3 * 768)]
    [TestCase("kind: adapter", 1_779_840)]
    public void Of_an_operator_in_every_block(string options, long tuned) =>
        Assert.That(Networks($"operators: {{ one: {{ {options} }} }}\nlayers: [ {{ at: 0..11, candidates: [one] }} ]\n").Supernet!.Count(ParameterRole.Tuned), Is.EqualTo(tuned));

    [Test]
    public void Of_an_operator_around_the_blocks_too() =>
        Assert.That(Networks("operators: { ssf: { kind: ssf } }\nlayers: [ { at: [embed, 0..11, norm], candidates: [ssf] } ]\n").Supernet!.Count(ParameterRole.Tuned), Is.EqualTo(205_824));

    [TestCase(8, 202_200)]
    [TestCase(16, 372_912)]
    [TestCase(32, 714_336)]
    [TestCase(64, 1_397_184)]
    public void Of_a_second_stream(int rank, long tuned) =>
        Assert.That(Networks($"operators: {{ sa2vp: {{ kind: sa2vp, rank: {rank} }} }}\nlayers: [ {{ at: branch, candidates: [sa2vp] }}, {{ at: 0..11, candidates: [] }} ]\n").Supernet!.Count(ParameterRole.Tuned), Is.EqualTo(tuned));

    [TestCase("prompts", 0)]
    [TestCase("bias", 102_912)]
    [TestCase("{ last: 1 }", 7_087_872 + 1_536)]
    [TestCase("all", 85_798_656)]
    public void Of_a_part_of_the_backbone(string tune, long tuned)
    {
        var networks = Networks($"tune: {tune}\n");
        Assert.That(networks.Backbone.Count(ParameterRole.Tuned), Is.EqualTo(tuned));
        Assert.That(networks.Backbone.Count(ParameterRole.Tuned, ParameterRole.Frozen), Is.EqualTo(networks.BackboneParameters).And.EqualTo(85_798_656));
        Assert.That(networks.Backbone.TunedShare, Is.EqualTo((tuned + 76_900) / (85_798_656.0 + 76_900)));
    }

    /// <summary>METHOD §2.8: the variant set together.</summary>
    [Test]
    public void Of_the_shipped_variant_set()
    {
        var spec = SpecReader.Read(Golden.Read("../../specs/vit-b16-variant.fusion.yaml")).Document!;
        Assert.That(Compiler.Emit.Networks.Build(spec, null).Supernet!.Count(ParameterRole.Tuned), Is.EqualTo(562_176));
    }

    private static Networks Networks(string more)
    {
        var result = SpecReader.Read($"fusiongen: 1\nmodel: A\nnamespace: A\nbackbone: {{ preset: vit_base_patch16_224 }}\nclasses: 100\n{more}");
        Assert.That(result.Problems.Where(problem => problem.Kind.Severity == Severity.Error).Select(problem => problem.Message), Is.Empty);
        return Compiler.Emit.Networks.Build(result.Document!, null);
    }
}
