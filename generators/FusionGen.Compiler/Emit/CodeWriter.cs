using System.Runtime.CompilerServices;
using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Emit;

/// <summary>Indented text with <c>\n</c> only; takes strings and whole numbers alone, so that nothing is ever formatted by a culture. Interpolated text goes straight into it.</summary>
/// <param name="depth">How deep its lines are indented.</param>
/// <param name="onePiece">Where its text goes that stays in one piece, which may grow, for those who look at it again (<see cref="Piece"/>); null for text in pieces.</param>
internal sealed class CodeWriter(int depth = 0, char[]? onePiece = null)
{
    // Characters of the first piece; each is twice as long as the one before it, up to the longest.
    private const int FirstPiece = 1 << 10, LongestPiece = 1 << 13;
    private readonly List<ArraySegment<char>> pieces = [];
    private readonly char[] digits = new char[20];
    private readonly int outer = depth;
    private readonly bool isOnePiece = onePiece is not null;
    private char[] text = onePiece ?? new char[FirstPiece];
    private int start;
    private int length;
    private int depth = depth;
    private bool isLineEmpty = true;

    /// <summary>How deep the next line is indented.</summary>
    public int Depth => this.depth;

    /// <summary>What was written, up to <see cref="Position"/>.</summary>
    public char[] Piece => this.text;

    /// <summary>Where in its piece the next character goes.</summary>
    public int Position => this.length;

    /// <summary>An empty line, or the end of one.</summary>
    public void Line() => this.End();

    /// <summary>A line, or lines: each is indented, blank ones are not padded.</summary>
    public void Line(string line)
    {
        this.Lines(line, 0, line.Length);
        this.End();
    }

    /// <inheritdoc cref="Line(string)"/>
    public void Line([InterpolatedStringHandlerArgument("")] ref Interpolated line) => this.End();

    /// <summary>Part of a line: no end of one is in it.</summary>
    public void Append(string part)
    {
        if (part.Length == 0)
            return;
        this.Indent();
        this.Copy(part, 0, part.Length);
    }

    /// <summary>Part of a text of lines.</summary>
    public void Lines(string text, int start, int end)
    {
        while (start < end)
        {
            var line = text.IndexOf('\n', start, end - start);
            var next = line < 0 ? end : line;
            if (next > start)
            {
                this.Indent();
                this.Copy(text, start, next);
            }
            if (line < 0)
                return;
            this.End();
            start = next + 1;
        }
    }

    /// <summary>The rest of a line, and whole lines, as they are.</summary>
    public void Lines(Code code)
    {
        this.EndPiece();
        this.pieces.AddRange(code.Pieces);
        this.isLineEmpty = true;
    }

    /// <summary>A character of a line.</summary>
    public void Append(char part)
    {
        this.Indent();
        this.Put(part);
    }

    /// <summary>A shape, as part of a line.</summary>
    public void Append(Shape shape)
    {
        this.Append('(');
        for (var axis = 0; axis < shape.Rank; axis++)
        {
            if (axis > 0)
                this.Append(", ");
            this.Append(shape[axis].ToString());
        }
        this.Append(')');
    }

    /// <summary>A whole number, as part of a line.</summary>
    public void Append(long number)
    {
        if (number < 0)
            this.Append('-');
        var start = this.digits.Length;
        do
        {
            this.digits[--start] = (char)('0' + Math.Abs(number % 10));
            number /= 10;
        }
        while (number != 0);
        this.Indent();
        for (; start < this.digits.Length; start++)
            this.Put(this.digits[start]);
    }

    /// <summary>A header and a brace that closes with the result's disposal.</summary>
    public Closer Block(string header)
    {
        this.Line(header);
        return this.Open("{", "}");
    }

    /// <inheritdoc cref="Block(string)"/>
    public Closer Block(string header, string open, string close)
    {
        this.Line(header);
        return this.Open(open, close);
    }

