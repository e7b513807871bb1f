using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Tests.Graph;

/// <summary>Tuned parameters of the prompt methods at ViT-B/16, head aside: METHOD's figures.</summary>
internal sealed class PromptCountTests
{
    private const int Depth = 12;
    private const int Width = 768;

    [TestCase(10, 92_160)]
    [TestCase(50, 460_800)]
    [TestCase(100, 921_600)]
    public void Deep(int prompts, long count) => Assert.That(Count(prompts, "p: { kind: prefix }", "{ at: 0..11, candidates: [p] }"), Is.EqualTo(count));

    [TestCase(10, 7_680)]
    [TestCase(100, 76_800)]
    public void Shallow(int prompts, long count) => Assert.That(Count(prompts, "p: { kind: vpt-shallow }", "{ at: embed, candidates: [p] }, { at: 0..11, candidates: [] }"), Is.EqualTo(count));

    [TestCase(10, 55_608)]
    [TestCase(50, 161_128)]
    [TestCase(100, 293_028)]
    public void Vapt(int prompts, long count) => Assert.That(Count(prompts, "p: { kind: prefix }, v: { kind: vapt }", "{ at: 0, candidates: [p] }, { at: 1..11, candidates: [v] }"), Is.EqualTo(count));

    [TestCase(10, 5)]
    [TestCase(32, 1)]
    public void E2Vpt(int prompts, int rows)
    {
        long Of(string masks) => Count(prompts, $"e: {{ kind: e2vpt, rows: {rows}, masks: {masks} }}", "{ at: 0..11, candidates: [e] }");
        var bare = Depth * (prompts + rows) * Width;
        Assert.That((Of("tuned"), Of("fixed"), Of("none")), Is.EqualTo((bare + (17L * prompts), (long)bare, (long)bare)));
    }

    private static long Count(int prompts, string operators, string layers)
    {
        var spec = SpecReader.Read($"fusiongen: 1\nmodel: A\nnamespace: A\nbackbone: {{ preset: vit_base_patch16_224 }}\nclasses: 100\nprompts: {{ tokens: {prompts} }}\noperators: {{ {operators} }}\nlayers: [ {layers} ]\n");
        Assert.That(spec.Problems.Select(problem => problem.Message), Is.Empty);
        return Networks.Build(spec.Document!, null).Supernet!.Count(ParameterRole.Tuned);
    }
}
