using System.CommandLine;
using System.Globalization;
using FusionGen;
using FusionGen.Benchmarks;
using Spectre.Console;

if (args is ["worker", var size, var mode, var count, ..])
{
    Worker.Run(Workload.All.First(workload => workload.Name == size), mode, int.Parse(count, CultureInfo.InvariantCulture), args.ElementAtOrDefault(4));
    return 0;
}

var shape = new Option<string[]>("--shape") { Description = "Sizes to measure.", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [.. Workload.All.Select(workload => workload.Name)] };
shape.AcceptOnlyFromAmong([.. Workload.All.Select(workload => workload.Name)]);
var order = new Option<string[]>("--order") { Description = "Orders of the search to measure.", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [.. Workload.Orders] };
order.AcceptOnlyFromAmong([.. Workload.Orders]);
var pairs = new Option<int>("--pairs") { Description = "Pairs of steps per row; 0: as many as fit into --seconds." };
var seconds = new Option<double>("--seconds") { Description = "Time of a row's pairs.", DefaultValueFactory = _ => 20 };
var threads = new Option<int>("--threads") { Description = "Threads of both sides.", DefaultValueFactory = _ => Environment.ProcessorCount };
var python = new Option<string>("--python") { Description = "Interpreter that imports torch.", DefaultValueFactory = _ => "/usr/bin/python3" };
var memory = new Option<int>("--memory") { Description = "Instead: run this many steps of each size and order, and watch memory." };
var json = new Option<FileInfo?>("--json") { Description = "File for the figures." };
var root = new RootCommand("Times search steps against the same steps in eager PyTorch, pair by pair.") { shape, order, pairs, seconds, threads, python, memory, json };
root.SetAction(parsed =>
{
    var load = Report.LoadAverage();
    var (rows, memoryRuns) = (new List<Row>(), new List<MemoryRun>());
    var count = parsed.GetValue(threads);
    var chosen =
        from workload in Workload.All
        where parsed.GetValue(shape)!.Contains(workload.Name)
        from kind in Workload.Orders
        where parsed.GetValue(order)!.Contains(kind)
        select (workload, kind);
    try
    {
        foreach (var (workload, kind) in chosen)
        {
            Console.Error.WriteLine($"{workload.Title}, {kind}");
            if (parsed.GetValue(memory) is > 0 and var steps)
                memoryRuns.Add(MemoryRun.Run(workload, kind, count, steps));
            else
            {
                foreach (var row in Comparison.Run(workload, kind, count, parsed.GetValue(pairs), TimeSpan.FromSeconds(parsed.GetValue(seconds)), parsed.GetValue(python)!, asInstalled: kind == "first"))
                {
                    rows.Add(row);
                    Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {row.Rival}: {row.Ratio:0.00}"));
                }
            }
        }
    }
    catch (FusionException error)
    {
        Console.Error.WriteLine(error.Message);
        return (int)error.Code;
    }
    var report = new Report(Report.DescribeMachine(), TorchSharp.torch.__version__, count, Contender.FindAllocator() is null ? "the system's allocator" : "tcmalloc", load, rows, memoryRuns);
    report.Print(AnsiConsole.Console);
    if (parsed.GetValue(json) is { } file)
        report.Write(file.FullName);
    return 0;
});
return root.Parse(args).Invoke();
