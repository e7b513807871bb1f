using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Operators;

/// <summary>
/// The operators at one place of the network, a block or what lies around the blocks: one of them, or a mixture of candidates. The backbone
/// asks for each site as it comes to it. A mixture has one weight π_o for each candidate o at all of the place's sites, and a candidate is the
/// identity where it does not act: y' = Σ_o π_o F_o(x, y), collapsed to one affine pass over y and the terms that depend on x and y.
/// </summary>
public sealed class Fusion
{
    /// <summary>ε of the layer norm that makes a prompt summary.</summary>
    public const double SummaryEpsilon = 1e-5;

    private readonly GraphBuilder graph;
    private readonly (OperatorSpec Spec, FusionOperator Kind)[] operators;
    private readonly Func<int, bool, Value> weight;
    private readonly List<(Value Rows, Value? LogWeight)> prefixes = [];
    private readonly List<(Value Rows, Value? LogWeight)> keysValues = [];

    private Fusion(GraphBuilder graph, SpecDocument spec, string name, IEnumerable<string> operators, Func<int, bool, Value> weight, int heads, string bank)
    {
        this.graph = graph;
        this.operators = [.. operators.Select(spec.Operator).Select(one => (one, OperatorCatalogue.Get(one.Kind)))];
        this.weight = weight;
        (this.Spec, this.Name, this.Heads, this.Bank) = (spec, name, heads, bank);
    }

    /// <summary>What parameters of this place are named by: a block's number, <c>embed</c> or <c>norm</c>.</summary>
    public string Name { get; }

    /// <summary>Attention heads of the block.</summary>
    public int Heads { get; }

    /// <summary>Suffix of shared weights' names: empty, or <c>.stage1</c> where stages differ in width.</summary>
    public string Bank { get; }

    /// <summary>The spec: how many prompts there are, and how they start.</summary>
    public SpecDocument Spec { get; }

    /// <summary>Rows, (P, d) or (B, P, d), before the layer norm that attention sees as further keys and values, with ln π where they are one of several candidates.</summary>
    public IReadOnlyList<(Value Rows, Value? LogWeight)> Prefixes => this.prefixes;

    /// <summary>Further keys and values (n, 2d) as they are, likewise.</summary>
    public IReadOnlyList<(Value Rows, Value? LogWeight)> KeysValues => this.keysValues;

    /// <summary>The candidates of a block.</summary>
    /// <param name="graph">The graph.</param>
    /// <param name="spec">The spec.</param>
    /// <param name="layer">Index of the block.</param>
    /// <param name="candidates">Names of the operators; none leaves the block alone.</param>
    /// <param name="heads">Heads of the block's attention.</param>
    /// <param name="bank">Suffix of shared weights' names.</param>
    public static Fusion OfBlock(GraphBuilder graph, SpecDocument spec, int layer, EquatableArray<string> candidates, int heads, string bank) =>
        new(graph, spec, Text.Invariant(layer), candidates, (candidate, log) => graph.Weight(layer, candidates.Count, candidate, log).Named($"{(log ? "log-pi" : "pi")}-{candidates[candidate]}"), heads, bank);

    /// <summary>No operator.</summary>
    public static Fusion None(GraphBuilder graph, SpecDocument spec, int heads) => new(graph, spec, "", [], (_, _) => throw new InvalidOperationException("nothing to choose"), heads, "");

    /// <summary>The operator at a place outside the blocks, where there is nothing to choose.</summary>
    public static Fusion At(GraphBuilder graph, SpecDocument spec, Place place) =>
        new(graph, spec, place.Name, new[] { spec.OperatorAt(place) }.Where(name => name.Length > 0), (_, _) => throw new InvalidOperationException("nothing to choose"), spec.Backbone.Heads, "");

    /// <summary>Where prompts of so many channels start.</summary>
    public Init StartOfPrompts(int channels)
    {
        var (prompts, patch) = (this.Spec.Prompts, this.Spec.Backbone.Patch);
        return prompts.Init switch
        {
            PromptInit.Normal => new Init(InitKind.Normal, prompts.Scale),
            PromptInit.Uniform => new Init(InitKind.Uniform, prompts.Scale),
            _ => new Init(InitKind.Uniform, prompts.Scale * Math.Sqrt(6.0 / ((3 * patch * patch) + channels))),
        };
    }

    /// <summary>Prompts as they join the sequence: what dropout leaves of them, of each image's own unless the spec says otherwise. Rows that images have made are left whole.</summary>
    /// <param name="rows">(P, d) or (B, P, d).</param>
    /// <param name="x">What every image has.</param>
    public Value Joining(Value rows, Value x) => rows.Shape.IsPerSample ? rows : this.Dropped(rows, x);

    /// <summary>The same for every image: (B, P, d).</summary>
    public Value JoiningEach(Value rows, Value x) => rows.Shape.IsPerSample ? rows
        : this.Spec.Prompts.ShareDropout ? this.Each(this.Dropped(rows, x), x) : this.Dropped(this.Each(rows, x), x);

    /// <summary>What the operators make of a layer's result.</summary>
    /// <param name="site">Where.</param>
    /// <param name="x">What the layer was given.</param>
    /// <param name="y">Its result.</param>
    public Value At(Site site, Value x, Value y)
    {
        if (!Array.Exists(this.operators, one => one.Kind.Sites.Contains(site)))
            return y;
        var place = new SitePoint(this.graph, this, site, x, y);
        var terms = Array.ConvertAll(this.operators, one => this.Term(place, one.Spec, one.Kind));
        if (terms.All(term => term == FusionTerm.Identity))
            return y;
        return (terms.Length == 1 ? this.One(y, terms[0]) : this.Mix(y, terms)).Named("fused");
    }

