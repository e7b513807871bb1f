using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Operators;

/// <summary>VPT-shallow (Jia et al. 2022; METHOD §2.2): prompts join the sequence before the first block and go through all of them as tokens do.</summary>
public sealed class VptShallowOperator : FusionOperator
{
    /// <inheritdoc/>
    public override string Kind => "vpt-shallow";

    /// <inheritdoc/>
    public override string Doc => "VPT-shallow: prompts join the sequence before the first block and go through all of them.";

    /// <inheritdoc/>
    public override double Cost => 0.05;

    /// <inheritdoc/>
    public override IReadOnlyList<Site> Sites { get; } = [Site.Sequence];

    /// <inheritdoc/>
    public override FusionTerm Build(OperatorContext context)
    {
        var (graph, site) = (context.Graph, context.Site);
        var (tokens, patches) = (site.Tokens, site.Grid * site.Grid);
        if (site.Rows != patches + 1)
            throw new ShapeException("prompts that go through all blocks need a sequence that is one, not a grid of windows: the vit family has it.");
        return new FusionTerm
        {
            KeepsTokens = false,
            Term = _ => graph.Concat(1, graph.Slice(tokens, 1, 0, 1), site.Fusion.JoiningEach(site.Prompts, tokens), graph.Slice(tokens, 1, 1, patches)),
        };
    }
}
