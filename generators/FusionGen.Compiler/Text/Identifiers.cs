namespace FusionGen.Compiler;

/// <summary>Names that are legal in generated C#.</summary>
public static class Identifiers
{
    private static readonly HashSet<string> Keywords = new(StringComparer.Ordinal)
    {
        "abstract", "as", "base", "bool", "break", "byte", "case", "catch", "char", "checked", "class", "const", "continue", "decimal",
        "default", "delegate", "do", "double", "else", "enum", "event", "explicit", "extern", "false", "finally", "fixed", "float", "for",
        "foreach", "goto", "if", "implicit", "in", "int", "interface", "internal", "is", "lock", "long", "namespace", "new", "null", "object",
        "operator", "out", "override", "params", "private", "protected", "public", "readonly", "ref", "return", "sbyte", "sealed", "short",
        "sizeof", "stackalloc", "static", "string", "struct", "switch", "this", "throw", "true", "try", "typeof", "uint", "ulong",
        "unchecked", "unsafe", "ushort", "using", "virtual", "void", "volatile", "while",
    };

    /// <summary>Whether a word is a C# keyword and so no name.</summary>
    public static bool IsKeyword(string word) => Keywords.Contains(word);

    /// <summary>Whether a word is an ASCII C# identifier that starts with a capital.</summary>
    public static bool IsPascal(string word) => word.Length > 0 && word[0] is >= 'A' and <= 'Z' && word.All(IsPart);

    /// <summary>Whether a dotted name is a legal C# namespace in ASCII.</summary>
    public static bool IsNamespace(string name) => name.Length > 0 && name.Split('.').All(part =>
        part.Length > 0 && !(part[0] is >= '0' and <= '9') && part.All(IsPart) && !IsKeyword(part));

    /// <summary><c>cross-attention</c> → <c>CrossAttention</c>; any text in PascalCase; may be empty or start with a digit.</summary>
    public static string ToPascal(string text)
    {
        var (result, length, start) = (new char[text.Length], 0, true);
        foreach (var c in text)
        {
            if (!IsPart(c) || c == '_')
            {
                start = true;
                continue;
            }

            result[length++] = start ? char.ToUpperInvariant(c) : c;
            start = false;
        }

        return new string(result, 0, length);
    }

    private static bool IsPart(char c) => c is (>= 'a' and <= 'z') or (>= 'A' and <= 'Z') or (>= '0' and <= '9') or '_';
}
