namespace FusionGen.Compiler.Operators;

/// <summary>Adds the prompts' summary to every token: u + s ("Prompt Fusion Discovery" released code; METHOD §2.6).</summary>
public sealed class AddOperator : FusionOperator
{
    /// <inheritdoc/>
    public override string Kind => "add";

    /// <inheritdoc/>
    public override string Doc => "Adds the layer-normed mean of the prompts to every token: u + s.";

    /// <inheritdoc/>
    public override bool IsChannelwise => true;

    /// <inheritdoc/>
    public override double Cost => 0;

    /// <inheritdoc/>
    public override FusionTerm Build(OperatorContext context) => new() { Shift = context.Site.Summary };
}
