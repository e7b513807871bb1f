namespace FusionGen.Compiler.Operators;

/// <summary>Leaves the tokens alone.</summary>
public sealed class NoneOperator : FusionOperator
{
    /// <inheritdoc/>
    public override string Kind => "none";

    /// <inheritdoc/>
    public override string Doc => "Leaves the layer alone: u.";

    /// <inheritdoc/>
    public override double Cost => 0;

    /// <inheritdoc/>
    public override FusionTerm Build(OperatorContext context) => FusionTerm.Identity;
}
