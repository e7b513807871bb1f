using System.Text;
using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec.Schema;
using FusionGen.Compiler.Spec.Yaml;

namespace FusionGen.Compiler.Spec;

/// <summary>A policy as read; <paramref name="Document"/> is null where a problem is an error.</summary>
public sealed record PolicyResult(PolicyDocument? Document, EquatableArray<Problem> Problems, SpecPositions Positions);

/// <summary>Reads policy files.</summary>
public static class PolicyReader
{
    private static readonly MapSchema<PolicyDocument> Root = new("a policy",
    [
        new VersionKey<PolicyDocument>("fusiongen-policy"),
        new Key<PolicyDocument, string>("model", "Name of the model the policy is for.", new TextSchema(), p => p.Model, (p, v) => p with { Model = v }, required: true),
        new Key<PolicyDocument, string>("spec", "Hash of the spec the policy was found under.", new TextSchema(), p => p.SpecHash, (p, v) => p with { SpecHash = v }, required: true),
        new Key<PolicyDocument, EquatableArray<string>>("layers", "One operator per layer; null where a layer has no candidates.",
            new ListSchema<string>("a list with one operator per layer", new ChosenSchema(), ""), p => p.Choices, (p, v) => p with { Choices = v }, required: true),
    ]);

    /// <summary>Reads a policy. Never throws for any text.</summary>
    public static PolicyResult Read(string text)
    {
        var tree = YamlReader.Read(text, "fusiongen-policy");
        var policy = new PolicyDocument("", "", default);
        if (tree.Root is not null)
            Root.TryRead(tree.Root, policy, tree.Problems, out policy);
        return new PolicyResult(tree.Root is null || tree.Problems.HasErrors ? null : policy, tree.Problems.ToArray(tree.Positions), tree.Positions);
    }

    private sealed class ChosenSchema : ScalarSchema<string>
    {
        public override string Expected => "the name of an operator, or null";

        protected override bool AcceptsNull => true;

        public override void Write(string value, JsonWriter json) => json.Value(value);

        public override void Describe(JsonWriter json, string initial) => json.Key("type").Values(["string", "null"]);

        protected override bool TryParse(YamlScalar scalar, ProblemList problems, ref string value)
        {
            value = scalar.IsNull ? "" : scalar.Value;
            return true;
        }
    }
}

/// <summary>Writes policy files.</summary>
public static class PolicyWriter
{
    /// <summary>The text of a policy; <see cref="PolicyReader.Read"/> reads it back.</summary>
    public static string Write(PolicyDocument policy)
    {
        var text = new StringBuilder()
            .Append("fusiongen-policy: 1\n")
            .Append("model: ").Append(policy.Model).Append('\n')
            .Append("spec: '").Append(policy.SpecHash).Append("'\n")
            .Append(policy.Choices.Count == 0 ? "layers: []\n" : "layers:\n");
        foreach (var choice in policy.Choices)
            text.Append("  - ").Append(choice is "" ? "~" : choice is "null" ? "'null'" : choice).Append('\n');
        return text.ToString();
    }
}

/// <summary>Checks a policy against the spec beside it.</summary>
public static class PolicyBinder
{
    /// <summary>What does not fit; positions are the policy's.</summary>
    public static EquatableArray<Problem> Check(SpecDocument spec, PolicyDocument policy)
    {
        var problems = new List<Problem>();
        if (policy.Model != spec.Model)
            problems.Add(ProblemCatalogue.PolicyModel.At("model", policy.Model, spec.Model));
        if (policy.Choices.Count != spec.Layers.Count)
            problems.Add(ProblemCatalogue.PolicyLength.At(SpecPositions.Key("layers"), Text.Invariant(policy.Choices.Count), Text.Invariant(spec.Layers.Count)));
        for (var i = 0; i < Math.Min(policy.Choices.Count, spec.Layers.Count); i++)
        {
            var (choice, candidates) = (policy.Choices[i], spec.Layers[i].Candidates);
            if (candidates.Count == 0 ? choice.Length > 0 : !candidates.Contains(choice))
            {
                problems.Add(ProblemCatalogue.PolicyChoice.At(SpecPositions.Item("layers", i), choice, Text.Invariant(i), Nearest.Suggest(choice, candidates),
                    candidates.Count == 0 ? "The layer has none; write '~'." : $"Choose from: {Words.Comma(candidates)}."));
            }
        }

        var hash = SpecHash.Of(spec);
        if (problems.Count == 0 && policy.SpecHash != hash)
            problems.Add(ProblemCatalogue.PolicyStale.At("spec", Short(policy.SpecHash), Short(hash), hash));
        return problems.ToEquatableArray();

        static string Short(string hash) => hash.Length > 8 ? hash.Substring(0, 8) : hash;
    }
}
