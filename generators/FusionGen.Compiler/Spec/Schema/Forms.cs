using System.Text.RegularExpressions;
using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec.Yaml;

namespace FusionGen.Compiler.Spec.Schema;

/// <summary>Texts of a spec that must have a form.</summary>
internal static class Forms
{
    /// <summary>Form of <c>data</c>.</summary>
    public const string DataPattern = "^(sprites:(location|orientation)(\\?[^ ]+)?|(folder|csv|vtab|fgvc|tfds):.+)$";

    /// <summary>Why a text cannot name a model.</summary>
    public static Problem? Model(YamlScalar scalar) => Identifiers.IsPascal(scalar.Value)
        ? null
        : ProblemCatalogue.ModelName.At(scalar.Path, scalar.Value, DidYouMean(ToName(scalar.Value)));

    /// <summary>Why a text is no namespace.</summary>
    public static Problem? Namespace(YamlScalar scalar)
    {
        if (Identifiers.IsNamespace(scalar.Value))
            return null;
        var parts = scalar.Value.Split('.', '/', ':').Select(p => Identifiers.IsNamespace(p) ? p : ToName(p)).Where(p => p.Length > 0);
        return ProblemCatalogue.NamespaceName.At(scalar.Path, scalar.Value, DidYouMean(string.Join(".", parts)));
    }

    /// <summary>Why a text names no data.</summary>
    public static Problem? Data(YamlScalar scalar)
    {
        if (Regex.IsMatch(scalar.Value, DataPattern, RegexOptions.CultureInvariant))
            return null;
        var known = new[] { "sprites:location", "sprites:orientation" };
        var near = Nearest.Suggest(scalar.Value, known);
        if (near.Length == 0 && scalar.Value.IndexOfAny(['/', '\\']) >= 0)
            near = $" Did you mean '{(scalar.Value.EndsWith(".csv", StringComparison.OrdinalIgnoreCase) ? "csv" : "folder")}:{scalar.Value}'?";
        return ProblemCatalogue.Choice.At(scalar.Path, "data source", scalar.Value, near, Words.Comma(known.Concat(["folder:PATH", "csv:PATH", "vtab:PATH", "fgvc:PATH", "tfds:PATH"])));
    }

    private static string ToName(string text) => Identifiers.ToPascal(text.TrimStart('0', '1', '2', '3', '4', '5', '6', '7', '8', '9'));

    private static string DidYouMean(string text) => text.Length == 0 ? "" : $" Did you mean '{text}'?";
}
