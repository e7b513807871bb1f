using FusionGen.Cli.Output;

namespace FusionGen.Cli.Runs;

/// <summary>Outcomes side by side.</summary>
internal static class OutcomeTable
{
    /// <summary>One row per network.</summary>
    /// <param name="terminal">Where to.</param>
    /// <param name="rows">For each network its outcomes under every seed.</param>
    public static void Write(Terminal terminal, IReadOnlyList<IReadOnlyList<Outcome>> rows)
    {
        var hasTest = rows[0][0].Test is not null;
        var table = Tables.New("network", ">tuned", ">tuned share", ">validation", hasTest ? ">test" : "", ">time");
        foreach (var outcomes in rows)
        {
            table.Row(
                outcomes[0].Name,
                Span(outcomes.Select(outcome => Numbers.Text(outcome.Tuned))),
                Span(outcomes.Select(outcome => Numbers.Percent(outcome.TunedShare))),
                Numbers.PercentOf([.. outcomes.Select(outcome => outcome.Validation)]),
                hasTest ? Numbers.PercentOf([.. outcomes.Select(outcome => outcome.Test!.Top1)]) : "",
                Numbers.Duration(outcomes.Average(outcome => outcome.Seconds)));
        }
        terminal.Table(table);
    }

    /// <summary>One value where all are equal; seeds may find policies of different size.</summary>
    private static string Span(IEnumerable<string> values) => string.Join(" / ", values.Distinct(StringComparer.Ordinal));
}
