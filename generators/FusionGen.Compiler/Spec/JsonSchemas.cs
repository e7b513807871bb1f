using FusionGen.Compiler.Spec.Schema;

namespace FusionGen.Compiler.Spec;

/// <summary>JSON schema (draft-07) of specs, for completion in editors; <c>schema/fusiongen.schema.json</c> holds its text.</summary>
public static class JsonSchemas
{
    /// <summary>The schema's text.</summary>
    public static string Spec()
    {
        var json = new JsonWriter(indented: true);
        json.Object(() =>
        {
            json.Key("$schema").Value("http://json-schema.org/draft-07/schema#");
            json.Key("title").Value("FusionGen spec");
            SpecSchema.Default.Root.Describe(json, SpecSchema.Nothing);
        });
        return json.ToString();
    }
}
