using System.Reflection;
using System.Text;
using System.Text.RegularExpressions;
using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Tests.Spec;

namespace FusionGen.Compiler.Tests.Problems;

internal sealed partial class CatalogueTests
{
    // Not triggered by one malformed file: too large a file, overrides, several files of a project, faults of the compiler itself, and what no
    // backbone of today can get wrong. Their tests stand beside what reports them.
    private static readonly string[] Elsewhere = ["FG0009", "FG1011", "FG2010", "FG3008", "FG4005", "FG4006", "FG9001"];

    [Test]
    public void Ids_are_unique_ordered_and_of_a_known_family()
    {
        var ids = ProblemCatalogue.All.Select(p => p.Id).ToList();
        Assert.That(ids, Is.Unique.And.Ordered.Using((IComparer<string>)StringComparer.Ordinal));
        Assert.That(ids, Has.All.Match("^FG[012349][0-9]{3}$"));
    }

    [Test]
    public void Every_kind_is_in_the_list()
    {
        var properties = typeof(ProblemCatalogue).GetProperties(BindingFlags.Public | BindingFlags.Static).Where(p => p.PropertyType == typeof(ProblemKind)).Select(p => (ProblemKind)p.GetValue(null)!);
        Assert.That(ProblemCatalogue.All, Is.EquivalentTo(properties));
    }

    [Test]
    public void Every_kind_is_triggered_by_the_corpus()
    {
        var triggered = CorpusCase.All.SelectMany(c => c.Expected).Select(e => e.Split(' ')[1]).ToHashSet();
        Assert.That(ProblemCatalogue.All.Select(p => p.Id).Where(id => !triggered.Contains(id)), Is.EquivalentTo(Elsewhere));
    }

    [Test]
    public void The_page_of_problems_is_that_of_the_catalogue() => Golden.Check("../../docs/problems.md", Page());

    private static string Page()
    {
        var page = new StringBuilder("""
            # Problems

            Every problem FusionGen reports in specs and policies, with a line that triggers it. An error leaves only type shells;
            severities can be set in a `.globalconfig` (`dotnet_diagnostic.FG3007.severity = none`) or by `NoWarn`.
            FG0xxx: YAML · FG1xxx: keys and values · FG2xxx: shapes and budgets · FG3xxx: names · FG4xxx: policies · FG9xxx: the compiler itself.


            """);
        foreach (var kind in ProblemCatalogue.All)
        {
            page.Append(System.Globalization.CultureInfo.InvariantCulture, $"<a id=\"{kind.Id.ToLowerInvariant()}\"></a>\n## {kind.Id} {kind.Title}\n\n{kind.Severity}. ");
            page.Append(Holes().Replace(kind.Format.Replace("{{", "{", StringComparison.Ordinal).Replace("}}", "}", StringComparison.Ordinal), "…")).Append("\n\n");
            if (CorpusCase.All.FirstOrDefault(c => c.Expected.Count == 1 && c.Expected[0].StartsWith($"#! {kind.Id} ", StringComparison.Ordinal)) is not { } example)
                continue;
            var (problem, range) = example.Judge().Single();
            var line = example.Text.Split('\n')[range.StartLine].TrimEnd('\r');
            page.Append("```yaml\n").Append(line).Append("\n```\n");
            page.Append("> ").Append(problem.Message).Append("\n\n");
        }

        return page.ToString().TrimEnd('\n') + "\n";
    }

    [GeneratedRegex(@"\{\d\}")]
    private static partial Regex Holes();
}
