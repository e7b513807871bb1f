using FusionGen.Compiler.Backbones;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Graph;

/// <summary>A complete graph with what the cost model says of it.</summary>
public sealed class Network
{
    // About: of ViT's blocks, and of the operators that are named most.
    private const int ValuesOfBlock = 24, ValuesOfCandidate = 12;
    private long? macs;
    private ParameterCounts? counts;

    private Network(GraphBuilder graph, Value features, Value logits, Func<IReadOnlyList<Value>, ParameterTable> parameters, Sections? sections, bool isShort)
    {
        this.Features = features;
        this.Logits = logits;
        this.Graph = graph;
        this.Values = graph.Live([logits]);
        this.Parameters = parameters(this.Values);
        this.Sections = sections ?? new Sections(this.Values);
        this.IsShort = isShort;
    }

    /// <summary>What it was built by, and passes build on.</summary>
    public GraphBuilder Graph { get; }

    /// <summary>The values the logits depend on, in topological order.</summary>
    public IReadOnlyList<Value> Values { get; }

    /// <summary>The parameters among them, and α of each layer with a choice, which the mixture reads.</summary>
    public ParameterTable Parameters { get; }

    /// <summary>Its parts, all of them.</summary>
    public Sections Sections { get; }

    /// <summary>Whether parts are left out that are like others.</summary>
    public bool IsShort { get; }

    /// <summary>Pooled, normalised features (B, d); of several streams (B, n, d).</summary>
    public Value Features { get; }

    /// <summary>Logits (B, classes); of several streams (B, n, classes).</summary>
    public Value Logits { get; }

    /// <summary>Weight of each stream's cross-entropy in the loss.</summary>
    public IReadOnlyList<double> Losses => this.Features.Op is ReadoutsOp readouts ? [.. readouts.Losses] : [1];

    /// <summary>Multiply-adds of one image's forward pass, parameter-only values counted once.</summary>
    public long Macs => this.macs ??= this.Values.Sum(value => value.Macs);

    /// <summary>
    /// Bytes a training step keeps per image in float32: every materialised per-image value that gradients flow through, and what
    /// attention keeps of its probabilities.
    /// </summary>
    public long ActivationBytes => 4 * this.Values.Where(value => value.IsTracked && value.Shape.IsPerSample && !value.Op.IsView).Sum(Kept);

    /// <summary>Whether a value stands for several: it belongs to a section, and others like it are left out.</summary>
    internal bool IsRepeated(Value value) => this.IsShort && this.Sections.Find(value.Scope) is { Like.Times: > 1 };

    /// <summary>Elements of the parameters of some roles.</summary>
    public long Count(params ParameterRole[] roles) => this.Parameters.Where(p => roles.Contains(p.Role)).Sum(p => p.Shape.Elements);

    /// <summary>Elements of all parameters, by what becomes of them.</summary>
    public ParameterCounts Counts => this.counts ??= new ParameterCounts(
        this.Count(ParameterRole.Frozen), this.Count(ParameterRole.Tuned), this.Count(ParameterRole.Head), this.Parameters.Sum(parameter => parameter.Shape.Elements));

    /// <inheritdoc cref="ParameterCounts.TunedShare"/>
    public double TunedShare => this.Counts.TunedShare;

    /// <summary>The network of a spec at given operators per layer: all candidates, a policy's choices, or none.</summary>
    /// <exception cref="ShapeException">The spec's sizes do not fit each other.</exception>
    public static Network Build(SpecDocument spec, EquatableArray<LayerSpec> layers)
    {
        var graph = new GraphBuilder(layers.Sum(layer => ValuesOfBlock + (ValuesOfCandidate * layer.Candidates.Count)));
        var features = BackboneCatalogue.Get(spec.Backbone.Family).Build(new BackboneContext(graph, spec, layers));
        var logits = graph.In("head", () =>
        {
            var width = features.Shape.Last;
            var (weight, bias) = spec.Head switch
            {
                // VPT's head: kaiming normal by fan-out, bias −ln 99 (METHOD §1.1, 6).
                HeadInit.Vpt => (new Init(InitKind.Normal, Math.Sqrt(2.0 / spec.Classes)), new Init(InitKind.Constant, -Math.Log(99))),
                HeadInit.Zero => (Init.Zero, Init.Zero),
                _ => (Init.Linear(width), Init.Linear(width)),
            };
            return graph.Linear(
                features,
                graph.Parameter("head.weight", ParameterRole.Head, weight, spec.Classes, width),
                graph.Parameter("head.bias", ParameterRole.Head, bias, spec.Classes)).Named("logits");
        });
        return new Network(graph, features, logits, values => new ParameterTable([.. values.Select(value => value.Op).OfType<ParameterOp>(), .. Architecture(layers)]), null, isShort: false);
    }

    /// <summary>The same network computed by another graph: its table of parameters stays, though the graph may read fewer.</summary>
    internal Network As(GraphBuilder graph, Value features, Value logits, bool isShort) => new(graph, features, logits, _ => this.Parameters, this.Sections, isShort);

    private static IEnumerable<ParameterOp> Architecture(EquatableArray<LayerSpec> layers) => layers
        .Select((layer, i) => new ParameterOp($"architecture.{Text.Invariant(i)}", ParameterRole.Architecture, Init.Zero, Shape.Of(layer.Candidates.Count)))
        .Where((_, i) => layers[i].Candidates.Count > 1);

    private static long Kept(Value value) => value.Shape.Elements + (value.Op is AttentionOp attention ? attention.Macs(value.InputShapes, value.Shape) / (2 * value.Shape.Last / attention.Heads) : 0);
}
