using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec.Yaml;

namespace FusionGen.Compiler.Spec.Schema;

/// <summary>A training section: where it names a recipe, its keys change the recipe's values instead of the defaults.</summary>
internal sealed class RecipeSchema(MapSchema<TrainSettings> keys) : Schema<TrainSettings>
{
    /// <inheritdoc/>
    public override bool TryRead(YamlNode node, TrainSettings initial, ProblemList problems, out TrainSettings value)
    {
        var named = ((node as YamlMap)?.Value("recipe") as YamlScalar)?.Value;
        return keys.TryRead(node, RecipeCatalogue.All.FirstOrDefault(recipe => recipe.Name == named)?.Train ?? initial, problems, out value);
    }

    /// <inheritdoc/>
    public override void Write(TrainSettings value, JsonWriter json) => keys.Write(value, json);

    /// <inheritdoc/>
    public override void Describe(JsonWriter json, TrainSettings initial) => keys.Describe(json, initial);
}
