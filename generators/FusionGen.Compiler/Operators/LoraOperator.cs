using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Operators;

/// <summary>
/// Adds a product of low rank to linear layers: y + scale · B(A x), A (r, in), B (out, r) (Hu et al. 2022). On q, k and v together one A serves the
/// joint projection, as NOAH has it; <c>init: noah</c> starts as its released code does, not at the identity; <c>active</c> uses the first rows
/// of A and columns of B only, as its supernet slices them (METHOD §2.1, §8, 3).
/// </summary>
public sealed class LoraOperator : FusionOperator
{
    private static readonly string[] Projections = ["q", "k", "v"];

    /// <inheritdoc/>
    public override string Kind => "lora";

    /// <inheritdoc/>
    public override string Doc => "LoRA: a product of low rank beside linear layers, y + scale · B(A x).";

    /// <inheritdoc/>
    public override IReadOnlyList<OptionSchema> Options =>
    [
        new("rank", OptionType.Integer, 8, 1, 4096, Nullable: false, "Rank r of the product."),
        new("active", OptionType.Integer, double.NaN, 1, 4096, Nullable: true, "How many of the ranks are in use; null for all."),
        new("scale", OptionType.Number, 1, 0, 1000, Nullable: false, "Factor of the product."),
        OptionSchema.Some("targets", ["q", "k", "v", "proj", "fc1", "fc2"], ["q", "k", "v"], "The linear layers it is added to."),
        OptionSchema.One("init", ["zero", "noah"], "Where it starts: B = 0, so at the identity, or A and B normal with deviation 0.02 as in NOAH's released code."),
    ];

    /// <inheritdoc/>
    public override double Cost => 0.05;

    /// <inheritdoc/>
    public override IReadOnlyList<Site> Sites { get; } = [Site.Qkv, Site.AttentionOutput, Site.MlpHidden, Site.MlpOutput];

    /// <inheritdoc/>
    public override FusionTerm Build(OperatorContext context)
    {
        var (graph, site) = (context.Graph, context.Site);
        var parts = site.Site == Site.Qkv ? [.. Projections.Where(part => context.Has("targets", part))] : context.Has("targets", site.Module) ? [site.Module] : Array.Empty<string>();
        if (parts.Length == 0)
            return FusionTerm.Identity;
        var (rank, input) = (context.Spec.Integer("rank"), site.Input.Shape.Last);
        var part = site.Site == Site.Qkv ? site.Width / Projections.Length : site.Width;
        var noah = new Init(InitKind.TruncatedNormal, 0.02);
        var down = context.Weight($"{site.Module}.down.weight", context.Has("init", "noah") ? noah : Init.Linear(input), rank, input);
        var up = context.Weight($"{site.Module}.up.weight", context.Has("init", "noah") ? noah : Init.Zero, parts.Length * part, rank);
        if (!double.IsNaN(context.Spec.Number("active")) && context.Spec.Integer("active") is var active && active < rank)
            (down, up) = (graph.Slice(down, 0, 0, active), graph.Slice(up, 1, 0, active));
        if (site.Site == Site.Qkv && parts.Length < Projections.Length)
        {
            var placed = parts.Select((name, i) => graph.Embed(graph.Slice(up, 0, i * part, part), 0, Array.IndexOf(Projections, name) * part, site.Width)).ToArray();
            up = placed.Length == 1 ? placed[0] : graph.Sum(placed);
        }
        up = graph.Scale(up, context.Spec.Number("scale"));
        var low = graph.Linear(site.Input, down).Named("low");
        return new FusionTerm { Term = weight => graph.Linear(low, weight is null ? up : graph.Mul(up, weight)).Named("lora") };
    }
}
