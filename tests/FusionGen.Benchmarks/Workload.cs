using FusionGen.Compiler.Spec;

namespace FusionGen.Benchmarks;

/// <summary>A search space at a size: the released code's four operators in every layer, its banks shared, its constants.</summary>
/// <param name="Name">As on the command line.</param>
/// <param name="Title">As in the table.</param>
/// <param name="Batch">Images of a step.</param>
/// <param name="Image">Side in pixels.</param>
/// <param name="Patch">Side in pixels.</param>
/// <param name="Width">Channels of a token.</param>
/// <param name="Heads">Attention heads.</param>
internal sealed record Workload(string Name, string Title, int Batch, int Image, int Patch, int Width, int Heads)
{
    /// <summary>Names of the candidates, in the order of α.</summary>
    public const string Candidates = "add,affine,concat,cross";

    /// <summary>Blocks.</summary>
    public const int Depth = 12;

    /// <summary>Every size that is measured.</summary>
    public static IReadOnlyList<Workload> All { get; } =
    [
        new("demo", "demo 64/8, width 128", 32, 64, 8, 128, 4),
        new("vit-ti", "ViT-Ti/16, 224", 8, 224, 16, 192, 3),
        new("vit-b16", "ViT-B/16, 224", 2, 224, 16, 768, 12),
    ];

    /// <summary>The orders, by name.</summary>
    public static IReadOnlyList<string> Orders { get; } = ["first", "second-exact", "second-fd"];

    /// <summary>The spec of this size.</summary>
    public SpecDocument Spec(string order) => SpecReader.Read($$"""
        fusiongen: 1
        model: Benchmark
        namespace: FusionGen.Benchmarks.Generated
        backbone: { family: vit, image: {{this.Image}}, patch: {{this.Patch}}, width: {{this.Width}}, depth: {{Depth}}, heads: {{this.Heads}}, mlp: {{4 * this.Width}} }
        classes: 10
        prompts: { tokens: 10 }
        operators:
          add:    { kind: add }
          affine: { kind: affine }
          concat: { kind: concat }
          cross:  { kind: cross-attention }
        layers:
          - { at: 0..{{Depth - 1}}, candidates: [{{Candidates}}] }
        search: { order: {{order}}, batch: {{this.Batch}} }
        """).Document ?? throw new InvalidOperationException("the benchmark's own spec has errors");
}
