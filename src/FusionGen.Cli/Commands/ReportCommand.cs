using System.CommandLine;
using FusionGen.Cli.Compilation;
using FusionGen.Cli.Runs;
using FusionGen.Reporting;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen report</c>.</summary>
internal sealed class ReportCommand : ToolCommand
{
    private readonly Argument<string> folder;

    public ReportCommand()
        : base(
            "report",
            "Renders report.html of a run folder anew: heat maps of π, curves of losses and accuracies. Works while the run is still going.",
            "fusiongen report runs/sprites-0")
    {
        this.folder = this.Takes(new Argument<string>("folder") { Description = "The run folder." });
    }

    public override ExitCode Run(Invocation invocation)
    {
        var folder = invocation.Get(this.folder);
        var spec = SpecFile.Load(Path.Combine(folder, "spec.lock.yaml"), [], invocation.Terminal);
        HtmlReport.Write(folder, $"{spec.Document.Model} · {Path.GetFileName(Path.GetFullPath(folder))}", RunFolder.ReadSummary(folder), FusionRun.CandidatesOf(spec.Document));
        invocation.Terminal.Line(Path.Combine(folder, "report.html"));
        return ExitCode.Ok;
    }
}
