using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec.Schema;
using FusionGen.Compiler.Spec.Yaml;

namespace FusionGen.Compiler.Spec;

/// <summary>What is known of a model whose spec has errors: enough to emit types that bind, so that one bad key stays one error.</summary>
/// <param name="Model">Name of the model.</param>
/// <param name="Namespace">Namespace of its types.</param>
/// <param name="Layers">The layers as far as they could be read.</param>
public sealed record SpecShell(string Model, string Namespace, EquatableArray<LayerSpec> Layers)
{
    /// <summary>The outline of a spec.</summary>
    public static SpecShell Of(SpecDocument spec) => new(spec.Model, spec.Namespace, spec.Layers);
}

/// <summary>A spec as read.</summary>
/// <param name="Document">The spec; null where a problem is an error.</param>
/// <param name="Shell">Its outline; null where not even model and namespace are known.</param>
/// <param name="Problems">What is wrong, in the order of the text.</param>
/// <param name="Positions">Where everything stands.</param>
public sealed record SpecResult(SpecDocument? Document, SpecShell? Shell, EquatableArray<Problem> Problems, SpecPositions Positions);

/// <summary>Reads specs.</summary>
public static class SpecReader
{
    /// <summary>Reads a spec. Never throws for any text.</summary>
    public static SpecResult Read(string text) => Read(text, SpecSchema.Default);

    internal static SpecResult Read(string text, SpecSchema schema)
    {
        var tree = YamlReader.Read(text, "fusiongen");
        var spec = SpecSchema.Nothing;
        if (tree.Root is not null)
            schema.Root.TryRead(tree.Root, spec, tree.Problems, out spec);
        // With neither operators nor layers the backbone is left alone.
        if (spec.Layers.Count == 0)
            spec = spec with { Layers = Enumerable.Repeat(new LayerSpec(default), spec.Backbone.Depth).ToEquatableArray() };
        var named = Identifiers.IsPascal(spec.Model) && Identifiers.IsNamespace(spec.Namespace);
        return new SpecResult(
            tree.Root is null || tree.Problems.HasErrors ? null : spec,
            named ? SpecShell.Of(spec) : null,
            tree.Problems.ToArray(tree.Positions),
            tree.Positions);
    }
}
