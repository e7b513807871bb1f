using System.Globalization;
using System.Text.Json.Nodes;
using FusionGen.Compiler.Spec;
using FusionGen.Compiler.Spec.Yaml;

namespace FusionGen.Compiler.Tests.Spec;

internal sealed class JsonSchemaTests
{
    private static readonly JsonNode Schema = JsonNode.Parse(JsonSchemas.Spec())!;

    [Test]
    public void The_schema_in_the_repository_is_the_one_the_reader_has() =>
        Golden.Check("../../schema/fusiongen.schema.json", JsonSchemas.Spec());

    [TestCaseSource(typeof(Samples), nameof(Samples.All))]
    public void A_spec_that_the_reader_accepts_validates(string text) => Assert.That(Errors(text), Is.Empty);

    /// <summary>The schema accepts a superset: what depends on two keys, or on the number in a text, is left to the reader.</summary>
    [TestCaseSource(nameof(SchemaProblems))]
    public void A_spec_with_a_schema_problem_does_not_validate(object file)
    {
        var name = file.ToString()!;
        var readerOnly = name.StartsWith("FG1010-momentum", StringComparison.Ordinal) || name.StartsWith("FG1010-betas", StringComparison.Ordinal) || name.StartsWith("FG1010-perturb", StringComparison.Ordinal)
            || name.StartsWith("FG1004-budget", StringComparison.Ordinal) || name.StartsWith("FG1002-layers", StringComparison.Ordinal);
        Assert.That(Errors(((CorpusCase)file).Text), readerOnly ? Is.Empty : Is.Not.Empty);
    }

    [Test]
    public void The_validator_itself_tells_right_from_wrong()
    {
        var schema = JsonNode.Parse("""{"type":"object","properties":{"a":{"type":"integer","minimum":1},"b":{"anyOf":[{"const":1},{"enum":["x"]}]}},"required":["a"],"additionalProperties":false}""")!;
        Assert.That(JsonValidator.Validate(schema, JsonNode.Parse("""{"a":1,"b":"x"}""")), Is.Empty);
        foreach (var wrong in new[] { "{}", """{"a":0}""", """{"a":1.5}""", """{"a":1,"b":2}""", """{"a":1,"c":2}""", "[]", "null" })
            Assert.That(JsonValidator.Validate(schema, JsonNode.Parse(wrong)), Is.Not.Empty, wrong);
    }

    private static IEnumerable<CorpusCase> SchemaProblems() =>
        CorpusCase.All.Where(c => c.Name.StartsWith("FG10", StringComparison.Ordinal) && c.Name.EndsWith(".fusion.yaml", StringComparison.Ordinal));

    internal static IReadOnlyList<string> Errors(string text) => JsonValidator.Validate(Schema, Json(YamlReader.Read(text, "fusiongen").Root!));

    private static JsonNode? Json(YamlNode node) => node switch
    {
        YamlMap map => new JsonObject(map.Entries.Select(e => KeyValuePair.Create(e.Key, Json(e.Value)))),
        YamlList list => new JsonArray([.. list.Items.Select(Json)]),
        YamlScalar { IsNull: true } => null,
        YamlScalar { Plain: true, Value: "true" or "false" } flag => JsonValue.Create(flag.Value == "true"),
        YamlScalar { Plain: true } number when double.TryParse(number.Value, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && double.IsFinite(value) => JsonValue.Create(value),
        YamlScalar scalar => JsonValue.Create(scalar.Value),
        _ => throw new InvalidOperationException(),
    };
}
