using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec.Yaml;

namespace FusionGen.Compiler.Spec.Schema;

/// <summary>The key that says what a document is and in which version; only version 1 exists.</summary>
internal sealed class VersionKey<T>(string name) : Key<T>(name, $"'{name}: 1' says what the file is.", true)
{
    /// <inheritdoc/>
    public override bool TryRead(YamlNode node, ProblemList problems, ref T owner)
    {
        if (node is YamlScalar { Value: "1", Plain: true })
            return true;
        if (node is not YamlInvalid)
            problems.Add(ProblemCatalogue.Version.At(node.Path, this.Name, node is YamlScalar s ? s.Value : node.Describe()));
        return false;
    }

    /// <inheritdoc/>
    public override void Write(T owner, JsonWriter json) => json.Value(1L);

    /// <inheritdoc/>
    public override void Describe(JsonWriter json, T owner) => json.Key("const").Value(1L);
}
