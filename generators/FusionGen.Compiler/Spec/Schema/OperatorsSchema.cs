using System.Text.RegularExpressions;
using FusionGen.Compiler.Operators;
using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec.Yaml;

namespace FusionGen.Compiler.Spec.Schema;

/// <summary>What the reader knows of a kind of operator.</summary>
/// <param name="Name">The word after <c>kind:</c>.</param>
/// <param name="Doc">One sentence.</param>
/// <param name="Options">Its options.</param>
internal sealed record OperatorKind(string Name, string Doc, IReadOnlyList<OptionSchema> Options);

/// <summary>The key <c>operators</c>: operators by name.</summary>
internal sealed class OperatorsSchema(IReadOnlyList<OperatorKind> kinds) : Schema<EquatableArray<OperatorSpec>>
{
    // Far more than anyone searches over; keeps every later step's work bounded.
    private const int Maximum = 64;

    private const string NamePattern = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$";

    private readonly IReadOnlyList<(string Name, MapSchema<OperatorSpec> Schema, OperatorSpec Initial)> schemas =
        [.. kinds.Select(kind => (kind.Name, Map(kind), Initial(kind)))];

    /// <inheritdoc/>
    public override bool TryRead(YamlNode node, EquatableArray<OperatorSpec> initial, ProblemList problems, out EquatableArray<OperatorSpec> value)
    {
        value = initial;
        if (node is YamlInvalid)
            return false;
        if (node is not YamlMap map)
        {
            problems.Add(ProblemCatalogue.Type.At(node.Path, "operators", "a map of names to operators such as 'add: { kind: add }'", node.Describe(), ""));
            return false;
        }

        if (map.Entries.Count > Maximum)
        {
            problems.Add(ProblemCatalogue.Length.At(SpecPositions.Key(node.Path), "operators", Text.Invariant(map.Entries.Count), $"at most {Text.Invariant(Maximum)}"));
            return false;
        }

        var complete = true;
        var operators = new List<OperatorSpec>();
        foreach (var entry in map.Entries)
        {
            complete &= CheckName(entry, operators, problems) & this.TryReadOne(entry.Value, entry.Key, problems, out var read);
            operators.Add(read);
        }

        value = operators.ToEquatableArray();
        return complete;
    }

    /// <inheritdoc/>
    public override void Write(EquatableArray<OperatorSpec> value, JsonWriter json) => json.Object(() =>
    {
        foreach (var one in value)
            this.schemas.First(s => s.Name == one.Kind).Schema.Write(one, json.Key(one.Name));
    });

    /// <inheritdoc/>
    public override void Describe(JsonWriter json, EquatableArray<OperatorSpec> initial) => json
        .Key("type").Value("object")
        .Key("maxProperties").Value(Maximum)
        .Key("propertyNames").Object(() => json.Key("pattern").Value(NamePattern))
        .Key("additionalProperties").Object(() => json.Key("anyOf").Array(() =>
        {
            foreach (var (schema, kind) in this.schemas.Zip(kinds, (s, k) => (s, k)))
            {
                json.Object(() =>
                {
                    json.Key("description").Value(kind.Doc);
                    schema.Schema.Describe(json, schema.Initial);
                });
            }
        }));

    private static bool CheckName(YamlEntry entry, List<OperatorSpec> before, ProblemList problems)
    {
        var place = SpecPositions.Key(entry.Value.Path);
        if (!Regex.IsMatch(entry.Key, NamePattern, RegexOptions.CultureInvariant))
        {
            var near = Regex.Replace(Regex.Replace(entry.Key, "([a-z0-9])([A-Z])", "$1-$2").ToLowerInvariant(), "[^a-z0-9]+", "-").Trim('-');
            problems.Add(ProblemCatalogue.OperatorName.At(place, entry.Key, Regex.IsMatch(near, NamePattern) ? $" Did you mean '{near}'?" : ""));
            return false;
        }

        var name = Identifiers.ToPascal(entry.Key);
        if (before.FirstOrDefault(o => Identifiers.ToPascal(o.Name) == name) is not { } twin)
            return true;
        problems.Add(ProblemCatalogue.OperatorClash.At(place, twin.Name, entry.Key, name));
        return false;
    }

