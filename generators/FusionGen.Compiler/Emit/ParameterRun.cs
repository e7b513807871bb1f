using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Emit;

/// <summary>Parameters of a table that come several times in a row, with nothing but a number in their names counting up: those of layers that are alike.</summary>
/// <param name="Start">The first one's position.</param>
/// <param name="Length">How many recur.</param>
/// <param name="Times">How often they come; 1 for parameters that do not recur.</param>
/// <param name="First">The number of the first time.</param>
/// <param name="Places">Which part of each one's name, between dots, is the number.</param>
internal sealed record ParameterRun(int Start, int Length, int Times, int First, IReadOnlyList<int> Places)
{
    /// <summary>A table as runs, one after another.</summary>
    public static IEnumerable<ParameterRun> Of(IReadOnlyList<ParameterOp> table)
    {
        for (var start = 0; start < table.Count;)
        {
            var run = Longest(table, start) ?? new ParameterRun(start, 1, 1, 0, []);
            yield return run;
            start += run.Length * run.Times;
        }
    }

    private static ParameterRun? Longest(IReadOnlyList<ParameterOp> table, int start)
    {
        for (var length = 1; start + (2 * length) <= table.Count; length++)
        {
            if (Place(table[start], table[start + length]) is not { } first)
                continue;
            var (places, end) = (new List<int>(), start);
            for (; end + length < table.Count && Place(table[end], table[end + length]) is { } next; end++)
            {
                if (end >= start + length)
                    continue;
                if (next.Number != first.Number)
                    break;
                places.Add(next.Part);
            }
            if (places.Count == length)
                return new ParameterRun(start, length, 1 + ((end - start) / length), first.Number, places);
        }
        return null;
    }

    /// <summary>The part of two names that is a number, and one more in the second; null where anything else differs.</summary>
    private static (int Part, int Number)? Place(ParameterOp one, ParameterOp other)
    {
        if (one.Role != other.Role || one.Shape != other.Shape || one.Init != other.Init)
            return null;
        var (a, b, differ) = (one.Name, other.Name, 0);
        while (differ < a.Length && differ < b.Length && a[differ] == b[differ])
            differ++;
        var start = differ == 0 ? 0 : a.LastIndexOf('.', differ - 1) + 1;
        var (end, otherEnd) = (End(a, start), End(b, start));
        if (a.Length - end != b.Length - otherEnd || string.CompareOrdinal(a, end, b, otherEnd, a.Length - end) != 0)
            return null;
        if (Number(a, start, end) is not { } number || Number(b, start, otherEnd) != number + 1)
            return null;
        var part = 0;
        for (var i = 0; i < start; i++)
            part += a[i] == '.' ? 1 : 0;
        return (part, number);
    }

    private static int End(string name, int start) => name.IndexOf('.', start) is >= 0 and var dot ? dot : name.Length;

    /// <summary>The number between two places of a name; null for anything else.</summary>
    private static int? Number(string name, int start, int end)
    {
        var number = 0;
        for (var i = start; i < end; i++)
        {
            if (name[i] is < '0' or > '9' || number > int.MaxValue / 10 - 1)
                return null;
            number = (10 * number) + name[i] - '0';
        }
        return end > start ? number : null;
    }
}
