using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Operators;

/// <summary>Tokens after fusion, and the rows attention sees besides them.</summary>
/// <param name="Tokens">What goes into qkv (n·B, T, d).</param>
/// <param name="Prefixes">Rows (P, d) before the layer norm, with ln π where they are one of several candidates.</param>
public sealed record FusedTokens(Value Tokens, IReadOnlyList<(Value Rows, Value? LogWeight)> Prefixes);

/// <summary>Fuses prompts with tokens by one operator, or by a mixture of candidates.</summary>
public static class Fusion
{
    /// <summary>ε of the layer norm that makes a prompt summary.</summary>
    public const double SummaryEpsilon = 1e-5;

    /// <summary>Builds the candidates of a layer and mixes them: u' = Σ π_o F_o(u, P), collapsed to one affine pass and the terms that depend on u.</summary>
    /// <param name="graph">The graph.</param>
    /// <param name="spec">The spec.</param>
    /// <param name="layer">Index of the block.</param>
    /// <param name="candidates">Names of the operators; none leaves the tokens alone.</param>
    /// <param name="tokens">u.</param>
    /// <param name="heads">Heads of the block's attention.</param>
    /// <param name="bank">Suffix of shared weights' names.</param>
    public static FusedTokens Build(GraphBuilder graph, SpecDocument spec, int layer, EquatableArray<string> candidates, Value tokens, int heads, string bank)
    {
        var operators = candidates.Select(spec.Operator).ToArray();
        if (operators.All(o => o.Kind == "none"))
            return new FusedTokens(tokens, []);
        var init = new Init(spec.Prompts.Init == PromptInit.Normal ? InitKind.Normal : InitKind.Uniform, spec.Prompts.Scale);
        var prompts = graph.Parameter($"prompts.{Text.Invariant(layer)}", ParameterRole.Tuned, init, spec.Prompts.Tokens, tokens.Shape.Last).Named("prompts");
        var summary = graph.LayerNorm(graph.Mean(prompts, 0), SummaryEpsilon).Named("summary");
        var site = new LayerSite(layer, tokens, heads, bank, prompts, summary);
        var terms = operators.Select(o => Term(graph, site, o)).ToArray();
        return terms.Length == 1 ? One(graph, tokens, terms[0]) : Mix(graph, layer, tokens, terms, candidates);
    }

    private static FusionTerm Term(GraphBuilder graph, LayerSite site, OperatorSpec spec)
    {
        try
        {
            return OperatorCatalogue.Get(spec.Kind).Build(new OperatorContext(graph, site, spec));
        }
        catch (ShapeException exception)
        {
            throw new ShapeException(exception.Message) { Operator = spec.Name };
        }
    }

    private static FusedTokens One(GraphBuilder graph, Value tokens, FusionTerm term)
    {
        var affine = Affine(graph, tokens, term.KeepsTokens, term.Gain, term.Shift);
        if (term.Term is { } own)
            affine = affine is null ? own(null) : graph.Sum(affine, own(null));
        return new FusedTokens(affine!.Named("fused"), term.Prefix is { } rows ? [(rows, null)] : []);
    }

    private static FusedTokens Mix(GraphBuilder graph, int layer, Value tokens, FusionTerm[] terms, EquatableArray<string> names)
    {
        Value Weight(int candidate) => graph.Weight(layer, terms.Length, candidate).Named($"pi-{names[candidate]}");
        Value? gain = null, shift = null;
        for (var i = 0; i < terms.Length; i++)
        {
            if (terms[i].KeepsTokens)
                gain = Plus(gain, terms[i].Gain is { } own ? graph.Mul(own, Weight(i)) : Weight(i));
            if (terms[i].Shift is { } moved)
                shift = Plus(shift, graph.Mul(moved, Weight(i)));
        }
        var fused = Affine(graph, tokens, gain is not null, gain?.Named("mixedGain"), shift?.Named("mixedShift"))?.Named("mixed");
        for (var i = 0; i < terms.Length; i++)
        {
            if (terms[i].Term is { } own)
                fused = Plus(fused, own(Weight(i)));
        }
        var prefixes = terms.Select((term, i) => (term.Prefix, i)).Where(pair => pair.Prefix is not null)
            .Select(pair => (pair.Prefix!, (Value?)graph.Weight(layer, terms.Length, pair.i, log: true).Named($"log-pi-{names[pair.i]}"))).ToArray();
        return new FusedTokens(fused!.Named("fused"), prefixes);

        Value Plus(Value? sum, Value summand) => sum is null ? summand : graph.Sum(sum, summand);
    }

    private static Value? Affine(GraphBuilder graph, Value tokens, bool keeps, Value? gain, Value? shift) => (keeps, gain, shift) switch
    {
        (false, _, _) => shift,
        (true, null, null) => tokens,
        (true, null, { } s) => graph.Sum(tokens, s),
        (true, { } g, null) => graph.Mul(tokens, g),
        (true, { } g, { } s) => graph.MulAdd(tokens, g, s),
    };
}
