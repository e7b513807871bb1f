using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Operators;

/// <summary>
/// A bottleneck after the MLP, inside its residual: y + U φ(D y + b_D) + b_U. With GELU this is Pfeiffer's adapter as VPT's code places it, with
/// QuickGELU, x·σ(1.702 x), NOAH's. D starts at random and U at zero, so at the identity; VPT's code starts all of it at zero, which leaves every
/// gradient but b_U's at zero for good (METHOD §2.1).
/// </summary>
public sealed class AdapterOperator : FusionOperator
{
    private const double QuickGelu = 1.702;

    /// <inheritdoc/>
    public override string Kind => "adapter";

    /// <inheritdoc/>
    public override string Doc => "Adapter: a bottleneck after the MLP, before its residual, y + U φ(D y).";

    /// <inheritdoc/>
    public override IReadOnlyList<OptionSchema> Options =>
    [
        new("reduction", OptionType.Integer, 8, 1, 4096, Nullable: false, "The bottleneck is the token width divided by this."),
        new("hidden", OptionType.Integer, double.NaN, 1, 65_536, Nullable: true, "Channels of the bottleneck; null to go by the reduction."),
        OptionSchema.One("activation", ["gelu", "quick-gelu"], "φ."),
    ];

    /// <inheritdoc/>
    public override double Cost => 0.1;

    /// <inheritdoc/>
    public override IReadOnlyList<Site> Sites { get; } = [Site.MlpOutput];

    /// <inheritdoc/>
    public override FusionTerm Build(OperatorContext context)
    {
        var (graph, width) = (context.Graph, context.Site.Width);
        var hidden = double.IsNaN(context.Spec.Number("hidden")) ? Math.Max(1, width / context.Spec.Integer("reduction")) : context.Spec.Integer("hidden");
        var inner = graph.Linear(context.Site.Tokens, context.Weight("down.weight", Init.Linear(width), hidden, width), context.Weight("down.bias", Init.Zero, hidden));
        var active = context.Has("activation", "gelu") ? graph.Apply(UnaryKind.Gelu, inner) : graph.Mul(inner, graph.Apply(UnaryKind.Sigmoid, graph.Scale(inner, QuickGelu)));
        var (up, bias) = (context.Weight("up.weight", Init.Zero, width, hidden), context.Weight("up.bias", Init.Zero, width));
        return new FusionTerm
        {
            Shift = bias,
            Term = weight => graph.Linear(active, weight is null ? up : graph.Mul(up, weight)).Named("adapted"),
        };
    }
}
