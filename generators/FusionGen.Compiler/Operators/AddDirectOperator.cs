using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Operators;

/// <summary>
/// Adds one vector to every token: u + s, s tuned itself and zero at the start. All that <c>add</c> can say of a layer, with fewer numbers and from the
/// identity (VPT's ablation "add-1"; METHOD §2.8).
/// </summary>
public sealed class AddDirectOperator : FusionOperator
{
    /// <inheritdoc/>
    public override string Kind => "add-direct";

    /// <inheritdoc/>
    public override string Doc => "Adds one tuned vector a layer to every token: u + s.";

    /// <inheritdoc/>
    public override bool IsChannelwise => true;

    /// <inheritdoc/>
    public override double Cost => 0;

    /// <inheritdoc/>
    public override FusionTerm Build(OperatorContext context) => new() { Shift = context.Weight("shift", Init.Zero, context.Site.Width) };
}
