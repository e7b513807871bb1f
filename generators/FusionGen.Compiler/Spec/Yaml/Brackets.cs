namespace FusionGen.Compiler.Spec.Yaml;

/// <summary>
/// Finds the bracket behind a syntax error. YamlDotNet reads a flow collection ahead of its events, so what it reports of a bracket
/// that is missing or wrong is often far from the place, or no place at all.
/// </summary>
internal static class Brackets
{
    /// <summary>The first bracket that does not match, and what is wrong with it; null where all do.</summary>
    public static (int Index, string Message)? FindMismatch(string text)
    {
        var open = new Stack<int>();
        var before = '\n';
        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            var opensValue = before is '\n' or ':' or '-' or ',' or '[' or '{' or '?';
            if (c == '#' && (i == 0 || char.IsWhiteSpace(text[i - 1])))
            {
                i = LineEnd(text, i) - 1;
                continue;
            }

            if (c is '"' or '\'' && opensValue)
                i = Math.Max(i, Closing(text, i));
            else if (c is '[' or '{' && (open.Count > 0 || opensValue))
                open.Push(i);
            else if (c is ']' or '}' && open.Count > 0 && text[open.Pop()] is var opener && (opener == '[') != (c == ']'))
                return (i, $"'{opener}' is closed by '{c}'");
            if (c == '\n' || !char.IsWhiteSpace(c))
                before = c == '\n' && open.Count > 0 ? before : c;
        }

        return open.Count == 0 ? null : (open.Last(), $"'{text[open.Last()]}' is not closed");
    }

    private static int LineEnd(string text, int index) => text.IndexOf('\n', index) is var end and >= 0 ? end : text.Length;

    private static int Closing(string text, int quote)
    {
        for (var i = quote + 1; i < text.Length; i++)
        {
            if (text[i] == '\\' && text[quote] == '"')
                i++;
            else if (text[i] == text[quote])
                return i;
        }

        return -1;
    }
}
