using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;

namespace FusionGen.Compiler.Emit;

/// <summary>What a slot in the code of a scope stands for.</summary>
/// <param name="Of">A block of memory, a parameter, or a mixture.</param>
/// <param name="Section">Whose block, where it is not that of the section which the code is for.</param>
internal readonly record struct StaticSlot(object Of, Section? Section);

/// <summary>What the code of a scope reads and writes, one slot each. Scopes whose code is the same but for the slots' numbers share it.</summary>
/// <param name="blocks">How many blocks of memory there are.</param>
internal sealed class StaticSlots(int blocks)
{
    /// <summary>Around a slot in a text: its number as a character, and what is added to it in digits.</summary>
    public const char Open = '\uE000', Close = '\uE001';

    private readonly List<StaticSlot> all = [];
    // By their numbers, the slots of the section's own blocks, plus 1: most slots are such.
    private readonly int[] own = new int[blocks];

    /// <summary>What the slots of a scope stand for; the next one begins without any.</summary>
    public StaticSlot[] Take()
    {
        StaticSlot[] taken = [.. this.all];
        this.all.Clear();
        Array.Clear(this.own, 0, this.own.Length);
        return taken;
    }

    /// <summary>Writes the slot of something, and what is added to its number.</summary>
    public void Write(CodeWriter code, object of, Section? section = null, long start = 0)
    {
        var slot = this.SlotOf(of, section);
        code.Append(Open);
        code.Append((char)('0' + slot));
        code.Append(start);
        code.Append(Close);
    }

    private int SlotOf(object of, Section? section)
    {
        if (section is null && of is StaticBlock block)
        {
            ref var known = ref this.own[block.Index];
            if (known == 0)
            {
                this.all.Add(new StaticSlot(of, section));
                known = this.all.Count;
            }
            return known - 1;
        }
        for (var slot = 0; slot < this.all.Count; slot++)
        {
            if (ReferenceEquals(this.all[slot].Of, of) && this.all[slot].Section == section)
                return slot;
        }
        this.all.Add(new StaticSlot(of, section));
        return this.all.Count - 1;
    }
}

/// <summary>The code of one scope, or of several.</summary>
/// <param name="name">Its name.</param>
/// <param name="text">The writer of one piece that its body is in.</param>
/// <param name="start">Where the body begins there.</param>
/// <param name="end">Where it ends.</param>
internal sealed class StaticMethod(string name, CodeWriter text, int start, int end)
{
    private long[] numbers = [];
    private bool[] isVarying = [];
    private int varying;

    /// <summary>Its name.</summary>
    public string Name => name;

    /// <summary>Whether there are slots whose numbers are not the same in all scopes; they become a parameter.</summary>
    public bool Varies => this.varying > 0;

    /// <summary>Whether a body in the same writer is this one.</summary>
    public bool Is(int from, int to)
    {
        if (to - from != end - start)
            return false;
        var (piece, at) = (text.Piece, start);
        while (at < end && piece[at] == piece[from + at - start])
            at++;
        return at == end;
    }

    /// <summary>Adds a scope, by the numbers of its slots.</summary>
    public void Add(long[] others)
    {
        if (this.isVarying.Length != others.Length)
            (this.numbers, this.isVarying) = (others, new bool[others.Length]);
        for (var slot = 0; slot < others.Length; slot++)
        {
            if (this.numbers[slot] == others[slot] || this.isVarying[slot])
                continue;
            this.isVarying[slot] = true;
            this.varying++;
        }
    }

    /// <summary>Writes the arguments of a call for a scope.</summary>
    public void WriteArguments(CodeWriter code, long[] of)
    {
        code.Append("(f");
        var isFirst = true;
        for (var slot = 0; slot < of.Length; slot++)
        {
            if (!this.isVarying[slot])
                continue;
            code.Append(isFirst ? ", [" : ", ");
            code.Append(of[slot]);
            isFirst = false;
        }
        code.Append(isFirst ? ");" : "]);");
    }

    /// <summary>Writes the body.</summary>
    public void Write(CodeWriter code)
    {
        var positions = new int[this.isVarying.Length];
        for (int slot = 0, position = 0; slot < positions.Length; slot++)
            positions[slot] = this.isVarying[slot] ? position++ : -1;
        var from = start;
        for (var open = Array.IndexOf(text.Piece, StaticSlots.Open, from, end - from); open >= 0; open = Array.IndexOf(text.Piece, StaticSlots.Open, from, end - from))
        {
            code.Copy(text.Piece, from, open);
            var (slot, offset) = (text.Piece[open + 1] - '0', 0L);
            for (from = open + 2; text.Piece[from] != StaticSlots.Close; from++)
                offset = (10 * offset) + text.Piece[from] - '0';
            from++;
            if (positions[slot] < 0)
            {
                code.Append(this.numbers[slot] + offset);
                continue;
            }
            code.Append("at[");
            code.Append(positions[slot]);
            code.Append(offset == 0 ? "]" : "] + ");
            if (offset > 0)
                code.Append(offset);
        }
        code.Copy(text.Piece, from, end);
    }
}
