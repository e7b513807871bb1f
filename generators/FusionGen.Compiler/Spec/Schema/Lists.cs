using System.Globalization;
using System.Text.RegularExpressions;
using FusionGen.Compiler.Operators;
using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec.Yaml;

namespace FusionGen.Compiler.Spec.Schema;

/// <summary>A list of values of one kind.</summary>
internal sealed class ListSchema<T>(string what, Schema<T> item, T initialItem, int minimum = 0, int maximum = int.MaxValue) : Schema<EquatableArray<T>>
    where T : IEquatable<T>
{
    /// <inheritdoc/>
    public override bool TryRead(YamlNode node, EquatableArray<T> initial, ProblemList problems, out EquatableArray<T> value)
    {
        value = initial;
        if (node is YamlInvalid)
            return false;
        if (node is not YamlList list)
        {
            problems.Add(ProblemCatalogue.Type.At(node.Path, Words.Last(node.Path), what, node.Describe(), node is YamlScalar { IsNull: false } s ? $" Did you mean '[{s.Value}]'?" : ""));
            return false;
        }

        var complete = true;
        var items = new List<T>();
        foreach (var child in list.Items)
        {
            if (item.TryRead(child, initialItem, problems, out var read))
                items.Add(read);
            else
                complete = false;
        }

        if (list.Items.Count < minimum || list.Items.Count > maximum)
        {
            problems.Add(ProblemCatalogue.Length.At(node.Path, Words.Last(node.Path), Text.Invariant(list.Items.Count), this.Bounds));
            complete = false;
        }

        value = items.ToEquatableArray();
        return complete;
    }

    /// <inheritdoc/>
    public override void Write(EquatableArray<T> value, JsonWriter json) => json.Array(() =>
    {
        foreach (var entry in value)
            item.Write(entry, json);
    });

    /// <inheritdoc/>
    public override void Describe(JsonWriter json, EquatableArray<T> initial)
    {
        json.Key("type").Value("array").Key("items").Object(() => item.Describe(json, initialItem));
        if (minimum > 0)
            json.Key("minItems").Value(minimum);
        if (maximum < int.MaxValue)
            json.Key("maxItems").Value(maximum);
    }

    private string Bounds => minimum == maximum ? Text.Invariant(minimum)
        : maximum == int.MaxValue ? $"at least {Text.Invariant(minimum)}"
        : $"{Text.Invariant(minimum)} to {Text.Invariant(maximum)}";
}

/// <summary>Layers from one number to another, both included, or a place outside the layers, and the node that says so.</summary>
internal readonly record struct LayerRange(int From, int To, string Node)
{
    /// <summary>The place outside the layers; null for layers.</summary>
    public Place? Place { get; init; }

    /// <summary><c>3</c>, <c>3..5</c> or <c>embed</c>.</summary>
    public string Text => this.Place is { } place ? place.Name : this.From == this.To ? Compiler.Text.Invariant(this.From) : $"{Compiler.Text.Invariant(this.From)}..{Compiler.Text.Invariant(this.To)}";

    /// <summary>The shortest ranges that hold some layers.</summary>
    public static IReadOnlyList<LayerRange> Of(IEnumerable<int> layers)
    {
        var ranges = new List<LayerRange>();
        foreach (var layer in layers)
        {
            if (ranges.Count > 0 && ranges[ranges.Count - 1].To == layer - 1)
                ranges[ranges.Count - 1] = ranges[ranges.Count - 1] with { To = layer };
            else
                ranges.Add(new LayerRange(layer, layer, ""));
        }

        return ranges;
    }
}

/// <summary>One layer, a range of layers or a place outside them: <c>3</c>, <c>0..11</c>, <c>embed</c>.</summary>
internal sealed class LayerRangeSchema : ScalarSchema<LayerRange>
{
    private static readonly Regex Form = new(@"^([0-9]{1,6})(?: ?\.\. ?([0-9]{1,6}))?$", RegexOptions.CultureInvariant);

    /// <inheritdoc/>
    public override string Expected => "a layer such as '3', a range such as '0..11', or 'embed', 'branch' or 'norm'";

    /// <inheritdoc/>
    public override void Write(LayerRange value, JsonWriter json) => json.Value(value.Text);

    /// <inheritdoc/>
    public override void Describe(JsonWriter json, LayerRange initial) => json.Key("anyOf").Array(() => json
        .Object(() => json.Key("type").Value("integer").Key("minimum").Value(0L))
        .Object(() => json.Key("type").Value("string").Key("pattern").Value(Form.ToString()))
        .Object(() => json.Key("enum").Array(() =>
        {
            foreach (var place in Place.Outside)
                json.Value(place.Name);
        })));

    /// <inheritdoc/>
    protected override bool TryParse(YamlScalar scalar, ProblemList problems, ref LayerRange value)
    {
        if (Place.Outside.FirstOrDefault(place => place.Name == scalar.Value) is { } outside)
        {
            value = new LayerRange(0, -1, scalar.Path) { Place = outside };
            return true;
        }

        var match = Form.Match(scalar.Value);
        if (!match.Success)
            return this.Malformed(scalar, problems, Nearest.Suggest(scalar.Value, [.. Place.Outside.Select(place => place.Name)]) is { Length: > 0 } near ? near : Hint(scalar.Value));
        var from = int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture);
        value = new LayerRange(from, match.Groups[2].Success ? int.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture) : from, scalar.Path);
        if (value.From <= value.To)
            return true;
        problems.Add(ProblemCatalogue.RangeOrder.At(scalar.Path, scalar.Value, new LayerRange(value.To, value.From, "").Text));
        return false;
    }

    // 0-11, 0:11, 0...11, 0 to 11
    private static string Hint(string text)
    {
        var match = Regex.Match(text, @"^([0-9]{1,6}) ?(?:-|:|\.{1,4}|to|–|,) ?([0-9]{1,6})$", RegexOptions.CultureInvariant);
        return match.Success ? $" Did you mean '{match.Groups[1].Value}..{match.Groups[2].Value}'?" : "";
    }
}

/// <summary>Layers as a number, a range or a list of both.</summary>
internal sealed class LayerSetSchema : Schema<EquatableArray<LayerRange>>
{
    private static readonly LayerRangeSchema Range = new();
    private static readonly ListSchema<LayerRange> List = new("a layer, a range or a list of both", Range, default, 1);

    /// <inheritdoc/>
    public override bool TryRead(YamlNode node, EquatableArray<LayerRange> initial, ProblemList problems, out EquatableArray<LayerRange> value)
    {
        if (node is not YamlScalar { IsNull: false })
            return List.TryRead(node, initial, problems, out value);
        var complete = Range.TryRead(node, default, problems, out var range);
        value = complete ? EquatableArray.Of(range) : initial;
        return complete;
    }

    /// <inheritdoc/>
    public override void Write(EquatableArray<LayerRange> value, JsonWriter json) => List.Write(value, json);

    /// <inheritdoc/>
    public override void Describe(JsonWriter json, EquatableArray<LayerRange> initial) => json.Key("anyOf").Array(() => json
        .Object(() => Range.Describe(json, default))
        .Object(() => List.Describe(json, initial)));
}
