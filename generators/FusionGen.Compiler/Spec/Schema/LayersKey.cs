using FusionGen.Compiler.Operators;
using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec.Yaml;

namespace FusionGen.Compiler.Spec.Schema;

/// <summary>An entry of <c>layers</c>.</summary>
internal sealed record LayerEntry(EquatableArray<LayerRange> At, EquatableArray<string> Candidates);

/// <summary>
/// The key <c>layers</c>: entries that together name every layer of the backbone once, with candidates that are operators of the spec.
/// Read after the backbone and the operators.
/// </summary>
internal sealed class LayersKey() : Key<SpecDocument>("layers", "The candidates of each layer; every layer of the backbone appears once. And the operators around the layers.", false)
{
    private static readonly LayerEntry Nothing = new(default, default);

    private static readonly MapSchema<LayerEntry> Entry = new("an entry of 'layers'",
    [
        new Key<LayerEntry, EquatableArray<LayerRange>>("at", "What this is about: a layer's number, a range as in 0..11, embed (what makes tokens of images), branch (a second stream of tokens), norm (the last one), or a list of these.",
            new LayerSetSchema(), e => e.At, (e, v) => e with { At = v }, required: true),
        new Key<LayerEntry, EquatableArray<string>>("candidates", "Names of operators to choose from; [] leaves the layers alone. At embed, branch and norm one, which is always on.",
            new ListSchema<string>("a list of operator names", new TextSchema(), ""), e => e.Candidates, (e, v) => e with { Candidates = v }, required: true),
    ]);

    private static readonly ListSchema<EquatableArray<string>> Canonical = new("", new ListSchema<string>("", new TextSchema(), ""), default);

    /// <inheritdoc/>
    public override bool TryRead(YamlNode node, ProblemList problems, ref SpecDocument owner)
    {
        if (node is YamlInvalid)
            return false;
        if (node is not YamlList list)
        {
            problems.Add(ProblemCatalogue.Type.At(node.Path, this.Name, "a list of entries such as '- { at: 0..11, candidates: [add] }'", node.Describe(), ""));
            return false;
        }

        var depth = owner.Backbone.Depth;
        var layers = new EquatableArray<string>?[depth];
        var complete = true;
        foreach (var item in list.Items)
        {
            var readable = Entry.TryRead(item, Nothing, problems, out var entry);
            complete &= readable & CheckCandidates(item, owner, entry.At, problems) && PlaceOutside(item, entry, ref owner, problems);
            if (depth > 0)
                complete &= PlaceLayers(entry, depth, layers, problems);
        }

        if (complete && layers.Any(l => l is null))
        {
            var missing = LayerRange.Of(Enumerable.Range(0, depth).Where(i => layers[i] is null));
            problems.Add(ProblemCatalogue.LayerMissing.At(SpecPositions.Key(node.Path), Plural(missing),
                missing.Count == 1 ? missing[0].Text : $"[{string.Join(", ", missing.Select(r => r.Text))}]"));
            complete = false;
        }

        owner = owner with { Layers = layers.Select(l => new LayerSpec(l ?? default)).ToEquatableArray() };
        return complete;
    }

    /// <inheritdoc/>
    public override void Write(SpecDocument owner, JsonWriter json) => Canonical.Write(
        owner.Layers.Select(l => l.Candidates)
            .Concat(Place.Outside.Where(place => owner.OperatorAt(place).Length > 0).Select(place => EquatableArray.Of(place.Name, owner.OperatorAt(place))))
            .ToEquatableArray(),
        json);

    /// <inheritdoc/>
    public override void Describe(JsonWriter json, SpecDocument owner) =>
        json.Key("type").Value("array").Key("items").Object(() => Entry.Describe(json, Nothing));

