namespace FusionGen.Compiler.Problems;

/// <summary>Problems found so far.</summary>
internal sealed class ProblemList
{
    /// <summary>Problems of one file shown at once.</summary>
    public const int Cap = 25;

    private readonly HashSet<Problem> problems = [];

    public bool HasErrors { get; private set; }

    public void Add(Problem problem)
    {
        this.problems.Add(problem);
        this.HasErrors |= problem.Kind.Severity == Severity.Error;
    }

    /// <summary>In the order of the text, at most <see cref="Cap"/> (errors before others), then a note on how many more there are.</summary>
    public EquatableArray<Problem> ToArray(Spec.SpecPositions positions)
    {
        var sorted = InOrder(this.problems);
        if (sorted.Count <= Cap)
            return sorted.ToEquatableArray();
        var shown = InOrder(sorted.OrderByDescending(p => p.Kind.Severity).Take(Cap));
        var left = (sorted.Count - Cap).ToString(System.Globalization.CultureInfo.InvariantCulture);
        return shown.Append(ProblemCatalogue.More.At(shown[Cap - 1].Node, left)).ToEquatableArray();

        List<Problem> InOrder(IEnumerable<Problem> problems) =>
            [.. problems.OrderBy(p => positions.Find(p.Node).Start).ThenBy(p => p.Kind.Id, StringComparer.Ordinal)];
    }
}
