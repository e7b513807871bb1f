using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Operators;

/// <summary>Type of an operator's option.</summary>
public enum OptionType
{
    /// <summary>A whole number.</summary>
    Integer,

    /// <summary>A number.</summary>
    Number,

    /// <summary>Yes or no.</summary>
    Flag,

    /// <summary>One of some words, as its number among them.</summary>
    Word,

    /// <summary>Some of some words, as a bit for each.</summary>
    Words,
}

/// <summary>An option an operator kind accepts in a spec; the reader, the JSON schema and the docs all come from it.</summary>
/// <param name="Name">The key.</param>
/// <param name="Type">Its type.</param>
/// <param name="Default">What it is when not given; NaN for <c>null</c>.</param>
/// <param name="Minimum">Smallest legal value.</param>
/// <param name="Maximum">Largest legal value.</param>
/// <param name="Nullable">Whether <c>null</c> is legal.</param>
/// <param name="Doc">One sentence.</param>
public sealed record OptionSchema(string Name, OptionType Type, double Default, double Minimum, double Maximum, bool Nullable, string Doc)
{
    /// <summary>The words to choose from.</summary>
    public IReadOnlyList<string> Words { get; private init; } = [];

    /// <summary>One of some words, the first if not given.</summary>
    public static OptionSchema One(string name, string[] words, string doc) => new(name, OptionType.Word, 0, 0, words.Length - 1, false, doc) { Words = words };

    /// <summary>One or more of some words.</summary>
    public static OptionSchema Some(string name, string[] words, string[] byDefault, string doc)
    {
        var schema = new OptionSchema(name, OptionType.Words, 0, 0, (1 << words.Length) - 1, false, doc) { Words = words };
        return schema with { Default = schema.NumberOf(byDefault) };
    }

    /// <summary>The number that stands for words.</summary>
    public double NumberOf(IEnumerable<string> words) => words.Select(word => this.Words.ToList().IndexOf(word)).Aggregate(0, (sum, index) => this.Type == OptionType.Words ? sum | (1 << index) : index);

    /// <summary>The words that a number stands for.</summary>
    public IEnumerable<string> WordsOf(double number) => this.Words.Where((_, index) => this.Type == OptionType.Words ? (((int)number >> index) & 1) != 0 : index == (int)number);
}

/// <summary>
/// What an operator makes of the result y of a layer that was given x: <c>gain ⊙ y + shift + term</c>, and prefix rows. Every operator has
/// this form at every site, so a mixture of any of them is one pass over y with mixed gain and shift, plus the terms (METHOD §6.2).
/// </summary>
public sealed record FusionTerm
{
    /// <summary>y as it is.</summary>
    public static FusionTerm Identity { get; } = new();

    /// <summary>Whether y is kept, by <see cref="Gain"/> or as it is.</summary>
    public bool KeepsTokens { get; init; } = true;

    /// <summary>Factor of y, depending on parameters only; null for 1.</summary>
    public Value? Gain { get; init; }

    /// <summary>Summand, depending on parameters only.</summary>
    public Value? Shift { get; init; }

    /// <summary>Summand that depends on x or y, times the given weight (null for 1): the operator folds the weight in where that is cheapest.</summary>
    public Func<Value?, Value>? Term { get; init; }

    /// <summary>Rows, (P, d) or (B, P, d), before the layer norm, that attention sees as further keys and values; at <see cref="Site.AttentionInput"/> only.</summary>
    public Value? Prefix { get; init; }

    /// <summary>Further keys and values (n, 2d) as attention takes them, without norm and projection; at <see cref="Site.AttentionInput"/> only.</summary>
    public Value? KeysValues { get; init; }
}

/// <summary>A kind of operator: one file, one entry of <see cref="OperatorCatalogue"/>.</summary>
public abstract class FusionOperator
{
    /// <summary>Its name in specs.</summary>
    public abstract string Kind { get; }

    /// <summary>One sentence: what it does, and its source.</summary>
    public abstract string Doc { get; }

    /// <summary>The options it accepts, besides <c>cost</c>.</summary>
    public virtual IReadOnlyList<OptionSchema> Options => [];

    /// <summary>What the search charges for it (the released code's constants; METHOD §2.6).</summary>
    public abstract double Cost { get; }

    /// <summary>Whether it treats every channel alike, so that a search may let it act on a part of them.</summary>
    public virtual bool IsChannelwise => false;

    /// <summary>Where it acts; it may be named wherever it has a site.</summary>
    public virtual IReadOnlyList<Site> Sites { get; } = [Site.AttentionInput];

    /// <summary>Adds the operator to the graph at one of its sites; asked for each that the network has.</summary>
    public abstract FusionTerm Build(OperatorContext context);

    /// <summary>Begins a second stream of tokens; null for an operator that has none.</summary>
    public virtual Branch? Begin(OperatorContext context, BranchPoint point) => null;

    private protected static OptionSchema Share { get; } =
        new("share", OptionType.Flag, 1, 0, 1, Nullable: false, "One bank of weights for all layers, or one per layer.");

