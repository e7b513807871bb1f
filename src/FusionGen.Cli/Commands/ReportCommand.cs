using System.CommandLine;
using System.Globalization;
using FusionGen.Cli.Compilation;
using FusionGen.Cli.Output;
using FusionGen.Cli.Runs;
using FusionGen.Reporting;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen report</c>.</summary>
internal sealed class ReportCommand : ToolCommand
{
    private readonly Argument<string[]> folders;

    public ReportCommand()
        : base(
            "report",
            "Renders report.html of a run folder anew: heat maps of π, curves of losses and accuracies. Works while the run is still going.\n" +
            "Several folders come to one table of their results; folders of different recipes do not, because their numbers cannot be compared.",
            "fusiongen report runs/sprites-0",
            "fusiongen report runs/dmlab-vpt runs/dmlab-vapt runs/eurosat-vpt")
    {
        this.folders = this.Takes(new Argument<string[]>("folder") { Description = "The run folder, or several to compare.", Arity = ArgumentArity.OneOrMore });
    }

    public override ExitCode Run(Invocation invocation)
    {
        var folders = invocation.Get(this.folders);
        if (folders.Length > 1)
            Compare(invocation.Terminal, folders);
        else
            Render(invocation.Terminal, folders[0]);
        return ExitCode.Ok;
    }

    private static void Render(Terminal terminal, string folder)
    {
        var spec = SpecFile.Load(Path.Combine(folder, "spec.lock.yaml"), [], terminal);
        HtmlReport.Write(folder, $"{spec.Document.Model} · {Path.GetFileName(Path.GetFullPath(folder))}", RunFolder.ReadSummary(folder), FusionRun.CandidatesOf(spec.Document));
        terminal.Line(Path.Combine(folder, "report.html"));
    }

    private static void Compare(Terminal terminal, string[] folders)
    {
        var rows = folders.Select(folder => (Folder: folder, Values: RunFolder.ReadSummary(folder).ToDictionary(pair => pair.Key, pair => pair.Value, StringComparer.Ordinal))).ToList();
        foreach (var row in rows.Where(row => !row.Values.ContainsKey("protocol")))
            throw new FusionException($"{row.Folder}: has no summary.csv with a protocol; run it to its end first", ExitCode.Data);
        Protocols.MustAgree(rows.Select(row => (row.Folder, row.Values["protocol"])));
        var table = Tables.New("run", "data", "network", "protocol", ">tuned share", ">validation", ">test", ">sd");
        foreach (var (folder, values) in rows)
        {
            table.Row(
                folder, values.GetValueOrDefault("data", ""), values.GetValueOrDefault("network", ""), values["protocol"],
                Percent(values, "tuned_share"), Percent(values, "val_top1"), Percent(values, "test_top1"), Percent(values, "top1_sd"));
        }
        terminal.Table(table);
    }

    private static string Percent(Dictionary<string, string> values, string key) =>
        values.TryGetValue(key, out var text) && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && !double.IsNaN(value) ? Numbers.Percent(value) : "";
}
