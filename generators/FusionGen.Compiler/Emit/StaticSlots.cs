using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;

namespace FusionGen.Compiler.Emit;

/// <summary>What the code of a scope reads and writes, one slot each: blocks of memory, parameters, mixtures. Scopes whose code is the same but for the slots' numbers share it.</summary>
internal sealed class StaticSlots
{
    /// <summary>Around a slot in a text: its number as a character, and what is added to it in digits.</summary>
    public const char Open = '\uE000', Close = '\uE001';

    private readonly List<(object Of, Section? Section)> all = [];
    private readonly Dictionary<StaticBlock, int> ownBlocks = [];

    /// <summary>What the slots stand for.</summary>
    public IReadOnlyList<(object Of, Section? Section)> All => this.all;

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
        // Most are blocks of the section itself.
        var ownBlock = section is null ? of as StaticBlock : null;
        if (ownBlock is not null && this.ownBlocks.TryGetValue(ownBlock, out var known))
            return known;
        for (var slot = 0; slot < this.all.Count && ownBlock is null; slot++)
        {
            if (ReferenceEquals(this.all[slot].Of, of) && this.all[slot].Section == section)
                return slot;
        }
        if (ownBlock is not null)
            this.ownBlocks.Add(ownBlock, this.all.Count);
        this.all.Add((of, section));
        return this.all.Count - 1;
    }
}

/// <summary>The code of one scope, or of several.</summary>
internal sealed class StaticMethod(string name, string text)
{
    private long[]? numbers;

    /// <summary>Its name.</summary>
    public string Name => name;

    /// <summary>Slots whose numbers are not the same in all scopes; they become a parameter.</summary>
    public SortedSet<int> Varying { get; } = [];

    /// <summary>Adds a scope, by the numbers of its slots.</summary>
    public void Add(long[] others)
    {
        this.numbers ??= others;
        for (var slot = 0; slot < others.Length; slot++)
        {
            if (this.numbers[slot] != others[slot])
                this.Varying.Add(slot);
        }
    }

    /// <summary>Writes the arguments of a call for a scope.</summary>
    public void WriteArguments(CodeWriter code, long[] of)
    {
        code.Append("(f");
        var isFirst = true;
        foreach (var slot in this.Varying)
        {
            code.Append(isFirst ? ", [" : ", ");
            code.Append(of[slot]);
            isFirst = false;
        }
        code.Append(isFirst ? ");" : "]);");
    }

    /// <summary>Writes the body.</summary>
    public void Write(CodeWriter code)
    {
        var positions = this.Varying.ToList();
        var start = 0;
        for (var open = text.IndexOf(StaticSlots.Open); open >= 0; open = text.IndexOf(StaticSlots.Open, start))
        {
            code.Lines(text, start, open);
            var (slot, offset) = (text[open + 1] - '0', 0L);
            for (start = open + 2; text[start] != StaticSlots.Close; start++)
                offset = (10 * offset) + text[start] - '0';
            start++;
            var position = positions.IndexOf(slot);
            if (position < 0)
            {
                code.Append(this.numbers![slot] + offset);
                continue;
            }
            code.Append("at[");
            code.Append(position);
            code.Append(offset == 0 ? "]" : "] + ");
            if (offset > 0)
                code.Append(offset);
        }
        code.Lines(text, start, text.Length);
    }
}
