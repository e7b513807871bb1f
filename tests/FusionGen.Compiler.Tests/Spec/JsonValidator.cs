using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace FusionGen.Compiler.Tests.Spec;

/// <summary>The part of JSON schema draft-07 that our schema uses; an unknown keyword is an error, so that none goes unchecked.</summary>
internal static class JsonValidator
{
    public static IReadOnlyList<string> Validate(JsonNode schema, JsonNode? value)
    {
        var errors = new List<string>();
        Check(schema.AsObject(), value, "$", errors);
        return errors;
    }

    private static void Check(JsonObject schema, JsonNode? value, string path, List<string> errors)
    {
        foreach (var (keyword, rule) in schema)
        {
            var holds = keyword switch
            {
                "$schema" or "title" or "description" or "default" or "required" or "properties" or "items" or "additionalProperties" or "propertyNames" => true,
                "type" => (rule is JsonArray types ? types.Select(t => (string)t!) : [(string)rule!]).Any(t => IsType(value, t)),
                "const" => JsonNode.DeepEquals(Normal(rule), Normal(value)),
                "enum" => rule!.AsArray().Any(e => JsonNode.DeepEquals(e, value)),
                "pattern" => value is not JsonValue v || v.GetValueKind() != JsonValueKind.String || Regex.IsMatch((string)value!, (string)rule!),
                "minimum" => Number(value) is not { } n || n >= (double)rule!,
                "exclusiveMinimum" => Number(value) is not { } n || n > (double)rule!,
                "maximum" => Number(value) is not { } n || n <= (double)rule!,
                "minItems" => value is not JsonArray a || a.Count >= (int)rule!,
                "maxItems" => value is not JsonArray a || a.Count <= (int)rule!,
                "minProperties" => value is not JsonObject o || o.Count >= (int)rule!,
                "maxProperties" => value is not JsonObject o || o.Count <= (int)rule!,
                "anyOf" => rule!.AsArray().Any(s => Validate(s!, value).Count == 0),
                _ => throw new NotSupportedException(keyword),
            };
            if (!holds)
                errors.Add($"{path}: {keyword} {rule?.ToJsonString()}");
        }

        if (value is JsonArray items && schema["items"] is JsonObject item)
        {
            foreach (var (element, i) in items.Select((e, i) => (e, i)))
                Check(item, element, $"{path}[{i}]", errors);
        }

        if (value is JsonObject map)
            CheckMembers(schema, map, path, errors);
    }

    private static void CheckMembers(JsonObject schema, JsonObject map, string path, List<string> errors)
    {
        foreach (var name in schema["required"]?.AsArray().Select(r => (string)r!).Where(r => !map.ContainsKey(r)) ?? [])
            errors.Add($"{path}: {name} is missing");
        foreach (var (name, member) in map)
        {
            if (schema["propertyNames"] is JsonObject names)
                Check(names, JsonValue.Create(name), $"{path}.{name}", errors);
            if (schema["properties"]?[name] is JsonObject known)
                Check(known, member, $"{path}.{name}", errors);
            else if (schema["additionalProperties"] is JsonObject other)
                Check(other, member, $"{path}.{name}", errors);
            else if (schema["additionalProperties"] is JsonValue)
                errors.Add($"{path}: {name} is unknown");
        }
    }

    private static bool IsType(JsonNode? value, string type) => type switch
    {
        "null" => value is null,
        "object" => value is JsonObject,
        "array" => value is JsonArray,
        "string" => value?.GetValueKind() == JsonValueKind.String,
        "boolean" => value?.GetValueKind() is JsonValueKind.True or JsonValueKind.False,
        "number" => Number(value) is not null,
        "integer" => Number(value) is { } n && n == Math.Floor(n),
        _ => throw new NotSupportedException(type),
    };

    private static double? Number(JsonNode? value) => value?.GetValueKind() == JsonValueKind.Number ? double.Parse(value.ToJsonString(), CultureInfo.InvariantCulture) : null;

    private static JsonNode? Normal(JsonNode? value) => Number(value) is { } n ? JsonValue.Create(n) : value;
}
