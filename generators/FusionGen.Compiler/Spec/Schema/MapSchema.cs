using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec.Yaml;

namespace FusionGen.Compiler.Spec.Schema;

/// <summary>A map with known keys, read into a record of type <typeparamref name="T"/>.</summary>
/// <param name="name">What messages call it: <c>a spec</c>, <c>'search'</c>.</param>
/// <param name="keys">Its keys; read in this order, whatever the order in the text.</param>
/// <param name="oneOf">Exactly one of the keys must be there.</param>
/// <param name="check">Looks at the keys together, given the map and the record read from it.</param>
internal sealed class MapSchema<T>(string name, Key<T>[] keys, bool oneOf = false, Action<YamlMap, T, ProblemList>? check = null) : Schema<T>
{
    /// <summary>Its keys.</summary>
    public IReadOnlyList<Key<T>> Keys => keys;

    /// <inheritdoc/>
    public override bool TryRead(YamlNode node, T initial, ProblemList problems, out T value)
    {
        value = initial;
        if (node is YamlInvalid)
            return false;
        if (node is not YamlMap map)
        {
            problems.Add(ProblemCatalogue.Type.At(node.Path, Words.Last(node.Path), "a map with keys " + Words.Comma(keys.Select(k => k.Name)), node.Describe(), ""));
            return false;
        }

        var complete = true;
        var known = keys.Select(k => k.Name).ToList();
        var unset = known.Where(k => map.Entry(k) is null).ToList();
        foreach (var entry in map.Entries.Where(e => !known.Contains(e.Key)))
        {
            // A misspelt key is one problem, not also a missing key.
            if (Nearest.Of(entry.Key, known) is { } meant)
                unset.Remove(meant);
            problems.Add(ProblemCatalogue.UnknownKey.At(SpecPositions.Key(entry.Value.Path), entry.Key, name, Nearest.Suggest(entry.Key, known), Words.Comma(known)));
            complete = false;
        }

        foreach (var key in keys)
            complete &= this.TryReadKey(map, key, unset, problems, ref value);

        if (oneOf && keys.Count(k => map.Entry(k.Name) is not null) is var count and not 1)
        {
            problems.Add(ProblemCatalogue.OneOf.At(Place(map), name, Words.And([.. keys.Select(k => k.Name)]), count == 0 ? "none" : "more"));
            complete = false;
        }

        if (complete)
            check?.Invoke(map, value, problems);
        return complete;
    }

    /// <inheritdoc/>
    public override void Write(T value, JsonWriter json) => json.Object(() =>
    {
        foreach (var key in keys.Where(k => k.IsPresent(value)))
            key.Write(value, json.Key(key.Name));
    });

    /// <inheritdoc/>
    public override void Describe(JsonWriter json, T initial)
    {
        json.Key("type").Value("object");
        json.Key("properties").Object(() =>
        {
            foreach (var key in keys)
            {
                json.Key(key.Name).Object(() =>
                {
                    json.Key("description").Value(key.Doc);
                    key.Describe(json, initial);
                });
            }
        });
        if (keys.Where(k => k.Required).Select(k => k.Name).ToList() is { Count: > 0 } required)
            json.Key("required").Values(required);
        if (oneOf)
            json.Key("minProperties").Value(1).Key("maxProperties").Value(1);
        json.Key("additionalProperties").Value(false);
    }

    // What is said of a map as a whole is said at its key.
    private static string Place(YamlMap map) => map.Path.Length == 0 || map.Path[map.Path.Length - 1] == ']' ? map.Path : SpecPositions.Key(map.Path);

    private bool TryReadKey(YamlMap map, Key<T> key, List<string> unset, ProblemList problems, ref T value)
    {
        if (map.Value(key.Name) is { } node)
            return key.TryRead(node, problems, ref value);
        if (!key.Required || !unset.Contains(key.Name))
            return true;
        problems.Add(ProblemCatalogue.MissingKey.At(Place(map), name, key.Name, key.Doc));
        return false;
    }
}

/// <summary>A key of a map that is read into a record of type <typeparamref name="T"/>.</summary>
internal abstract class Key<T>(string name, string doc, bool required)
{
    /// <summary>The key.</summary>
    public string Name => name;

    /// <summary>What it means, in a sentence.</summary>
    public string Doc => doc;

    /// <summary>Whether it must be given.</summary>
    public bool Required => required;

    /// <summary>Reads the key's value into the record.</summary>
    public abstract bool TryRead(YamlNode node, ProblemList problems, ref T owner);

    /// <summary>Whether the canonical text has the key.</summary>
    public virtual bool IsPresent(T owner) => true;

    /// <summary>Writes the key's value canonically.</summary>
    public abstract void Write(T owner, JsonWriter json);

    /// <summary>Writes the JSON schema of the key's value.</summary>
    public abstract void Describe(JsonWriter json, T owner);
}

/// <summary>A key whose value is a property, or several, of the record.</summary>
internal sealed class Key<T, TValue>(
    string name, string doc, Schema<TValue> schema, Func<T, TValue> get, Func<T, TValue, T> set, bool required = false, Func<T, bool>? present = null)
    : Key<T>(name, doc, required)
{
    /// <inheritdoc/>
    public override bool TryRead(YamlNode node, ProblemList problems, ref T owner)
    {
        var complete = schema.TryRead(node, get(owner), problems, out var value);
        owner = set(owner, value);
        return complete;
    }

    /// <inheritdoc/>
    public override bool IsPresent(T owner) => present is null || present(owner);

    /// <inheritdoc/>
    public override void Write(T owner, JsonWriter json) => schema.Write(get(owner), json);

    /// <inheritdoc/>
    public override void Describe(JsonWriter json, T owner) => schema.Describe(json, get(owner));
}
