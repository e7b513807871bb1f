using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Operators;

/// <summary>
/// Tokens attend to the prompts: u + softmax((uW_q)(PW_k)ᵀ/√e)(PW_v)W_o, heads of width e in d/reduction channels, no biases
/// ("Prompt Fusion Discovery" released code; METHOD §2.6). Keys and values depend on parameters only, so all heads' logits are one
/// product with a block-diagonal matrix, whose association is chosen by cost (METHOD §6.2).
/// </summary>
public sealed class CrossAttentionOperator : FusionOperator
{
    /// <inheritdoc/>
    public override string Kind => "cross-attention";

    /// <inheritdoc/>
    public override string Doc => "Tokens attend to the prompts in a narrow multi-head attention: u + Attention(u, P).";

    /// <inheritdoc/>
    public override IReadOnlyList<OptionSchema> Options =>
    [
        Reduction,
        new("heads", OptionType.Integer, double.NaN, 1, 1024, Nullable: true, "Attention heads; null for the backbone's."),
        Share,
        OptionSchema.One("output", ["official", "zero"], "How the output projection starts: as a linear layer does, or at zero, so that the operator starts at the identity."),
    ];

    /// <inheritdoc/>
    public override double Cost => 1;

    /// <summary>Heads of a layer's cross-attention.</summary>
    public static int HeadsAt(Spec.OperatorSpec spec, int backboneHeads) => double.IsNaN(spec.Number("heads")) ? backboneHeads : spec.Integer("heads");

    /// <inheritdoc/>
    public override FusionTerm Build(OperatorContext context)
    {
        var (graph, site) = (context.Graph, context.Site);
        var (width, prompts) = (site.Width, site.PromptRows);
        var heads = HeadsAt(context.Spec, site.Heads);
        var hidden = width / context.Spec.Integer("reduction");
        var head = hidden / heads;
        if (head * heads != hidden || hidden == 0)
            throw new ShapeException($"{width} channels / reduction {context.Spec.Integer("reduction")} = {hidden} do not split into {heads} heads.");
        var query = context.Weight("query.weight", Init.Linear(width), hidden, width);
        var keys = PerHead(graph.Linear(site.Prompts, context.Weight("key.weight", Init.Linear(width), hidden, width)), heads, head);
        var values = PerHead(graph.Linear(site.Prompts, context.Weight("value.weight", Init.Linear(width), hidden, width)), heads, head);
        var output = context.Weight("output.weight", context.Has("output", "zero") ? Init.Zero : Init.Linear(hidden), width, hidden);

        // (heads·P, hidden), block-diagonal: row (h, p) holds key p of head h in that head's columns.
        var keyBlocks = graph.BlockDiagonal(graph.Scale(keys, 1 / Math.Sqrt(head))).Named("keys");
        var logits = heads * prompts * width <= hidden * (width + (heads * prompts))
            ? graph.Linear(site.Tokens, graph.MatMul(keyBlocks, query))
            : graph.Linear(graph.Linear(site.Tokens, query).Named("query"), keyBlocks);
        var split = new Shape(site.Tokens.Shape.Dims.Take(2).Concat([new Dim(heads), new Dim(prompts)]).ToEquatableArray());
        var attended = graph.Reshape(graph.Softmax(graph.Reshape(logits, split), 3), logits.Shape).Named("attended");

        // (d, heads·P): what attending to prompt p with head h adds to a token.
        var valueBlocks = graph.MatMul(output, graph.BlockDiagonal(values), transposeB: true).Named("values");
        return new FusionTerm
        {
            Term = weight => graph.Linear(attended, weight is null ? valueBlocks : graph.Mul(valueBlocks, weight)).Named("crossed"),
        };

        Value PerHead(Value rows, int count, int size) => graph.Permute(graph.Reshape(rows, Shape.Of(prompts, count, size)), 1, 0, 2);
    }
}
