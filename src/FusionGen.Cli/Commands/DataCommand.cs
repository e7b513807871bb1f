using System.CommandLine;
using FusionGen.Cli.Output;
using FusionGen.Data;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen data</c>.</summary>
internal sealed class DataCommand : ToolCommand
{
    private const int Shown = 5;
    private readonly Argument<string?> task;
    private readonly Argument<string?> path;
    private readonly Option<bool> decode;

    public DataCommand()
        : base(
            "data",
            "Lists the 34 tasks of VTAB-1k, FGVC and HTA, or holds your copy of one of them against the catalogue: lists, paths, labels and counts, and\n" +
            "with --decode every picture. A whole benchmark (vtab, fgvc, hta) is looked for in the folders that the community keeps it in. Exit code 4 if\n" +
            "anything is wrong.",
            "fusiongen data",
            "fusiongen data vtab-dmlab vtab-1k/dmlab",
            "fusiongen data vtab vtab-1k --decode",
            "fusiongen data hta-cifar10 tfds:cifar10/3.0.2#train=train[:80%],val=train[80%:]")
    {
        this.task = this.Takes(new Argument<string?>("task") { Description = "A task or a benchmark; every task is listed if not given.", Arity = ArgumentArity.ZeroOrOne });
        this.path = this.Takes(new Argument<string?>("path") { Description = "Its folder, or a source as --data takes it.", Arity = ArgumentArity.ZeroOrOne });
        this.decode = this.Takes(new Option<bool>("--decode") { Description = "Decode every picture." });
    }

    public override ExitCode Run(Invocation invocation)
    {
        var (terminal, path) = (invocation.Terminal, invocation.Get(this.path));
        var tasks = invocation.Get(this.task) is { } name ? TaskCatalogue.Named(name) : TaskCatalogue.All;
        if (path is null)
        {
            List(terminal, tasks);
            return ExitCode.Ok;
        }
        var findings = new List<DataFinding>();
        foreach (var task in tasks)
        {
            var source = IsSource(path) ? path : DataCheck.SourceOf(task, tasks.Count == 1 ? path : Path.Combine(path, task.Folder));
            findings.Add(DataCheck.Run(task, source, invocation.Get(this.decode), new Watch(terminal, task).Tell, invocation.Cancellation));
        }
        Report(terminal, findings);
        return findings.TrueForAll(finding => finding.Faults.Count == 0) ? ExitCode.Ok : ExitCode.Data;
    }

    private static bool IsSource(string path) => path.IndexOf(':', StringComparison.Ordinal) is > 0 and var colon && path[..colon] is "vtab" or "fgvc" or "csv" or "tfds" or "folder";

    private static void List(Terminal terminal, IReadOnlyList<BenchmarkTask> tasks)
    {
        var table = Tables.New("task", "group", "title", "folder", ">classes", ">train", ">val", ">test", ">VPT-deep prompts");
        foreach (var task in tasks)
            table.Row(task.Name, task.Group.ToString(), task.Title, task.Folder, Numbers.Text(task.Classes), Count(task.Train), Count(task.Val), Count(task.Test), task.Prompts == 0 ? "" : Numbers.Text(task.Prompts));
        terminal.Table(table);
        terminal.Line("Check a copy: fusiongen data TASK PATH");
    }

    private static void Report(Terminal terminal, List<DataFinding> findings)
    {
        foreach (var finding in findings.Where(finding => finding.Faults.Count > 0))
        {
            terminal.Heading($"{finding.Task.Title}: {Numbers.Text(finding.Faults.Count)} {(finding.Faults.Count == 1 ? "fault" : "faults")}");
            foreach (var kind in finding.Faults.GroupBy(fault => fault.Kind).OrderBy(kind => kind.Key))
            {
                terminal.Line($"  {Title(kind.Key)}: {Numbers.Text(kind.Count())}");
                foreach (var fault in kind.Take(Shown))
                    terminal.Line($"    {fault.Message}");
                if (kind.Count() > Shown)
                    terminal.Line($"    … and {Numbers.Text(kind.Count() - Shown)} more");
            }
        }
        var table = Tables.New("task", ">classes", ">train", ">val", ">test", ">decoded", ">faults");
        foreach (var (task, data, faults, decoded) in findings)
        {
            table.Row(
                task.Title, Count(data?.Classes), Count(data?.Train.Count), data is null ? "" : Count(data.Val.Count) + (data.IsValHeldOut ? " (set aside)" : ""), Count(data?.Test.Count),
                decoded == 0 ? "" : Numbers.Text(decoded), faults.Count == 0 ? "none" : Numbers.Text(faults.Count));
        }
        terminal.Table(table);
    }

    private static string Title(FaultKind kind) => kind switch
    {
        FaultKind.Malformed => "not as the format has it",
        FaultKind.Missing => "missing",
        FaultKind.Escapes => "outside of the folder",
        FaultKind.Label => "labels",
        FaultKind.Twice => "listed twice",
        FaultKind.Miscounted => "counts",
        FaultKind.Unreadable => "cannot be decoded",
        _ => "extra",
    };

    private static string Count(int? number) => number is { } value ? Numbers.Text(value) : "";

    /// <summary>Says how far the decoding is, at most once a second.</summary>
    private sealed class Watch(Terminal terminal, BenchmarkTask task)
    {
        private long last = Environment.TickCount64;

        public void Tell(int done, int all)
        {
            var (now, before) = (Environment.TickCount64, Interlocked.Read(ref this.last));
            if (now - before >= 1000 && Interlocked.CompareExchange(ref this.last, now, before) == before)
                terminal.Note($"{task.Title}: {Numbers.Text(done)} of {Numbers.Text(all)} pictures decoded");
        }
    }
}
