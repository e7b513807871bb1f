using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec.Yaml;

namespace FusionGen.Compiler.Spec.Schema;

/// <summary>The key that decides which other keys a map has (<c>kind</c>, <c>family</c>).</summary>
internal static class Discriminator
{
    /// <summary>The key's value; reports where it is missing or misspelt.</summary>
    public static YamlNode? Find(YamlMap map, string name, string key, string doc, ProblemList problems)
    {
        if (map.Value(key) is { } value)
            return value;
        var misspelt = map.Entries.FirstOrDefault(e => Nearest.Of(e.Key, [key]) is not null);
        problems.Add(misspelt is null
            ? ProblemCatalogue.MissingKey.At(SpecPositions.Key(map.Path), name, key, doc)
            : ProblemCatalogue.UnknownKey.At(SpecPositions.Key(misspelt.Value.Path), misspelt.Key, name, Nearest.Suggest(misspelt.Key, [key]), key));
        return null;
    }
}