    // An operator that cannot be read still counts as declared: one bad option shall not make its name unknown in every layer.
    private bool TryReadOne(YamlNode node, string name, ProblemList problems, out OperatorSpec value)
    {
        value = new OperatorSpec(name, "", default);
        if (node is YamlInvalid)
            return false;
        if (node is not YamlMap map)
        {
            problems.Add(ProblemCatalogue.Type.At(node.Path, name, "a map with the key kind", node.Describe(), node is YamlScalar { IsNull: false } s ? $" Did you mean '{{ kind: {s.Value} }}'?" : ""));
            return false;
        }

        if (Discriminator.Find(map, $"operator '{name}'", "kind", $"one of {Words.Comma(kinds.Select(k => k.Name))}.", problems) is not { } kind)
            return false;
        var choice = new ChoiceSchema<int>("kind of operator", [.. kinds.Select((k, i) => (k.Name, i))]);
        return choice.TryRead(kind, 0, problems, out var index)
            && this.schemas[index].Schema.TryRead(map, this.schemas[index].Initial with { Name = name }, problems, out value);
    }

    private static OperatorSpec Initial(OperatorKind kind) =>
        new("", kind.Name, kind.Options.Select(o => new OptionValue(o.Name, o.Default)).ToEquatableArray());

    private static MapSchema<OperatorSpec> Map(OperatorKind kind) => new($"an operator of kind '{kind.Name}'",
    [
        new Key<OperatorSpec, string>("kind", "Kind of operator.", new ChoiceSchema<string>("kind of operator", (kind.Name, kind.Name)),
            o => o.Kind, (o, v) => o with { Kind = v }, required: true),
        .. kind.Options.Select(Option),
    ]);

    private static Key<OperatorSpec> Option(OptionSchema option) => option.Type switch
    {
        OptionType.Flag => new Key<OperatorSpec, bool>(option.Name, option.Doc, new FlagSchema(), o => o.Flag(option.Name), (o, v) => With(o, option.Name, v ? 1 : 0)),
        OptionType.Word => new Key<OperatorSpec, string>(option.Name, option.Doc, Word(option), o => option.WordsOf(o.Number(option.Name)).First(), (o, v) => With(o, option.Name, option.NumberOf([v])), present: o => IsSet(o, option)),
        OptionType.Words => new Key<OperatorSpec, EquatableArray<string>>(option.Name, option.Doc,
            new ListSchema<string>($"a list of {Words.Comma(option.Words)}", Word(option), option.Words[0], 1),
            o => option.WordsOf(o.Number(option.Name)).ToEquatableArray(), (o, v) => With(o, option.Name, option.NumberOf(v)), present: o => IsSet(o, option)),
        _ => new Key<OperatorSpec, double>(option.Name, option.Doc,
            new NumberSchema(option.Type == OptionType.Integer, option.Minimum, option.Maximum, nullable: option.Nullable),
            o => o.Number(option.Name), (o, v) => With(o, option.Name, v)),
    };

    // Words at their defaults stay out of the canonical text: a kind may gain an option without a new hash for every spec that names it.
    private static bool IsSet(OperatorSpec one, OptionSchema option) => one.Number(option.Name) != option.Default;

    private static ChoiceSchema<string> Word(OptionSchema option) => new(option.Name, [.. option.Words.Select(word => (word, word))]);

    private static OperatorSpec With(OperatorSpec one, string name, double number) =>
        one with { Options = one.Options.Select(o => o.Name == name ? new OptionValue(name, number) : o).ToEquatableArray() };
}
