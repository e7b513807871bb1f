using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec.Yaml;

namespace FusionGen.Compiler.Spec.Schema;

/// <summary>A kind of value in a spec: how it is read, how it is written canonically and how it is described to editors.</summary>
internal abstract class Schema<T>
{
    /// <summary>Reads a node. <paramref name="initial"/> is what the value is before: maps change only the keys they have.</summary>
    /// <returns>False where a problem was reported; <paramref name="value"/> is then the best that is known.</returns>
    public abstract bool TryRead(YamlNode node, T initial, ProblemList problems, out T value);

    /// <summary>Writes a value such that equal values, and only those, give equal text.</summary>
    public abstract void Write(T value, JsonWriter json);

    /// <summary>Writes the members of the value's JSON schema.</summary>
    public abstract void Describe(JsonWriter json, T initial);
}

/// <summary>A value written as one word, number or text.</summary>
internal abstract class ScalarSchema<T> : Schema<T>
{
    /// <summary>What the value must be, to follow "must be".</summary>
    public abstract string Expected { get; }

    /// <inheritdoc/>
    public sealed override bool TryRead(YamlNode node, T initial, ProblemList problems, out T value)
    {
        value = initial;
        if (node is YamlInvalid)
            return false;
        if (node is YamlScalar scalar && (!scalar.IsNull || this.AcceptsNull))
            return this.TryParse(scalar, problems, ref value);
        problems.Add(ProblemCatalogue.Type.At(node.Path, Words.Last(node.Path), this.Expected, node.Describe(), ""));
        return false;
    }

    /// <summary>Whether <c>null</c> is legal.</summary>
    protected virtual bool AcceptsNull => false;

    /// <summary>Reads a scalar that is not null, unless null is legal.</summary>
    protected abstract bool TryParse(YamlScalar scalar, ProblemList problems, ref T value);

    /// <summary>Reports a value of the wrong type.</summary>
    protected bool WrongType(YamlScalar scalar, ProblemList problems, string hint = "")
    {
        problems.Add(ProblemCatalogue.Type.At(scalar.Path, Words.Last(scalar.Path), this.Expected, scalar.Describe(), hint));
        return false;
    }

    /// <summary>Reports a value that is not written as it must be.</summary>
    protected bool Malformed(YamlScalar scalar, ProblemList problems, string hint = "")
    {
        problems.Add(ProblemCatalogue.Form.At(scalar.Path, Words.Last(scalar.Path), this.Expected, scalar.Value, hint));
        return false;
    }
}

/// <summary>Pieces of messages.</summary>
internal static class Words
{
    /// <summary>The last key of a path, with its index: <c>layers[0].at</c> → <c>at</c>.</summary>
    public static string Last(string path) => path.Length == 0 ? "document" : path.Substring(path.LastIndexOf('.') + 1);

    /// <summary><c>'a', 'b' and 'c'</c>.</summary>
    public static string And(IReadOnlyList<string> words) => words.Count switch
    {
        0 => "none",
        1 => $"'{words[0]}'",
        _ => string.Join(", ", words.Take(words.Count - 1).Select(w => $"'{w}'")) + $" and '{words[words.Count - 1]}'",
    };

    /// <summary><c>a, b, c</c>, or <c>none</c>.</summary>
    public static string Comma(IEnumerable<string> words) => string.Join(", ", words) is { Length: > 0 } text ? text : "none";

}
