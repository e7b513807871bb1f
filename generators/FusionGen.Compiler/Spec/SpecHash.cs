using System.Security.Cryptography;
using System.Text;
using FusionGen.Compiler.Spec.Schema;

namespace FusionGen.Compiler.Spec;

/// <summary>
/// Identifies the network of a spec: what policies and adapters depend on. Comments, order of keys and layout do not matter, nor do the parts
/// that change no tensor and no candidate: <c>namespace</c>, <c>doc</c>, <c>data</c>, <c>search</c>, <c>train</c>, <c>budget</c> and the place of the weights
/// (adapters carry the weights' own digest).
/// </summary>
public static class SpecHash
{
    /// <summary>SHA-256 of the canonical text, 64 lower-case hexadecimal digits.</summary>
    public static string Of(SpecDocument spec)
    {
        using var sha = SHA256.Create();
        return string.Concat(sha.ComputeHash(Encoding.UTF8.GetBytes(Canonical(spec))).Select(b => b.ToString("x2", System.Globalization.CultureInfo.InvariantCulture)));
    }

    /// <summary>The text that is hashed: JSON with every key of the network, defaults included, in the schema's order.</summary>
    internal static string Canonical(SpecDocument spec)
    {
        var nothing = SpecSchema.Nothing;
        var network = spec with
        {
            Namespace = nothing.Namespace,
            Doc = nothing.Doc,
            Data = nothing.Data,
            Search = nothing.Search,
            Train = nothing.Train,
            Budget = nothing.Budget,
            Backbone = spec.Backbone with { Weights = "" },
            Operators = spec.Operators.OrderBy(o => o.Name, StringComparer.Ordinal).ToEquatableArray(),
        };
        var json = new JsonWriter(indented: false);
        SpecSchema.Default.Root.Write(network, json);
        return json.ToString();
    }
}