    /// <inheritdoc cref="Block(string)"/>
    public Closer Block([InterpolatedStringHandlerArgument("")] ref Interpolated header)
    {
        this.End();
        return this.Open("{", "}");
    }

    /// <summary>XML documentation.</summary>
    public void Doc(string summary)
    {
        this.Append("/// <summary>");
        this.Append(Escape(summary));
        this.Line("</summary>");
    }

    /// <summary>Takes back the lines from a position of its piece on.</summary>
    public void TakeBack(int position) => this.length = position;

    /// <summary>What was written.</summary>
    public Code ToCode()
    {
        if (this.depth != this.outer)
            throw new InvalidOperationException("unbalanced blocks");
        this.EndPiece();
        return new Code(this.pieces);
    }

    /// <summary>Text as XML content.</summary>
    public static string Escape(string text) => text.Replace("&", "&amp;").Replace("<", "&lt;").Replace(">", "&gt;").Replace("\r", "").Replace("\n", " ");

    private Closer Open(string open, string close)
    {
        this.Line(open);
        this.depth++;
        return new Closer(this, close);
    }

    private void End()
    {
        this.Put('\n');
        this.isLineEmpty = true;
    }

    private void Put(char c)
    {
        if (this.length == this.text.Length)
            this.NextPiece();
        this.text[this.length++] = c;
    }

    /// <summary>Part of a text whose lines are indented already.</summary>
    public void Copy(char[] of, int start, int end)
    {
        if (start == end)
            return;
        this.isLineEmpty = of[end - 1] == '\n';
        for (var count = 0; start < end; start += count)
        {
            count = this.Take(end - start, out var at);
            Array.Copy(of, start, this.text, at, count);
        }
    }

    private void Copy(string of, int start, int end)
    {
        for (var count = 0; start < end; start += count)
        {
            count = this.Take(end - start, out var at);
            of.CopyTo(start, this.text, at, count);
        }
    }

    /// <summary>Takes room for so many characters, or for as many as there is.</summary>
    private int Take(int wanted, out int at)
    {
        if (this.length == this.text.Length)
            this.NextPiece();
        at = this.length;
        var count = Math.Min(wanted, this.text.Length - at);
        this.length += count;
        return count;
    }

    private void NextPiece()
    {
        if (this.isOnePiece)
        {
            Array.Resize(ref this.text, 2 * this.text.Length);
            return;
        }
        this.EndPiece();
        (this.text, this.start, this.length) = (new char[Math.Min(2 * this.text.Length, LongestPiece)], 0, 0);
    }

    private void EndPiece()
    {
        if (this.length > this.start)
            this.pieces.Add(new ArraySegment<char>(this.text, this.start, this.length - this.start));
        this.start = this.length;
    }

    private void Indent()
    {
        if (!this.isLineEmpty)
            return;
        this.isLineEmpty = false;
        for (var i = 0; i < this.depth; i++)
            this.Copy("    ", 0, 4);
    }

    /// <summary>Closes a block.</summary>
    public readonly struct Closer(CodeWriter writer, string close) : IDisposable
    {
        public void Dispose()
        {
            writer.depth--;
            writer.Line(close);
        }
    }

    /// <summary>Interpolated text on its way into a writer.</summary>
    [InterpolatedStringHandler]
    public readonly ref struct Interpolated
    {
        private readonly CodeWriter writer;

        public Interpolated(int literals, int holes, CodeWriter writer) => this.writer = writer;

        public void AppendLiteral(string text) => this.writer.Lines(text, 0, text.Length);

        public void AppendFormatted(string? text) => this.writer.Lines(text ?? "", 0, text?.Length ?? 0);

        public void AppendFormatted(long number) => this.writer.Append(number);

        public void AppendFormatted(Enum name) => this.writer.Append(name.ToString());

        public void AppendFormatted(Shape shape) => this.writer.Append(shape);
    }
}
