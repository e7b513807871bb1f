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
}

/// <summary>An option an operator kind accepts in a spec; the reader, the JSON schema and the docs all come from it.</summary>
/// <param name="Name">The key.</param>
/// <param name="Type">Its type.</param>
/// <param name="Default">What it is when not given; NaN for <c>null</c>.</param>
/// <param name="Minimum">Smallest legal value.</param>
/// <param name="Maximum">Largest legal value.</param>
/// <param name="Nullable">Whether <c>null</c> is legal.</param>
/// <param name="Doc">One sentence.</param>
public sealed record OptionSchema(string Name, OptionType Type, double Default, double Minimum, double Maximum, bool Nullable, string Doc);

/// <summary>
/// What an operator makes of the tokens u at the attention input: <c>gain ⊙ u + shift + term</c>, and prefix rows. Every operator has
/// this form, so a mixture of any of them is one pass over u with mixed gain and shift, plus the terms (METHOD §6.2).
/// </summary>
public sealed record FusionTerm
{
    /// <summary>The tokens as they are.</summary>
    public static FusionTerm Identity { get; } = new();

    /// <summary>Whether u is kept, by <see cref="Gain"/> or as it is.</summary>
    public bool KeepsTokens { get; init; } = true;

    /// <summary>Factor of u, depending on parameters only; null for 1.</summary>
    public Value? Gain { get; init; }

    /// <summary>Summand, depending on parameters only.</summary>
    public Value? Shift { get; init; }

    /// <summary>Summand that depends on u, times the given weight (null for 1): the operator folds the weight in where that is cheapest.</summary>
    public Func<Value?, Value>? Term { get; init; }

    /// <summary>Rows (P, d), before the layer norm, that attention sees as further keys and values.</summary>
    public Value? Prefix { get; init; }
}

/// <summary>A kind of fusion operator: one file, one entry of <see cref="OperatorCatalogue"/>.</summary>
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

    /// <summary>Adds the operator to the graph of a layer.</summary>
    public abstract FusionTerm Build(OperatorContext context);

    private protected static OptionSchema Share { get; } =
        new("share", OptionType.Flag, 1, 0, 1, Nullable: false, "One bank of weights for all layers, or one per layer.");

    private protected static OptionSchema Reduction { get; } =
        new("reduction", OptionType.Integer, 4, 1, 4096, Nullable: false, "The hidden width is the token width divided by this.");
}

/// <summary>What an operator builds on: the graph, the tokens, the layer's prompts, its own options.</summary>
public sealed class OperatorContext(GraphBuilder graph, LayerSite site, OperatorSpec spec)
{
    /// <summary>The graph under construction.</summary>
    public GraphBuilder Graph { get; } = graph;

    /// <summary>The place in the backbone.</summary>
    public LayerSite Site { get; } = site;

    /// <summary>Name and options in the spec.</summary>
    public OperatorSpec Spec { get; } = spec;

    /// <summary>Whether all layers share the operator's weights.</summary>
    public bool IsShared => this.Spec.Options.Any(option => option.Name == "share" && option.Number != 0);

    /// <summary>A weight of the operator: <c>operators.{name}[.stage][.layer].{weight}</c>.</summary>
    public Value Weight(string weight, Init init, params int[] shape)
    {
        var bank = this.IsShared ? this.Site.Bank : $".{Text.Invariant(this.Site.Layer)}";
        return this.Graph.Parameter($"operators.{this.Spec.Name}{bank}.{weight}", ParameterRole.Tuned, init, shape);
    }

    /// <summary>Something that depends on the operator's weights only: computed once for all layers when they share them.</summary>
    public Value PerBank(Func<Value> build) => this.IsShared ? this.Graph.In(GraphBuilder.SharedScope, build) : build();
}

/// <summary>A place where prompts fuse with tokens: after the first layer norm of a block, before its attention.</summary>
/// <param name="Layer">Index of the block.</param>
/// <param name="Tokens">The normalised tokens u (n·B, T, d).</param>
/// <param name="Heads">Attention heads of the block.</param>
/// <param name="Bank">Suffix of shared weights' names: empty, or <c>.stage1</c> where stages differ in width.</param>
/// <param name="Prompts">The layer's prompts (P, d).</param>
/// <param name="Summary">Layer-normed mean of the prompts (d): LN without affine, ε 1e-5.</param>
public sealed record LayerSite(int Layer, Value Tokens, int Heads, string Bank, Value Prompts, Value Summary)
{
    /// <summary>d.</summary>
    public int Width => this.Tokens.Shape.Last;

    /// <summary>T.</summary>
    public int Rows => this.Tokens.Shape[1].Size;

    /// <summary>P.</summary>
    public int PromptRows => this.Prompts.Shape[0].Size;
}
