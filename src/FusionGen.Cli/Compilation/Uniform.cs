using FusionGen.Compiler;
using FusionGen.Compiler.Operators;
using FusionGen.Compiler.Spec;

namespace FusionGen.Cli.Compilation;

/// <summary>Policies that nobody searched: what a search has to beat.</summary>
internal static class Uniform
{
    /// <summary>Operators that every layer with candidates could use.</summary>
    public static IEnumerable<string> Operators(SpecDocument spec) => Offered(spec).Where(name => Missing(spec, name).Count == 0);

    /// <summary>Operators that some layers with candidates could not use, and those layers.</summary>
    public static IEnumerable<(string Name, IReadOnlyList<int> Layers)> Partial(SpecDocument spec) =>
        Offered(spec).Select(name => (name, Missing(spec, name))).Where(pair => pair.Item2.Count > 0);

    /// <summary>The operator in every layer that has candidates.</summary>
    public static PolicyDocument Policy(SpecDocument spec, string name) => Of(spec, _ => name);

    /// <summary>Whether some layer has more than one candidate.</summary>
    public static bool HasChoice(SpecDocument spec) => spec.Layers.Any(layer => layer.Candidates.Count > 1);

    /// <summary>The policy of a spec that leaves no choice, though it may name no operator at all; null where some layer has two candidates.</summary>
    public static PolicyDocument? Only(SpecDocument spec) => HasChoice(spec) ? null : Of(spec, layer => layer.Candidates[0]);

    /// <summary>A candidate of every layer, each as likely as the others.</summary>
    public static PolicyDocument Random(SpecDocument spec, SplitMix random) => Of(spec, layer => layer.Candidates[random.Next(layer.Candidates.Count)]);

    private static PolicyDocument Of(SpecDocument spec, Func<LayerSpec, string> choose) =>
        new(spec.Model, SpecHash.Of(spec), spec.Layers.Select(layer => layer.Candidates.Count == 0 ? "" : choose(layer)).ToEquatableArray());

    private static IEnumerable<string> Offered(SpecDocument spec) => spec.Layers.SelectMany(layer => layer.Candidates).Distinct();

    private static IReadOnlyList<int> Missing(SpecDocument spec, string name) =>
        [.. Enumerable.Range(0, spec.Layers.Count).Where(i => spec.Layers[i].Candidates.Count > 0 && !spec.Layers[i].Candidates.Contains(name))];
}

/// <summary>What the search charges for operators.</summary>
internal static class Costs
{
    /// <summary>The spec's own, else the kind's.</summary>
    public static double Of(SpecDocument spec, string name)
    {
        var chosen = spec.Operator(name);
        var own = chosen.Options.FirstOrDefault(option => option.Name == "cost");
        return own is null || double.IsNaN(own.Number) ? OperatorCatalogue.Get(chosen.Kind).Cost : own.Number;
    }
}
