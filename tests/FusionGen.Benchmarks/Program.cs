using System.CommandLine;
using System.Globalization;
using FusionGen;
using FusionGen.Benchmarks;
using Spectre.Console;

if (args is [Worker.Command, ..])
{
    Worker.Run(args.AsSpan(1));
    return 0;
}

if (args is [GeneratorRow.Row])
{
    GeneratorRow.Answer();
    return 0;
}

if (args is ["profile", var path, var images, ..])
{
    // With a number of threads: of predictions.
    StepProfile.Run(path, int.Parse(images, CultureInfo.InvariantCulture), args.Length > 3 ? int.Parse(args[3], CultureInfo.InvariantCulture) : 0);
    return 0;
}

string[] shapes = [.. Shape.All.Select(shape => shape.Name)];
var shape = new Option<string[]>("--shape") { Description = "Sizes to measure.", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => shapes };
shape.AcceptOnlyFromAmong(shapes);
var row = new Option<string[]>("--row") { Description = "Rows to measure.", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [.. Workload.DefaultRows, GeneratorRow.Row] };
row.AcceptOnlyFromAmong([.. Workload.Rows, GeneratorRow.Row]);
var pairs = new Option<int>("--pairs") { Description = "Pairs of steps per row, at least.", DefaultValueFactory = _ => 7 };
var seconds = new Option<double>("--seconds") { Description = "Time of a row's pairs: as many more as fit.", DefaultValueFactory = _ => 5 };
var python = new Option<string>("--python") { Description = "Interpreter that imports torch.", DefaultValueFactory = _ => "/usr/bin/python3" };
var memory = new Option<int>("--memory") { Description = "Instead: run this many steps of each row, and watch memory." };
var growth = new Option<bool>("--growth") { Description = "Instead: how a search step's cost grows with batch, depth and candidates." };
var task = new Option<string?>("--task") { Description = "Instead: whole tasks of this spec, under its own schedule and the authors'. Takes hours; the same command continues.", HelpName = "SPEC" };
var schedule = new Option<string[]>("--schedule") { Description = "Schedules of --task.", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [.. WholeTask.Schedules.Keys] };
schedule.AcceptOnlyFromAmong([.. WholeTask.Schedules.Keys]);
var seeds = new Option<long[]>("--seed") { Description = "Seeds of --task.", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [0, 1, 2] };
var data = new Option<string?>("--data") { Description = "Data of --task, instead of the spec's." };
var runs = new Option<string>("--runs") { Description = "Folder of --task's runs.", DefaultValueFactory = _ => "runs/task" };
var output = new Option<DirectoryInfo?>("--out") { Description = "Folder for benchmarks.json and the plot." };
var root = new RootCommand("Times FusionGen beside the same work in PyTorch, pair by pair; what is compared is first shown to compute the same.")
{
    shape, row, pairs, seconds, python, memory, growth, task, schedule, seeds, data, runs, output,
};
root.SetAction(parsed =>
{
    var report = Report.Start();
    try
    {
        if (parsed.GetValue(growth))
            report.Growth.AddRange(Growth.Run(Console.Error.WriteLine));
        else if (parsed.GetValue(task) is { } spec)
            RunTasks(spec);
        else
            Compare();
    }
    catch (FusionException error)
    {
        Console.Error.WriteLine(error.Message);
        return (int)error.Code;
    }
    report.Print(AnsiConsole.Console);
    if (parsed.GetValue(output) is { } folder)
        report.Write(folder.FullName);
    return 0;

    void RunTasks(string spec)
    {
        var whole = new WholeTask(spec, parsed.GetValue(data), parsed.GetValue(runs)!);
        foreach (var (seed, name) in parsed.GetValue(seeds)!.SelectMany(seed => parsed.GetValue(schedule)!.Select(name => (seed, name))))
        {
            Console.Error.WriteLine(Report.Text($"{name}, seed {seed}"));
            report.Tasks.Add(whole.Run(name, seed));
        }
    }

    void Compare()
    {
        var best = new Dictionary<(bool, Shape, int), Settings>();
        foreach (var workload in from size in Shape.All where parsed.GetValue(shape)!.Contains(size.Name) from name in Workload.Rows where parsed.GetValue(row)!.Contains(name) from work in Workload.Of(name, size) select work)
        {
            Console.Error.WriteLine($"{workload.Title}, {workload.Row}");
            if (parsed.GetValue(memory) is > 0 and var steps)
            {
                report.Memory.Add(MemoryRun.Run(workload, steps));
                continue;
            }
            // What trains at one size does the same products again: what suits one suits all.
            var key = (workload.Kind == Kind.Inference, workload.Shape, workload.Kind == Kind.Inference ? workload.Batch : 0);
            foreach (var measured in Comparison.Run(
                workload, parsed.GetValue(pairs), TimeSpan.FromSeconds(parsed.GetValue(seconds)), parsed.GetValue(python)!, best.GetValueOrDefault(key), asInstalled: workload.Row == "first"))
            {
                report.Rows.Add(measured);
                if (measured.Rival == "best")
                    best.TryAdd(key, measured.Run);
                Console.Error.WriteLine(Report.Text($"  {measured.Rival}: {measured.Speedup:0.00} times as fast, {measured.MemoryRatio:0.00} of the memory"));
            }
        }
        if (parsed.GetValue(row)!.Contains(GeneratorRow.Row) && parsed.GetValue(memory) == 0)
        {
            Console.Error.WriteLine(GeneratorRow.Row);
            report.Generator.AddRange(GeneratorRow.Run());
        }
    }
});
return root.Parse(args).Invoke();
