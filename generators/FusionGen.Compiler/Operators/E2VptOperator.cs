using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Operators;

/// <summary>
/// E²VPT (Han et al. 2023; METHOD §2.4, §8.1): the prompts of VPT-deep under a mask for each and a mask for each of 16 segments of each, one set for all layers, and
/// further rows that are keys and values at once, after the projections. A segment is every 16th channel, as in the published code; a masked prompt stays as a row of zeros.
/// </summary>
public sealed class E2VptOperator : FusionOperator
{
    /// <inheritdoc/>
    public override string Kind => "e2vpt";

    /// <inheritdoc/>
    public override string Doc => "E²VPT: masked prompts as VPT-deep has them, and rows that are keys and values of attention at once.";

    /// <inheritdoc/>
    public override IReadOnlyList<OptionSchema> Options =>
    [
        new("rows", OptionType.Integer, 5, 0, 4096, Nullable: false, "Rows that are keys and values at once; 0 for none."),
        OptionSchema.One("masks", ["tuned", "fixed", "none"], "Masks of prompts and of their segments: tuned, fixed where pruning has put them, or none."),
        new("segments", OptionType.Integer, 16, 1, 4096, Nullable: false, "Segments of a prompt; segment k is every channel c with c mod segments = k."),
    ];

    /// <inheritdoc/>
    public override double Cost => 0.06;

    /// <inheritdoc/>
    public override FusionTerm Build(OperatorContext context) => new() { Prefix = Masked(context), KeysValues = context.Spec.Integer("rows") == 0 ? null : KeysValues(context) };

    private static Value Masked(OperatorContext context)
    {
        var (graph, site, spec) = (context.Graph, context.Site, context.Spec);
        if (context.Has("masks", "none"))
            return site.Prompts;
        var (width, prompts, segments) = (site.Width, site.PromptRows, spec.Integer("segments"));
        if (width % segments != 0)
            throw new ShapeException($"{width} channels do not split into {segments} segments.");
        var role = context.Has("masks", "tuned") ? ParameterRole.Tuned : ParameterRole.Fixed;
        var (ofPrompts, ofSegments) = (context.Shared("mask.prompts", role, Init.One, prompts), context.Shared("mask.segments", role, Init.One, prompts, segments));
        var mask = graph.In(GraphBuilder.SharedScope, () =>
        {
            var everyChannel = graph.Reshape(graph.BroadcastTo(graph.Reshape(ofSegments, Shape.Of(prompts, 1, segments)), Shape.Of(prompts, width / segments, segments)), Shape.Of(prompts, width));
            return graph.Mul(everyChannel, graph.BroadcastTo(graph.Reshape(ofPrompts, Shape.Of(prompts, 1)), everyChannel.Shape)).Named("mask");
        });
        return graph.Mul(site.Prompts, mask).Named("maskedPrompts");
    }

    private static Value KeysValues(OperatorContext context)
    {
        var (graph, site, count) = (context.Graph, context.Site, context.Spec.Integer("rows"));
        var head = site.Width / site.Heads;
        // Kaiming's uniform of a tensor (heads, rows, e): fan-in rows·e.
        var own = context.Own("rows", new Init(InitKind.Uniform, Math.Sqrt(6.0 / (count * head))), site.Heads, count, head);
        var rows = graph.Reshape(graph.Permute(own, 1, 0, 2), Shape.Of(count, site.Width));
        return graph.Concat(1, rows, rows).Named("keysValues");
    }
}
