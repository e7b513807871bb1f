using System.Globalization;
using System.Text;
using FusionGen.Checkpoints;
using FusionGen.Cli.Output;
using FusionGen.Reporting;

namespace FusionGen.Cli.Runs;

/// <summary>Networks side by side, each under every seed: a row of a table each, mean ± standard deviation.</summary>
internal sealed class Comparison(IReadOnlyList<Trial> parts)
{
    private readonly List<Outcome?> outcomes = [.. parts.Select(part => part.Done()?.Outcome)];

    /// <summary>The outcomes so far of each row, in the order of the parts.</summary>
    public IReadOnlyList<IReadOnlyList<Outcome>> Rows =>
        [.. parts.Zip(this.outcomes).Where(pair => pair.Second is not null).GroupBy(pair => pair.First.Row, pair => pair.Second!, StringComparer.Ordinal).Select(row => row.ToList())];

    /// <summary>The outcomes of a seed, in the order of its parts.</summary>
    public IReadOnlyList<Outcome> Of(long seed) => [.. parts.Zip(this.outcomes).Where(pair => pair.First.Seed == seed && pair.Second is not null).Select(pair => pair.Second!)];

    /// <summary>Runs what is not done yet; a part that diverges is left out of the table and does not keep the others from theirs.</summary>
    /// <param name="terminal">Hears of every part.</param>
    /// <param name="finished">Called after each.</param>
    /// <returns>What diverged, and why.</returns>
    public IReadOnlyList<string> RunAll(Terminal terminal, Action finished)
    {
        var diverged = new List<string>();
        this.Run(terminal, finished, (part, error) => diverged.Add(string.Create(CultureInfo.InvariantCulture, $"{part.Row}, seed {part.Seed}: {error.Message}")));
        return diverged;
    }

    /// <summary>Runs what is not done yet.</summary>
    /// <param name="terminal">Hears of every part.</param>
    /// <param name="finished">Called after each.</param>
    /// <param name="diverged">Told of a part that diverges; it ends the run if null.</param>
    public void Run(Terminal terminal, Action finished, Action<Trial, FusionException>? diverged = null)
    {
        var seconds = parts.Select(part => part.Done()?.Seconds).ToArray();
        for (var i = 0; i < parts.Count; i++)
        {
            var isNew = seconds[i] is null;
            if (isNew)
                terminal.Note(string.Create(CultureInfo.InvariantCulture, $"part {i + 1} of {parts.Count}: seed {parts[i].Seed}, {parts[i].Row}{Left(seconds, i)}"));
            try
            {
                (this.outcomes[i], seconds[i]) = parts[i].Take();
            }
            catch (FusionException error) when (error.Code == ExitCode.Diverged && diverged is not null)
            {
                terminal.Note(string.Create(CultureInfo.InvariantCulture, $"seed {parts[i].Seed}, {parts[i].Row}: diverged"));
                diverged(parts[i], error);
                seconds[i] = 0;
                continue;
            }
            terminal.Note(string.Create(CultureInfo.InvariantCulture, $"seed {parts[i].Seed}, {parts[i].Row}: {Numbers.Percent(this.outcomes[i]!.Top1)}"));
            if (isNew)
                finished();
        }
    }

    /// <summary>The table on the terminal.</summary>
    public void Write(Terminal terminal) => Write(terminal, this.Rows);

    /// <summary>A table on the terminal.</summary>
    /// <param name="terminal">Where to.</param>
    /// <param name="rows">For each network its outcomes.</param>
    public static void Write(Terminal terminal, IReadOnlyList<IReadOnlyList<Outcome>> rows)
    {
        var (columns, cells) = Cells(rows);
        var table = Tables.New(columns);
        foreach (var row in cells)
            table.Row(row);
        terminal.Table(table);
    }

    /// <summary>The table as <c>summary.csv</c> (a line per network and seed), <c>summary.md</c> and <c>report.html</c>.</summary>
    public void Write(string folder, string title)
    {
        var csv = new StringBuilder("network,seed,tuned_parameters,tuned_share,val_top1,test_top1,seconds,policy\n");
        foreach (var (part, outcome) in parts.Zip(this.outcomes).Where(pair => pair.Second is not null))
            csv.Append(CultureInfo.InvariantCulture, $"\"{part.Row}\",{part.Seed},{outcome!.Tuned},{outcome.TunedShare:0.######},{outcome.Validation:0.######},{(outcome.Test is { } test ? test.Top1.ToString("0.######", CultureInfo.InvariantCulture) : "")},{outcome.Seconds:0.0},{string.Join(' ', outcome.Policy.Select(choice => choice.Length == 0 ? "-" : choice))}\n");
        AtomicFile.WriteText(Path.Combine(folder, "summary.csv"), csv.ToString());
        var (columns, cells) = Cells(this.Rows);
        string[] names = [.. columns.Select(column => column.TrimStart('>'))];
        string Line(IEnumerable<string> row) => $"| {string.Join(" | ", row)} |\n";
        AtomicFile.WriteText(Path.Combine(folder, "summary.md"), $"{title}\n\n{Line(names)}{Line(columns.Select(column => column.StartsWith('>') ? "--:" : "---"))}{string.Concat(cells.Select(Line))}");
        HtmlReport.WriteComparison(folder, title, names, cells, [.. this.Rows.Select(row => Bar(row))]);
    }

    /// <summary>A row of a bar plot: accuracy that counts.</summary>
    public static Bar Bar(IReadOnlyList<Outcome> row) => new(row[0].Name, row.Average(outcome => outcome.Top1), Numbers.Deviation([.. row.Select(outcome => outcome.Top1)]));

    private static (string[] Columns, IReadOnlyList<string[]> Cells) Cells(IReadOnlyList<IReadOnlyList<Outcome>> rows)
    {
        var hasTest = rows.Any(row => row[0].Test is not null);
        return (
            ["network", ">tuned", ">tuned share", ">validation", hasTest ? ">test" : ">", ">time"],
            [.. rows.Select(row => new[]
            {
                row[0].Name,
                Span([.. row.Select(outcome => (double)outcome.Tuned)], value => Numbers.Text((long)value)),
                Span([.. row.Select(outcome => outcome.TunedShare)], Numbers.Percent),
                Numbers.PercentOf([.. row.Select(outcome => outcome.Validation)]),
                row.All(outcome => outcome.Test is not null) ? Numbers.PercentOf([.. row.Select(outcome => outcome.Test!.Top1)]) : "",
                Numbers.Duration(row.Average(outcome => outcome.Seconds)),
            })]);
    }

    /// <summary>One value where all are equal; seeds may find policies of different size.</summary>
    private static string Span(IReadOnlyList<double> values, Func<double, string> text) => values.Distinct().Count() switch
    {
        1 => text(values[0]),
        <= 3 => string.Join(" / ", values.Distinct().Select(text)),
        _ => $"{text(values.Min())} – {text(values.Max())}",
    };

    /// <summary>Time left: a part is expected to take as long as others of its row did, or else as others at all.</summary>
    private string Left(double?[] seconds, int from)
    {
        var done = parts.Zip(seconds).Where(pair => pair.Second is not null).ToList();
        if (done.Count == 0)
            return "";
        double Expected(Trial part)
        {
            var alike = done.Where(pair => pair.First.Row == part.Row).ToList();
            return (alike.Count > 0 ? alike : done).Average(pair => pair.Second!.Value);
        }
        return $", about {Numbers.Duration(Enumerable.Range(from, parts.Count - from).Where(i => seconds[i] is null).Sum(i => Expected(parts[i])))} left";
    }
}
