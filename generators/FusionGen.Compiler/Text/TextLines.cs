using FusionGen.Compiler.Problems;

namespace FusionGen.Compiler;

/// <summary>Lines and columns of a text, counted as Roslyn counts them.</summary>
internal sealed class TextLines
{
    private readonly string text;
    private readonly List<int> starts = [0];

    public TextLines(string text)
    {
        this.text = text;
        for (var i = 0; i < text.Length; i++)
        {
            if (IsBreak(text[i]) && !(text[i] == '\r' && i + 1 < text.Length && text[i + 1] == '\n'))
                this.starts.Add(i + 1);
        }
    }

    /// <summary>The range of [start, end), cut at the end of its first line: a squiggle over half a file helps nobody.</summary>
    public TextRange Range(int start, int end)
    {
        start = Math.Min(Math.Max(start, 0), this.text.Length);
        end = Math.Min(Math.Max(end, start), this.text.Length);
        var line = this.LineOf(start);
        while (end > start && (this.LineOf(end) > line || IsBreak(this.text[end - 1])))
            end = this.LineOf(end) > line ? Math.Max(start, this.starts[line + 1] - 1) : end - 1;
        var column = start - this.starts[line];
        return new TextRange(start, end - start, line, column, line, column + end - start);
    }

    private static bool IsBreak(char c) => c is '\n' or '\r' or '\u0085' or '\u2028' or '\u2029';

    private int LineOf(int index)
    {
        var found = this.starts.BinarySearch(index);
        return found >= 0 ? found : ~found - 1;
    }
}
