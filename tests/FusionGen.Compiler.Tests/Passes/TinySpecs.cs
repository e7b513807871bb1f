using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Tests.Passes;

/// <summary>Networks small enough for plain loops in float64, with every operation in them.</summary>
internal static class TinySpecs
{
    public static SpecDocument Vit(string candidates, string pool = "cls", string more = "", int depth = 2, string? layers = null, double dropout = 0, bool shareDropout = false, int image = 8, int heads = 2) =>
        Read($"{{ family: vit, image: {image}, patch: 4, width: 8, depth: {depth}, heads: {heads}, mlp: 12, pool: {pool} }}", layers ?? (candidates == "shallow" ? $"embed, candidates: [shallow] }}\n  - {{ at: 0..{depth - 1}, candidates: [" : $"0..{depth - 1}, candidates: [{candidates}"), candidates, more, $"tokens: 2, dropout: {dropout.ToString(System.Globalization.CultureInfo.InvariantCulture)}, share-dropout: {(shareDropout ? "true" : "false")}");

    /// <summary>A second stream of tokens beside three blocks, with operators in them.</summary>
    public static SpecDocument Streams(string attention, string pool = "cls") => Read(
        $"{{ family: vit, image: 12, patch: 4, width: 8, depth: 3, heads: 2, mlp: 12, pool: {pool} }}", $"branch, candidates: [{attention}] }}\n  - {{ at: 0..2, candidates: [add, prefix", "add", "");

    public static SpecDocument Swin(string candidates, string more = "", int image = 12) =>
        Read($"{{ family: swin, image: {image}, patch: 2, width: 4, depths: [2, 2], heads: [1, 2], mlp: 8, window: 4 }}", $"0..3, candidates: [{candidates}", candidates, more);

    /// <summary>The supernet, or the backbone where there is nothing to choose.</summary>
    public static Network Network(SpecDocument spec)
    {
        var networks = Networks.Build(spec, null);
        return networks.Supernet ?? networks.Backbone;
    }

    private static SpecDocument Read(string backbone, string layers, string candidates, string more, string prompts = "tokens: 2")
    {
        var result = SpecReader.Read(
            $"fusiongen: 1\nmodel: Tiny\nnamespace: A\nbackbone: {backbone}\nclasses: 3\n{more}" +
            (candidates.Length == 0
                ? ""
                : $"prompts: {{ {prompts} }}\n" + "operators:\n  none: { kind: none }\n  add: { kind: add }\n  affine: { kind: affine, reduction: 2 }\n" +
                  "  concat: { kind: concat, top: null }\n  cross: { kind: cross-attention, reduction: 2 }\n  prefix: { kind: prefix }\n  shallow: { kind: vpt-shallow }\n  deep: { kind: prefix }\n  top: { kind: concat, top: 2 }\n" +
                  "  lora: { kind: lora, rank: 3 }\n  some: { kind: lora, rank: 3, active: 2, scale: 0.7, targets: [q, v, proj, fc1, fc2] }\n  ssf: { kind: ssf }\n" +
                  "  adapter: { kind: adapter, reduction: 2 }\n  quick: { kind: adapter, activation: quick-gelu, hidden: 3 }\n  vector: { kind: add-direct }\n  modulate: { kind: affine-direct }\n  accelerated: { kind: sa2vp, rank: 3, every: 2 }\n  original: { kind: sa2vp, rank: 3, every: 2, attention: original, loss: 0.3 }\n" +
                  "  e2vpt: { kind: e2vpt, rows: 3, segments: 4 }\n  vapt: { kind: vapt, hidden: 3 }\n" +
                  "  vapt-own: { kind: vapt, kernel: 3, padding: 1, channelwise: false, hidden: 3, activation: softmax, learn-scale: true, residual: false, share: false }\n" +
                  $"layers:\n  - {{ at: {layers}] }}\n{(candidates.Contains("ssf", StringComparison.Ordinal) ? "  - { at: [embed, norm], candidates: [ssf] }\n" : "")}"));
        Assert.That(result.Problems.Where(problem => problem.Kind.Severity == Severity.Error), Is.Empty);
        return result.Document!;
    }
}
