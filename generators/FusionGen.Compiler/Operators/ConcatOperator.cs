using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Operators;

/// <summary>
/// Re-combines prompts and tokens, as many rows out as tokens in: Rᵀ[P; u], R = softmax of logits (P+T, T) over each column. Once
/// discretised only the <c>top</c> largest logits of a column count ("Prompt Fusion Discovery" released code; METHOD §2.6).
/// </summary>
public sealed class ConcatOperator : FusionOperator
{
    /// <inheritdoc/>
    public override string Kind => "concat";

    /// <inheritdoc/>
    public override string Doc => "Learnt convex combinations of prompt and token rows, one per token: softmax(logits)ᵀ[P; u].";

    /// <inheritdoc/>
    public override IReadOnlyList<OptionSchema> Options =>
    [
        new("identity", OptionType.Number, 10, 0, 100, Nullable: false, "Initial logit of a token for itself: how close to the identity it starts."),
        new("top", OptionType.Integer, 4, 1, 4096, Nullable: true, "Rows that count for a token once the policy is fixed; null for all."),
        Share,
    ];

    /// <inheritdoc/>
    public override bool IsChannelwise => true;

    /// <inheritdoc/>
    public override double Cost => 0.3;

    /// <inheritdoc/>
    public override FusionTerm Build(OperatorContext context)
    {
        var (graph, site) = (context.Graph, context.Site);
        var (prompts, rows) = (site.PromptRows, site.Rows);
        var top = double.IsNaN(context.Spec.Number("top")) ? 0 : Math.Min(context.Spec.Integer("top"), prompts + rows);
        var logits = context.Weight("logits", new Init(InitKind.Identity, context.Spec.Number("identity"), prompts), prompts + rows, rows);
        var mix = context.PerBank(() => graph.Softmax(logits, 0, top, whenDiscrete: true).Named("mix"));
        var mixOfPrompts = context.PerBank(() => graph.Slice(mix, 0, 0, prompts).Named("mixOfPrompts"));
        var mixOfTokens = context.PerBank(() => graph.Slice(mix, 0, prompts, rows).Named("mixOfTokens"));
        return new FusionTerm
        {
            KeepsTokens = false,
            Shift = graph.MatMul(mixOfPrompts, site.Prompts, transposeA: true).Named("fromPrompts"),
            Term = weight => graph.MatMul(weight is null ? mixOfTokens : graph.Mul(mixOfTokens, weight), site.Tokens, transposeA: true).Named("fromTokens"),
        };
    }
}
