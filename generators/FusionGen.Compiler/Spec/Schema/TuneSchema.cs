using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec.Yaml;

namespace FusionGen.Compiler.Spec.Schema;

/// <summary>What is tuned: a word, or <c>{ last: 2 }</c>.</summary>
internal sealed class TuneSchema : Schema<TuneSpec>
{
    private static readonly ChoiceSchema<TuneScope> Word = new("scope of tuning", ("prompts", TuneScope.Prompts), ("bias", TuneScope.Bias), ("all", TuneScope.All));

    private static readonly MapSchema<TuneSpec> Map = new("'tune'",
    [
        new Key<TuneSpec, double>("last", "How many of the last blocks are tuned, and the final norm with them.", new NumberSchema(true, 1, 1000), t => t.Blocks, (_, v) => new TuneSpec(TuneScope.Last, (int)v), required: true),
    ]);

    /// <inheritdoc/>
    public override bool TryRead(YamlNode node, TuneSpec initial, ProblemList problems, out TuneSpec value)
    {
        if (node is YamlMap)
            return Map.TryRead(node, initial, problems, out value);
        var complete = Word.TryRead(node, initial.Scope, problems, out var scope);
        value = new TuneSpec(scope);
        return complete;
    }

    /// <inheritdoc/>
    public override void Write(TuneSpec value, JsonWriter json)
    {
        if (value.Scope == TuneScope.Last)
            Map.Write(value, json);
        else
            Word.Write(value.Scope, json);
    }

    /// <inheritdoc/>
    public override void Describe(JsonWriter json, TuneSpec initial) => json.Key("anyOf").Array(() => json
        .Object(() => Word.Describe(json, initial.Scope))
        .Object(() => Map.Describe(json, initial)));
}
