using FusionGen.Compiler;
using FusionGen.Compiler.Spec;

namespace FusionGen;

/// <summary>What generated policy types share: their YAML and their checks.</summary>
public static class Policies
{
    /// <summary>Operator names of choices; empty where a layer has no candidates.</summary>
    public static IReadOnlyList<string> NamesOf(IReadOnlyList<LayerCandidates> layers, IReadOnlyList<int> choices)
    {
        Check(layers, choices);
        return [.. layers.Select((layer, i) => layer.Names.Count == 0 ? "" : layer.Names[choices[i]])];
    }

    /// <summary>Refuses choices that are not one legal index per layer.</summary>
    /// <exception cref="ArgumentException">They are not.</exception>
    public static void Check(IReadOnlyList<LayerCandidates> layers, IReadOnlyList<int> choices)
    {
        ArgumentNullException.ThrowIfNull(layers);
        ArgumentNullException.ThrowIfNull(choices);
        if (choices.Count != layers.Count)
            throw new ArgumentException($"{choices.Count} choices for {layers.Count} layers", nameof(choices));
        for (var layer = 0; layer < layers.Count; layer++)
        {
            if (choices[layer] < 0 || choices[layer] >= Math.Max(1, layers[layer].Names.Count))
                throw new ArgumentException($"layer {layer}: choice {choices[layer]} of {layers[layer].Names.Count} candidates", nameof(choices));
        }
    }

    /// <summary>Choices of a policy in YAML.</summary>
    /// <exception cref="FusionException">The text is no policy of that model and spec; the message says where and why.</exception>
    public static IReadOnlyList<int> Parse(string text, string model, string specHash, IReadOnlyList<LayerCandidates> layers)
    {
        ArgumentNullException.ThrowIfNull(layers);
        var result = PolicyReader.Read(text);
        if (result.Document is not { } policy)
            throw new FusionException($"not a policy: {string.Join("; ", result.Problems.Select(problem => problem.Message))}", ExitCode.Spec);
        if (policy.Model != model)
            throw new FusionException($"the policy is for model '{policy.Model}', not '{model}'", ExitCode.Spec);
        if (policy.SpecHash != specHash)
            throw new FusionException($"the policy was found under another version of the spec of '{model}'; search again", ExitCode.Spec);
        if (policy.Choices.Count != layers.Count)
            throw new FusionException($"the policy chooses for {policy.Choices.Count} layers, '{model}' has {layers.Count}", ExitCode.Spec);
        return [.. policy.Choices.Select((name, layer) => IndexOf(layers[layer], name, layer))];
    }

    /// <summary>A policy as YAML.</summary>
    public static string ToYaml(IPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return PolicyWriter.Write(new PolicyDocument(policy.Model, policy.SpecHash, policy.Names.ToEquatableArray()));
    }

    private static int IndexOf(LayerCandidates layer, string name, int index)
    {
        if (layer.Names.Count == 0 && name.Length == 0)
            return 0;
        for (var i = 0; i < layer.Names.Count; i++)
        {
            if (layer.Names[i] == name)
                return i;
        }
        throw new FusionException($"layer {index}: '{name}' is none of its candidates ({string.Join(", ", layer.Names)})", ExitCode.Spec);
    }
}