    private protected static OptionSchema Reduction { get; } =
        new("reduction", OptionType.Integer, 4, 1, 4096, Nullable: false, "The hidden width is the token width divided by this.");
}

/// <summary>What an operator builds on: the graph, the tokens, the layer's prompts, its own options.</summary>
public sealed class OperatorContext(GraphBuilder graph, SitePoint point, OperatorSpec spec)
{
    /// <summary>The graph under construction.</summary>
    public GraphBuilder Graph { get; } = graph;

    /// <summary>The place in the network.</summary>
    public SitePoint Site { get; } = point;

    /// <summary>Name and options in the spec.</summary>
    public OperatorSpec Spec { get; } = spec;

    /// <summary>Whether an option of words has that one.</summary>
    public bool Has(string option, string word) => OperatorCatalogue.Get(this.Spec.Kind).Options.First(schema => schema.Name == option).WordsOf(this.Spec.Number(option)).Contains(word);

    /// <summary>Whether all layers share the operator's weights.</summary>
    public bool IsShared => this.Spec.Options.Any(option => option.Name == "share" && option.Number != 0);

    /// <summary>A weight of the operator: <c>operators.{name}[.stage][.layer].{weight}</c>. An operator with several sites names its weights by site.</summary>
    public Value Weight(string weight, Init init, params int[] shape) => this.IsShared ? this.Shared(weight, ParameterRole.Tuned, init, shape) : this.Own(weight, init, shape);

    /// <summary>A weight of the layer alone, whatever is shared.</summary>
    public Value Own(string weight, Init init, params int[] shape) => this.Graph.Parameter($"operators.{this.Spec.Name}.{this.Site.Fusion.Name}.{weight}", ParameterRole.Tuned, init, shape);

    /// <summary>A parameter of all layers of a width.</summary>
    public Value Shared(string weight, ParameterRole role, Init init, params int[] shape) => this.Graph.Parameter($"operators.{this.Spec.Name}{this.Site.Fusion.Bank}.{weight}", role, init, shape);

    /// <summary>Something that depends on the operator's weights only: computed once for all layers when they share them.</summary>
    public Value PerBank(Func<Value> build) => this.IsShared ? this.Graph.In(GraphBuilder.SharedScope, build) : build();
}

/// <summary>A layer whose result an operator changes.</summary>
/// <param name="Graph">The graph under construction.</param>
/// <param name="Fusion">The operators at this place of the network.</param>
/// <param name="Site">Which of its layers.</param>
/// <param name="Input">x: what the layer was given. Before a norm, the residual stream.</param>
/// <param name="Tokens">y: its result (n·B, T, d).</param>
public sealed record SitePoint(GraphBuilder Graph, Fusion Fusion, Site Site, Value Input, Value Tokens)
{
    /// <summary>d.</summary>
    public int Width => this.Tokens.Shape.Last;

    /// <summary>T.</summary>
    public int Rows => this.Tokens.Shape[1].Size;

    /// <summary>timm's name of the layer within its block: what weights of an operator with several sites are named by.</summary>
    public string Module => this.Site switch
    {
        Site.AttentionInput => "norm1",
        Site.Qkv => "qkv",
        Site.AttentionOutput => "proj",
        Site.MlpInput => "norm2",
        Site.MlpHidden => "fc1",
        Site.MlpOutput => "fc2",
        _ => this.Site.ToString().ToLowerInvariant(),
    };

    /// <summary>Attention heads of the block.</summary>
    public int Heads => this.Fusion.Heads;

    /// <summary>P.</summary>
    public int PromptRows => this.Fusion.Spec.Prompts.Tokens;

    /// <summary>Patches along a side of the image.</summary>
    public int Grid => this.Fusion.Spec.Backbone.Image / this.Fusion.Spec.Backbone.Patch;

    /// <summary>The place's own prompts (P, d).</summary>
    public Value Prompts
    {
        get
        {
            var (graph, spec) = (this.Graph, this.Fusion.Spec.Prompts);
            var channels = spec.Project == 0 ? this.Width : spec.Project;
            var prompts = graph.Parameter($"prompts.{this.Fusion.Name}", ParameterRole.Tuned, this.Fusion.StartOfPrompts(channels), this.PromptRows, channels);
            if (spec.Project > 0)
            {
                // VPT's: kaiming normal by fan-out, and a linear layer's own bias.
                var weight = graph.Parameter($"prompts{this.Fusion.Bank}.projection.weight", ParameterRole.Tuned, new Init(InitKind.Normal, Math.Sqrt(2.0 / this.Width)), this.Width, channels);
                prompts = graph.Linear(prompts, weight, graph.Parameter($"prompts{this.Fusion.Bank}.projection.bias", ParameterRole.Tuned, Init.Linear(channels), this.Width));
            }
            return prompts.Named("prompts");
        }
    }

    /// <summary>Layer-normed mean of the prompts (d): LN without affine, ε 1e-5.</summary>
    public Value Summary => this.Graph.LayerNorm(this.Graph.Mean(this.Prompts, 0), Fusion.SummaryEpsilon).Named("summary");
}
