using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Operators;

/// <summary>
/// Scales and shifts every token: (1 + γ) ⊙ u + β, γ and β tuned themselves and zero at the start. It holds every function that <c>affine</c> can come to,
/// whose gain stays within (0, 2) (METHOD §2.8).
/// </summary>
public sealed class AffineDirectOperator : FusionOperator
{
    /// <inheritdoc/>
    public override string Kind => "affine-direct";

    /// <inheritdoc/>
    public override string Doc => "Scales and shifts every token by tuned vectors of the layer: (1 + γ) ⊙ u + β.";

    /// <inheritdoc/>
    public override bool IsChannelwise => true;

    /// <inheritdoc/>
    public override double Cost => 0;

    /// <inheritdoc/>
    public override FusionTerm Build(OperatorContext context) => new()
    {
        Gain = context.Graph.Scale(context.Weight("gamma", Init.Zero, context.Site.Width), 1, offset: 1).Named("gain"),
        Shift = context.Weight("beta", Init.Zero, context.Site.Width),
    };
}