    private static bool CheckCandidates(YamlNode entry, SpecDocument owner, EquatableArray<LayerRange> at, ProblemList problems)
    {
        if ((entry as YamlMap)?.Value("candidates") is not YamlList list)
            return true;
        var declared = owner.Operators.Select(o => o.Name).ToList();
        // With no operator but other errors, the operators may well be what could not be read: do not blame every candidate.
        if (declared.Count == 0 && problems.HasErrors)
            return false;
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var complete = true;
        foreach (var candidate in list.Items.OfType<YamlScalar>().Where(c => !c.IsNull))
        {
            if (!declared.Contains(candidate.Value))
                problems.Add(ProblemCatalogue.UnknownOperator.At(candidate.Path, candidate.Value, Nearest.Suggest(candidate.Value, declared), Words.Comma(declared)));
            else if (!seen.Add(candidate.Value))
                problems.Add(ProblemCatalogue.RepeatedCandidate.At(candidate.Path, candidate.Value));
            else if (Elsewhere(owner.Operator(candidate.Value), at) is { } place)
                problems.Add(ProblemCatalogue.OperatorPlace.At(candidate.Path, candidate.Value, place.Name.Length > 0 ? $"'{place.Name}'" : "a layer", Words.Comma(KindsAt(place))));
            else
                continue;
            complete = false;
        }

        return complete;
    }

    // A place at which an operator has nothing to do; null where it has at all. (An operator that could not be read has no kind.)
    private static Place? Elsewhere(OperatorSpec one, EquatableArray<LayerRange> at) => one.Kind.Length == 0
        ? null
        : at.Select(range => range.Place ?? Place.Block).FirstOrDefault(place => !OperatorCatalogue.Get(one.Kind).Sites.Intersect(place.Sites).Any());

    private static IEnumerable<string> KindsAt(Place place) => OperatorCatalogue.All.Where(kind => kind.Sites.Intersect(place.Sites).Any()).Select(kind => kind.Kind);

    private static bool PlaceOutside(YamlNode item, LayerEntry entry, ref SpecDocument owner, ProblemList problems)
    {
        var complete = true;
        foreach (var range in entry.At.Where(range => range.Place is not null))
        {
            var isTaken = owner.OperatorAt(range.Place!).Length > 0;
            if (isTaken || entry.Candidates.Count != 1)
            {
                problems.Add(isTaken
                    ? ProblemCatalogue.LayerOverlap.At(range.Node, $"'{range.Text}' is")
                    : ProblemCatalogue.OneOperator.At(SpecPositions.Child(item.Path, "candidates"), range.Text, Text.Invariant(entry.Candidates.Count)));
                complete = false;
            }
            else
            {
                owner = owner.With(range.Place!, entry.Candidates[0]);
            }
        }

        return complete;
    }

    private static bool PlaceLayers(LayerEntry entry, int depth, EquatableArray<string>?[] layers, ProblemList problems)
    {
        var complete = true;
        foreach (var range in entry.At.Where(range => range.Place is null))
        {
            if (range.To >= depth)
            {
                problems.Add(ProblemCatalogue.LayerRange.At(range.Node, Text.Invariant(Math.Max(range.From, depth)), Text.Invariant(depth - 1)));
                complete = false;
            }

            var taken = new List<int>();
            for (var i = range.From; i <= Math.Min(range.To, depth - 1); i++)
            {
                if (layers[i] is null)
                    layers[i] = entry.Candidates;
                else
                    taken.Add(i);
            }

            if (taken.Count > 0)
            {
                var verb = taken.Count == 1 ? "is" : "are";
                var plural = Plural(LayerRange.Of(taken));
                problems.Add(ProblemCatalogue.LayerOverlap.At(range.Node, $"{char.ToUpperInvariant(plural[0])}{plural.Substring(1)} {verb}"));
                complete = false;
            }
        }

        return complete;
    }

    private static string Plural(IReadOnlyList<LayerRange> ranges) =>
        (ranges.Count == 1 && ranges[0].From == ranges[0].To ? "layer " : "layers ") + string.Join(", ", ranges.Select(r => r.Text));
}
