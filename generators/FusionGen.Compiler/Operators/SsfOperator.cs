using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Operators;

/// <summary>
/// Scales and shifts what every layer computes, s ⊙ y + t: after the patch projection, in every block after its norms and linear layers, after
/// the last norm; s ~ N(1, 0.02), t ~ N(0, 0.02) (Lian et al. 2022; METHOD §2.1).
/// </summary>
public sealed class SsfOperator : FusionOperator
{
    private const double Deviation = 0.02;

    /// <inheritdoc/>
    public override string Kind => "ssf";

    /// <inheritdoc/>
    public override string Doc => "SSF: scales and shifts the result of every norm and linear layer, s ⊙ y + t.";

    /// <inheritdoc/>
    public override double Cost => 0.05;

    /// <inheritdoc/>
    public override IReadOnlyList<Site> Sites { get; } = [Site.Patches, .. Place.Block.Sites, Site.Features];

    /// <inheritdoc/>
    public override FusionTerm Build(OperatorContext context) => new()
    {
        Gain = context.Weight($"{context.Site.Module}.scale", new Init(InitKind.Normal, Deviation) { Mean = 1 }, context.Site.Width),
        Shift = context.Weight($"{context.Site.Module}.shift", new Init(InitKind.Normal, Deviation), context.Site.Width),
    };
}
