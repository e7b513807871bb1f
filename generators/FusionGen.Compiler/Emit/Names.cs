using System.Text;

namespace FusionGen.Compiler.Emit;

/// <summary>C# identifiers out of the names of tensors, operators and values.</summary>
internal static class Names
{
    // What generated members could clash with: members of nn.Module and of FusionGen's own bases.
    private static readonly HashSet<string> Reserved = new(StringComparer.Ordinal)
    {
        "Plan", "Specs", "Table", "Layers", "Policy", "Features", "Forward", "Location", "DataType", "Temperature", "At", "Tuned", "Has", "Architecture",
    };

    /// <summary><c>blocks.0.attn.qkv.weight</c> → <c>Blocks0AttnQkvWeight</c>.</summary>
    public static string Pascal(string name)
    {
        var pascal = Identifiers.ToPascal(name);
        return pascal.Length == 0 || char.IsDigit(pascal[0]) ? "_" + pascal : pascal;
    }

    /// <summary><c>log-pi-cross</c> → <c>logPiCross</c>.</summary>
    public static string Camel(string name)
    {
        var pascal = Pascal(name);
        return char.ToLowerInvariant(pascal[0]) + pascal.Substring(1);
    }

    /// <summary>Pascal-cased names, kept apart by a number where two become one.</summary>
    public static IReadOnlyList<string> Members(IEnumerable<string> names)
    {
        var taken = new HashSet<string>(Reserved, StringComparer.Ordinal);
        return [.. names.Select(name => Unique(Pascal(name), taken))];
    }

    /// <summary>The name, with a number after it if taken; takes it.</summary>
    public static string Unique(string name, ISet<string> taken)
    {
        var unique = name;
        for (var i = 2; !taken.Add(unique); i++)
            unique = name + Text.Invariant(i);
        return unique;
    }

    /// <summary>A C# string literal.</summary>
    public static string Literal(string text)
    {
        if (text.All(c => c is >= ' ' and <= '~' and not ('"' or '\\')))
            return "\"" + text + "\"";
        var result = new StringBuilder("\"");
        foreach (var c in text)
        {
            result.Append(c switch
            {
                '"' => "\\\"",
                '\\' => "\\\\",
                < ' ' or > '~' => "\\u" + ((int)c).ToString("x4", System.Globalization.CultureInfo.InvariantCulture),
                _ => c.ToString(),
            });
        }
        return result.Append('"').ToString();
    }

    /// <summary>A C# double literal.</summary>
    public static string Literal(double value)
    {
        var text = Text.Invariant(value);
        return text.IndexOfAny(['.', 'E', 'N', 'I']) >= 0 ? text : text + ".0";
    }
}
