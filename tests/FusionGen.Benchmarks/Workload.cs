using System.Globalization;
using System.Text.Json.Serialization;
using FusionGen.Cli.Compilation;
using FusionGen.Compiler;
using FusionGen.Compiler.Spec;

namespace FusionGen.Benchmarks;

/// <summary>A vision transformer's size.</summary>
/// <param name="Name">As on the command line.</param>
/// <param name="Title">As in the table.</param>
/// <param name="Image">Side in pixels.</param>
/// <param name="Patch">Side in pixels.</param>
/// <param name="Width">Channels of a token.</param>
/// <param name="Heads">Attention heads.</param>
internal sealed record Shape(string Name, string Title, int Image, int Patch, int Width, int Heads)
{
    /// <summary>Every size that is measured.</summary>
    public static IReadOnlyList<Shape> All { get; } =
    [
        new("demo", "demo 64/8, width 128", 64, 8, 128, 4),
        new("vit-ti", "ViT-Ti/16, 224", 224, 16, 192, 3),
        new("vit-b16", "ViT-B/16, 224", 224, 16, 768, 12),
    ];
}

/// <summary>An operator of a spec.</summary>
internal sealed record Candidate(string Name, string Definition);

/// <summary>What is measured of a network.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<Kind>))]
internal enum Kind
{
    /// <summary>A search step: the weights', and α's.</summary>
    Search,

    /// <summary>A training step of VPT-deep.</summary>
    Vpt,

    /// <summary>A forward pass of a found hybrid.</summary>
    Inference,
}

/// <summary>A measured piece of work: a kind of work at a size and batch.</summary>
/// <param name="Row">Its row, as on the command line.</param>
/// <param name="Kind">The kind of work.</param>
/// <param name="Shape">The size.</param>
/// <param name="Batch">Images.</param>
/// <param name="Order">How we take α's gradient.</param>
/// <param name="TheirOrder">How they do.</param>
/// <param name="Faster">How many times as fast as PyTorch at its best it should be; 0 for no demand.</param>
/// <param name="Memory">What share of PyTorch's peak memory it may take; 0 for no demand.</param>
internal sealed record Workload(string Row, Kind Kind, Shape Shape, int Batch, string Order = "first", string TheirOrder = "first", double Faster = 0, double Memory = 0)
{
    private const int Classes = 10;

    /// <summary>Entries of a column that a discretised concat keeps.</summary>
    public const int Top = 4;

    private const int VptPrompts = 50;

    /// <summary>Blocks.</summary>
    public int Depth { get; init; } = 12;

    /// <summary>Operators, by name; null for the released code's four.</summary>
    public IReadOnlyList<Candidate>? Operators { get; init; }

    /// <summary>As in the table.</summary>
    public string Title => string.Create(CultureInfo.InvariantCulture, $"{this.Shape.Title}, batch {this.Batch}");

    /// <summary>The policy of work that has one: the published heat map's choice, repeated or cut to the depth; VPT everywhere.</summary>
    public IReadOnlyList<string> Policy => this.Kind == Kind.Vpt
        ? [.. Enumerable.Repeat("prefix", this.Depth)]
        : [.. Enumerable.Range(0, this.Depth).Select(layer => Published[layer % Published.Length])];

    /// <summary>Names of the rows, those of the default run first.</summary>
    public static IReadOnlyList<string> Rows { get; } = ["first", "fd-vs-exact", "forward-vs-exact", "vpt", "inference", "second-exact", "second-fd"];

    /// <summary>Rows of the default run: what the goals name.</summary>
    public static IReadOnlyList<string> DefaultRows { get; } = [.. Rows.Take(5)];

    /// <summary>The pieces of work of a row at a size.</summary>
    public static IEnumerable<Workload> Of(string row, Shape shape)
    {
        const int pass = 32;
        var step = shape.Name == "demo" ? 32 : 16;
        // Their exact second order at 16 images of ViT-B takes minutes a step with its trials.
        var twice = shape.Name == "vit-b16" ? 8 : step;
        return row switch
        {
            "first" => [new(row, Kind.Search, shape, step, Faster: 2, Memory: 0.5)],
            "fd-vs-exact" => [new(row, Kind.Search, shape, twice, "second-fd", "second-exact", Faster: 2.5, Memory: 0.4)],
            "forward-vs-exact" => [new(row, Kind.Search, shape, twice, "second-forward", "second-exact", Faster: 2.5, Memory: 0.4)],
            "vpt" when shape.Name == "demo" => [],
            "vpt" => [new(row, Kind.Vpt, shape, step, Faster: 1.8)],
            "inference" when shape.Name == "demo" => [],
            "inference" => [new(row, Kind.Inference, shape, pass, Faster: 1.5), new(row, Kind.Inference, shape, 1, Faster: 1.6)],
            _ => [new(row, Kind.Search, shape, twice, row, row)],
        };
    }

    /// <summary>What the networks' types are named after.</summary>
    public const string Model = "Benchmark";

    /// <summary>The networks, compiled: what a build makes of the spec.</summary>
    public byte[] Compile()
    {
        var spec = this.Spec();
        return CompiledSpec.Image(spec, this.Kind == Kind.Search ? null : new PolicyDocument(spec.Model, SpecHash.Of(spec), this.Policy.ToEquatableArray()));
    }

    private SpecDocument Spec() => SpecReader.Read($$"""
        fusiongen: 1
        model: {{Model}}
        namespace: FusionGen.Benchmarks.Generated
        backbone: { family: vit, image: {{this.Shape.Image}}, patch: {{this.Shape.Patch}}, width: {{this.Shape.Width}}, depth: {{this.Depth}}, heads: {{this.Shape.Heads}}, mlp: {{4 * this.Shape.Width}} }
        classes: {{Classes}}
        prompts: { tokens: {{(this.Kind == Kind.Vpt ? VptPrompts : 10)}} }
        operators:
        {{string.Join('\n', this.Candidates.Select(candidate => $"  {candidate.Name}: {candidate.Definition}"))}}
        layers:
          - { at: 0..{{this.Depth - 1}}, candidates: [{{string.Join(", ", this.Candidates.Select(candidate => candidate.Name))}}] }
        search: { order: {{this.Order}}, batch: {{this.Batch}} }
        train: { batch: {{this.Batch}}, optimizer: { kind: sgd, lr: 0.25, weight-decay: 0.001, momentum: 0.9 } }
        """).Document ?? throw new InvalidOperationException("the benchmark's own spec has errors");

    private static readonly string[] Published = ["concat", "concat", "add", "affine", "affine", "affine", "affine", "cross", "cross", "cross", "add", "concat"];

    private static readonly Candidate[] Released =
        [new("add", "{ kind: add }"), new("affine", "{ kind: affine }"), new("concat", $"{{ kind: concat, top: {Top.ToString(CultureInfo.InvariantCulture)} }}"), new("cross", "{ kind: cross-attention }")];

    private IReadOnlyList<Candidate> Candidates => this.Operators ?? (this.Kind == Kind.Vpt ? [new Candidate("prefix", "{ kind: prefix }")] : Released);

    /// <summary>Names of the candidates, in the order of α.</summary>
    public IEnumerable<string> CandidateNames => this.Candidates.Select(candidate => candidate.Name);
}
