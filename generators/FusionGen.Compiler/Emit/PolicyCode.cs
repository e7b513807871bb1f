using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Emit;

/// <summary>The policy record: one enum-typed choice per layer, so that an illegal choice does not compile.</summary>
internal static class PolicyCode
{
    /// <summary>Writes the enums and the record.</summary>
    public static void Write(CodeWriter code, SpecDocument spec)
    {
        var sets = spec.Layers.Select(layer => layer.Candidates).Where(candidates => candidates.Count > 0).Distinct().ToArray();
        string[] enums = [.. sets.Select((_, i) => sets.Length == 1 ? $"{spec.Model}Fusion" : $"{spec.Model}Fusion{Text.Invariant(i)}")];
        // Of each layer; -1 where there is nothing to choose.
        int[] setOf = [.. spec.Layers.Select(layer => Array.IndexOf(sets, layer.Candidates))];
        for (var number = 0; number < sets.Length; number++)
        {
            var set = sets[number];
            code.Doc($"The candidates of layers {string.Join(", ", Enumerable.Range(0, setOf.Length).Where(layer => setOf[layer] == number).Select(layer => Text.Invariant(layer)))}.");
            code.Line(SourceHeader.GeneratedCode);
            using (code.Block($"public enum {enums[number]}"))
            {
                var names = Members(set);
                for (var i = 0; i < set.Count; i++)
                {
                    code.Doc($"{set[i]}: {Operators.OperatorCatalogue.Get(spec.Operator(set[i]).Kind).Doc}");
                    code.Line($"{names[i]} = {Text.Invariant(i)},");
                }
            }
            code.Line();
        }
        var type = $"{spec.Model}Policy";
        code.Doc($"A choice of one fusion operator for each layer of {spec.Model}; only legal choices can be written.");
        code.Line(SourceHeader.GeneratedCode);
        using (code.Block($"public sealed record {type} : IPolicy<{type}>"))
        {
            for (var layer = 0; layer < setOf.Length; layer++)
            {
                if (setOf[layer] < 0)
                    continue;
                code.Line($"/// <summary>Operator of layer {layer}.</summary>");
                code.Line($"public required {enums[setOf[layer]]} Layer{layer} {{ get; init; }}");
                code.Line();
            }
            code.Line("/// <inheritdoc/>");
            code.Line("public static IReadOnlyList<LayerCandidates> Layers { get; } =");
            code.Line("[");
            string[] rows = [.. sets.Select(set => $"    new([{string.Join(", ", set.Select(Names.Literal))}], [{string.Join(", ", set.Select(name => Names.Literal(CostOf(spec, name))))}]),")];
            foreach (var set in setOf)
                code.Line(set < 0 ? "    new([], [])," : rows[set]);
            code.Line("];");
            code.Line();
            code.Line("/// <inheritdoc/>");
            code.Line($"public string Model => {Names.Literal(spec.Model)};");
            code.Line();
            code.Line("/// <inheritdoc/>");
            code.Line($"public string SpecHash => {spec.Model}Plan.SpecHash;");
            code.Line();
            code.Line("/// <inheritdoc/>");
            code.Line($"public IReadOnlyList<int> Choices => [{string.Join(", ", setOf.Select((set, layer) => set < 0 ? "0" : $"(int)this.Layer{Text.Invariant(layer)}"))}];");
            code.Line();
            code.Line("/// <inheritdoc/>");
            code.Line("public IReadOnlyList<string> Names => Policies.NamesOf(Layers, this.Choices);");
            code.Line();
            code.Line("/// <inheritdoc/>");
            using (code.Block($"public static {type} FromChoices(IReadOnlyList<int> choices)"))
            {
                code.Line("Policies.Check(Layers, choices);");
                code.Line($"return new {type}");
                code.Line("{");
                for (var layer = 0; layer < setOf.Length; layer++)
                {
                    if (setOf[layer] >= 0)
                        code.Line($"    Layer{layer} = ({enums[setOf[layer]]})choices[{layer}],");
                }
                code.Line("};");
            }
            code.Line();
            code.Doc("The policy of a text in policy YAML.");
            code.Line("/// <exception cref=\"FusionException\">The text is no policy of this model; the message says where and why.</exception>");
            code.Line($"public static {type} Parse(string text) => FromChoices(Policies.Parse(text, {Names.Literal(spec.Model)}, {spec.Model}Plan.SpecHash, Layers));");
            code.Line();
            code.Doc("The policy as policy YAML.");
            code.Line("public string ToYaml() => Policies.ToYaml(this);");
        }
    }

    /// <summary>What the search charges for an operator: the spec's figure, or the kind's.</summary>
    public static double CostOf(SpecDocument spec, string name)
    {
        var chosen = spec.Operator(name);
        var own = chosen.Options.FirstOrDefault(option => option.Name == "cost");
        return own is null || double.IsNaN(own.Number) ? Operators.OperatorCatalogue.Get(chosen.Kind).Cost : own.Number;
    }

    private static IReadOnlyList<string> Members(EquatableArray<string> candidates)
    {
        var taken = new HashSet<string>(StringComparer.Ordinal);
        return [.. candidates.Select(name => Names.Unique(Names.Pascal(name), taken))];
    }
}
