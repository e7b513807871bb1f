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
        var names = table.Select(parameter => parameter.Name.Split('.')).ToList();
        for (var start = 0; start < table.Count;)
        {
            var run = Longest(table, names, start) ?? new ParameterRun(start, 1, 1, 0, []);
            yield return run;
            start += run.Length * run.Times;
        }
    }

    private static ParameterRun? Longest(IReadOnlyList<ParameterOp> table, List<string[]> names, int start)
    {
        for (var length = 1; start + (2 * length) <= table.Count; length++)
        {
            if (Place(table, names, start, start + length) is not { } place)
                continue;
            var (first, places, end) = (int.Parse(names[start][place], System.Globalization.CultureInfo.InvariantCulture), new List<int>(), start);
            for (; end + length < table.Count && Place(table, names, end, end + length) is { } next; end++)
            {
                if (end >= start + length)
                    continue;
                if (names[end][next] != names[start][place])
                    break;
                places.Add(next);
            }
            if (places.Count == length)
                return new ParameterRun(start, length, 1 + ((end - start) / length), first, places);
        }
        return null;
    }

    /// <summary>The part of two names that is a number, and one more in the second; null where anything else differs.</summary>
    private static int? Place(IReadOnlyList<ParameterOp> table, List<string[]> names, int one, int other)
    {
        if (table[one].Role != table[other].Role || table[one].Shape != table[other].Shape || table[one].Init != table[other].Init || names[one].Length != names[other].Length)
            return null;
        int? place = null;
        for (var part = 0; part < names[one].Length; part++)
        {
            if (names[one][part] == names[other][part])
                continue;
            if (place is not null || !int.TryParse(names[one][part], out var number) || !int.TryParse(names[other][part], out var next) || next != number + 1)
                return null;
            place = part;
        }
        return place;
    }
}