    /// <summary>Begins the second stream of tokens that the operator here runs; null for none.</summary>
    /// <param name="point">What it runs beside.</param>
    /// <param name="tokens">The image's tokens before the first block.</param>
    public Branch? Begin(BranchPoint point, Value tokens) => this.operators
        .Select(one => one.Kind.Begin(new OperatorContext(this.graph, new SitePoint(this.graph, this, Site.Branch, tokens, tokens), one.Spec), point)).FirstOrDefault();

    private FusionTerm Term(SitePoint place, OperatorSpec spec, FusionOperator kind)
    {
        if (!kind.Sites.Contains(place.Site))
            return FusionTerm.Identity;
        try
        {
            return kind.Build(new OperatorContext(this.graph, place, spec));
        }
        catch (ShapeException exception)
        {
            throw new ShapeException(exception.Message) { Operator = spec.Name };
        }
    }

    private Value One(Value y, FusionTerm term)
    {
        if (term.Prefix is { } rows)
            this.prefixes.Add((rows, null));
        if (term.KeysValues is { } further)
            this.keysValues.Add((further, null));
        var affine = this.Affine(y, term.KeepsTokens, term.Gain, term.Shift);
        return term.Term is { } own ? this.Plus(affine, own(null)) : affine!;
    }

    private Value Mix(Value y, FusionTerm[] terms)
    {
        terms = [.. terms.Select((term, i) => this.Partial(y, term, this.operators[i].Kind))];
        Value Weight(int candidate) => this.weight(candidate, false);
        // Where all candidates keep y as it is, the mixture does too: Σ π = 1.
        var isKept = terms.All(term => term is { KeepsTokens: true, Gain: null });
        Value? gain = null, shift = null;
        for (var i = 0; i < terms.Length; i++)
        {
            if (terms[i].KeepsTokens && !isKept)
                gain = this.Plus(gain, terms[i].Gain is { } own ? this.graph.Mul(own, Weight(i)) : Weight(i));
            if (terms[i].Shift is { } moved)
                shift = this.Plus(shift, this.graph.Mul(moved, Weight(i)));
        }
        var mixed = this.Affine(y, isKept || gain is not null, gain?.Named("mixedGain"), shift?.Named("mixedShift"))?.Named("mixed");
        for (var i = 0; i < terms.Length; i++)
        {
            if (terms[i].Term is { } own)
                mixed = this.Plus(mixed, own(Weight(i)));
            if (terms[i].Prefix is { } rows)
                this.prefixes.Add((rows, this.weight(i, true)));
            if (terms[i].KeysValues is { } further)
                this.keysValues.Add((further, this.weight(i, true)));
        }
        return mixed!;
    }

    /// <summary>
    /// What an operator does to the first channels, the others passing by (PC-DARTS; METHOD §3): where the search asks for it, and the operator treats every channel alike. Heads of
    /// cross-attention, low-rank products and prefixes read all channels at once.
    /// </summary>
    private FusionTerm Partial(Value y, FusionTerm term, FusionOperator kind)
    {
        var width = y.Shape.Last;
        var few = Math.Max(1, width / this.Spec.Search.Channels);
        if (few == width || term == FusionTerm.Identity || !kind.IsChannelwise)
            return term;
        Value First(Value of) => this.graph.Slice(of, of.Shape.Rank - 1, 0, few);
        Value Few(Value of) => this.graph.Embed(First(of), of.Shape.Rank - 1, 0, width);
        return term with
        {
            Gain = term.Gain is { } gain ? this.graph.Scale(Few(this.graph.Scale(gain, 1, -1)), 1, 1) : null,
            Shift = term.Shift is { } shift ? Few(shift) : null,
            // Of the product that recombines rows, only the columns that take part.
            Term = term.Term is not { } own ? null : weight => own(weight!) is var product && product.Op is MatMulOp { TransposeB: false }
                ? this.graph.Concat(2, this.graph.Add(product.Op, product.Inputs[0], First(product.Inputs[1])), this.graph.Mul(this.graph.Slice(y, 2, few, width - few), weight!))
                : throw new InvalidOperationException($"{kind.Kind} is no product of rows"),
        };
    }

    private Value Dropped(Value rows, Value x) => this.graph.Dropout(rows, $"prompts.{this.Name}", this.Spec.Prompts.Dropout, this.Spec.Prompts.ShareDropout ? null : x);

    private Value Each(Value rows, Value x) => this.graph.Expand(this.graph.Reshape(rows, Shape.Of(1, rows.Shape[0].Size, rows.Shape.Last)), x);

    private Value Plus(Value? sum, Value summand) => sum is null ? summand : this.graph.Sum(sum, summand);

    private Value? Affine(Value y, bool keeps, Value? gain, Value? shift) => (keeps, gain, shift) switch
    {
        (false, _, _) => shift,
        (true, null, null) => y,
        (true, null, { } s) => this.graph.Sum(y, s),
        (true, { } g, null) => this.graph.Mul(y, g),
        (true, { } g, { } s) => this.graph.MulAdd(y, g, s),
    };
}
