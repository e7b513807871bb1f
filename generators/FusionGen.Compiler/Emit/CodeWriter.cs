using System.Text;

namespace FusionGen.Compiler.Emit;

/// <summary>Indented text with <c>\n</c> only; takes strings alone, so that no number is ever formatted by a culture.</summary>
internal sealed class CodeWriter
{
    private readonly StringBuilder text = new();
    private int depth;

    /// <summary>A line, or lines: each is indented, blank ones are not padded.</summary>
    public void Line(string line = "")
    {
        for (var start = 0; start <= line.Length;)
        {
            var end = line.IndexOf('\n', start);
            end = end < 0 ? line.Length : end;
            if (end > start)
                this.text.Append(' ', this.depth * 4).Append(line, start, end - start);
            this.text.Append('\n');
            start = end + 1;
        }
    }

    /// <summary>A header and a brace that closes with the result's disposal.</summary>
    public IDisposable Block(string header, string close = "}", string open = "{")
    {
        this.Line(header);
        this.Line(open);
        this.depth++;
        return new Closer(this, close);
    }

    /// <summary>XML documentation.</summary>
    public void Doc(string summary) => this.Line($"/// <summary>{Escape(summary)}</summary>");

    /// <inheritdoc/>
    public override string ToString() =>
        this.depth == 0 ? this.text.ToString() : throw new InvalidOperationException("unbalanced blocks");

    /// <summary>Text as XML content.</summary>
    public static string Escape(string text) => text.Replace("&", "&amp;").Replace("<", "&lt;").Replace(">", "&gt;").Replace("\r", "").Replace("\n", " ");

    private sealed class Closer(CodeWriter writer, string close) : IDisposable
    {
        public void Dispose()
        {
            writer.depth--;
            writer.Line(close);
        }
    }
}
