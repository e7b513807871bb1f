using FusionGen.Compiler.Operators;

namespace FusionGen.Compiler.Spec.Schema;

/// <summary>The kinds of operators of this compiler, as the reader sees them.</summary>
internal static class OperatorKinds
{
    private static readonly OptionSchema Cost =
        new("cost", OptionType.Number, double.NaN, 0, 1e6, Nullable: true, "What the search charges for the operator; null for the kind's own.");

    /// <summary>The compiler's catalogue, with the option that every kind has.</summary>
    public static IReadOnlyList<OperatorKind> All { get; } =
        [.. OperatorCatalogue.All.Select(one => new OperatorKind(one.Kind, one.Doc, [.. one.Options, Cost]))];
}
