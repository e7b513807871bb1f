namespace FusionGen.Compiler.Operators;

/// <summary>
/// VPT-deep (Jia et al. 2022): prompts join the block's sequence and leave after it. Only their keys and values reach other rows, so
/// the prompt rows are keys and values and nothing else (METHOD §2.2, S1). In a mixture their logits gain ln π (METHOD §2.8), which
/// makes π = 1 exactly VPT and π = 0 exactly the layer without prompts.
/// </summary>
public sealed class PrefixOperator : FusionOperator
{
    /// <inheritdoc/>
    public override string Kind => "prefix";

    /// <inheritdoc/>
    public override string Doc => "VPT-deep: the prompts are further key and value rows of the block's own attention.";

    /// <inheritdoc/>
    public override double Cost => 0.05;

    /// <inheritdoc/>
    public override FusionTerm Build(OperatorContext context) => new() { Prefix = context.Site.Prompts };
}
