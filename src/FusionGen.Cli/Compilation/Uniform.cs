using FusionGen.Compiler;
using FusionGen.Compiler.Operators;
using FusionGen.Compiler.Spec;

namespace FusionGen.Cli.Compilation;

/// <summary>Policies of one operator everywhere: what a search has to beat.</summary>
internal static class Uniform
{
    /// <summary>Operators that every layer with a choice could use.</summary>
    public static IEnumerable<string> Operators(SpecDocument spec)
    {
        var layers = spec.Layers.Where(layer => layer.Candidates.Count > 0).ToList();
        return layers.Count == 0 ? [] : layers[0].Candidates.Where(name => layers.TrueForAll(layer => layer.Candidates.Contains(name)));
    }

    /// <summary>The policy of a spec that leaves no choice; null where some layer has two candidates, or none has any.</summary>
    public static PolicyDocument? Only(SpecDocument spec) => spec.Layers.Any(layer => layer.Candidates.Count > 1) || spec.Layers.All(layer => layer.Candidates.Count == 0)
        ? null
        : new(spec.Model, SpecHash.Of(spec), spec.Layers.Select(layer => layer.Candidates.Count == 0 ? "" : layer.Candidates[0]).ToEquatableArray());

    /// <summary>The operator in every layer that has candidates.</summary>
    public static PolicyDocument Policy(SpecDocument spec, string name) =>
        new(spec.Model, SpecHash.Of(spec), spec.Layers.Select(layer => layer.Candidates.Count == 0 ? "" : name).ToEquatableArray());
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
