using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Operators;

/// <summary>
/// Modulates every token by the prompts' summary: g ⊙ u + t with g = 2σ(M_γ s), t = M_β s, M: d → d/reduction → d with SiLU,
/// last layers zero, so that it starts as the identity ("Prompt Fusion Discovery" released code; METHOD §2.6).
/// </summary>
public sealed class AffineOperator : FusionOperator
{
    /// <inheritdoc/>
    public override string Kind => "affine";

    /// <inheritdoc/>
    public override string Doc => "Scales and shifts every token by functions of the prompts' summary: 2σ(M_γ s) ⊙ u + M_β s.";

    /// <inheritdoc/>
    public override IReadOnlyList<OptionSchema> Options => [Reduction, Share];

    /// <inheritdoc/>
    public override bool IsChannelwise => true;

    /// <inheritdoc/>
    public override double Cost => 0.06;

    /// <inheritdoc/>
    public override FusionTerm Build(OperatorContext context)
    {
        var graph = context.Graph;
        return new FusionTerm
        {
            Gain = graph.Scale(graph.Apply(UnaryKind.Sigmoid, Mlp(context, "gamma")), 2).Named("gain"),
            Shift = Mlp(context, "beta").Named("shift"),
        };
    }

    private static Value Mlp(OperatorContext context, string name)
    {
        var graph = context.Graph;
        var width = context.Site.Width;
        var hidden = Math.Max(1, width / context.Spec.Integer("reduction"));
        var inner = graph.Linear(
            context.Site.Summary,
            context.Weight($"{name}.0.weight", Init.Linear(width), hidden, width),
            context.Weight($"{name}.0.bias", Init.Linear(width), hidden));
        return graph.Linear(
            graph.Apply(UnaryKind.Silu, inner),
            context.Weight($"{name}.2.weight", Init.Zero, width, hidden),
            context.Weight($"{name}.2.bias", Init.Zero, width));
    }
}
