namespace FusionGen.Compiler.Operators;

/// <summary>Every kind of operator a spec can name.</summary>
public static class OperatorCatalogue
{
    /// <summary>The kinds, in the order of the docs.</summary>
    public static IReadOnlyList<FusionOperator> All { get; } =
    [
        new NoneOperator(), new AddOperator(), new AffineOperator(), new ConcatOperator(), new CrossAttentionOperator(), new PrefixOperator(), new VptShallowOperator(), new VaptOperator(), new E2VptOperator(),
        new AddDirectOperator(), new AffineDirectOperator(), new LoraOperator(), new SsfOperator(), new AdapterOperator(), new Sa2vpOperator(),
    ];

    /// <summary>The kind of that name.</summary>
    public static FusionOperator Get(string kind) => All.First(candidate => candidate.Kind == kind);
}
