namespace FusionGen.Cli.Tests;

/// <summary>A recipe's whole protocol on a task of seconds: grid, choice, final runs; stopped and continued; compared.</summary>
[TestFixture]
internal sealed class GridTests
{
    private const string Train = "train={ recipe: vpt-vtab, epochs: 2, warmup: 1, batch: 8, base-batch: 8, optimizer: { lr: 0.1 }, grid: { lr: [0.2, 0.1], weight-decay: [0.01, 0] }, seeds: [1, 2] }";
    private static readonly string[] Model = ["--set", "layers=[{ at: 0..1, candidates: [prefix] }]", "--weights", "none", "--threads", "1"];

    [Test]
    public void A_grid_chooses_on_validation_and_its_seeds_train_on_everything()
    {
        using var project = Project();
        var result = Run(project, "grid", Train);
        Assert.That(result.Code, Is.Zero, result.Errors);
        var grid = File.ReadAllLines(project.At("grid", "grid.csv")).Skip(1).Select(line => line.Split(',')).ToList();
        var best = grid.Max(row => double.Parse(row[2], System.Globalization.CultureInfo.InvariantCulture));
        var chosen = grid.Single(row => row[3] == "1");
        Assert.Multiple(() =>
        {
            Assert.That(grid.Select(row => (row[0], row[1])), Is.EqualTo(new[] { ("0.2", "0.01"), ("0.2", "0"), ("0.1", "0.01"), ("0.1", "0") }));
            Assert.That(double.Parse(chosen[2], System.Globalization.CultureInfo.InvariantCulture), Is.EqualTo(best));
            Assert.That(Directory.GetDirectories(project.At("grid", "final")).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal), Is.EqualTo(new[] { "seed-1", "seed-2" }));
            Assert.That(File.Exists(project.At("grid", "final", "seed-2", "adapter", "adapter_model.safetensors")));
            Assert.That(Directory.Exists(project.At("grid", "final", "seed-2", "checkpoint")), Is.False, "finished parts keep no optimizer state");
            Assert.That(File.ReadAllText(project.At("grid", "final", "seed-1", "metrics.jsonl")), Does.Not.Contain("validation_top1"));
            Assert.That(File.ReadAllText(project.At("grid", "summary.csv")), Does.Contain("test_top1").And.Contain("vpt-vtab but "));
            Assert.That(File.ReadAllText(project.At("grid", "spec.lock.yaml")), Does.StartWith("# recipe vpt-vtab, changed:\n").And.Contain("#   batch: 8 (published: 128)"));
            Assert.That(result.Output, Does.Contain("24 training and 12 validation pictures, together in the final runs; 12 test pictures, seen once a run. Seeds 1, 2."));
            Assert.That(result.Output, Does.Contain("±").And.Contain(" *"));
        });
        // The lock is the spec again.
        Assert.That(CommandLine.Run("check", project.At("grid", "spec.lock.yaml")).Code, Is.Zero);
    }

    [Test]
    public void A_stopped_grid_continues_part_by_part_to_the_same_table()
    {
        using var project = Project();
        var whole = Run(project, "whole", Train);
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        var stopped = CommandLine.Run(cancelled.Token, Command(project, "parts", Train));
        Assert.That((stopped.Code, File.Exists(project.At("parts", "grid", "lr-0.2-decay-0.01", "checkpoint", "train.safetensors"))), Is.EqualTo(((int)ExitCode.Checkpointed, true)), stopped.Errors);
        var continued = Run(project, "parts", Train);
        Assert.That(continued.Errors, Does.Contain("continues "));
        Assert.That(Table(continued), Is.EqualTo(Table(whole)));

        // A part that is lost is run again, and nothing else is.
        File.Delete(project.At("parts", "grid", "lr-0.1-decay-0", "outcome.json"));
        var written = Written(project);
        var again = Run(project, "parts", Train);
        Assert.That(Table(again), Is.EqualTo(Table(whole)));
        Assert.That(Written(project).Where(pair => written[pair.Key] != pair.Value).Select(pair => pair.Key), Is.EqualTo(new[] { "lr-0.1-decay-0" }));
    }

    /// <summary>As VAPT's --fast: the decays at the spec's own rate, then the other rates at the best of them.</summary>
    [Test]
    public void A_fast_grid_is_two_lines_of_it()
    {
        using var project = Project();
        var result = CommandLine.Run([.. Command(project, "fast", Train), "--fast"]);
        Assert.That(result.Code, Is.Zero, result.Errors);
        var grid = File.ReadAllLines(project.At("fast", "grid.csv")).Skip(1).Select(line => line.Split(',')).ToList();
        var first = grid.Take(2).MaxBy(row => double.Parse(row[2], System.Globalization.CultureInfo.InvariantCulture))!;
        Assert.That(grid.Select(row => (row[0], row[1])), Is.EqualTo(new[] { ("0.1", "0.01"), ("0.1", "0"), ("0.2", first[1]) }));
        Assert.That(result.Errors, Does.Contain("3 of 3: lr 0.2"));
    }

    [Test]
    public void Of_equal_points_the_smaller_rate_wins()
    {
        using var project = Project();
        Run(project, "grid", Train.Replace("lr: [0.2, 0.1]", "lr: [2e-9, 1e-9]", StringComparison.Ordinal));
        Assert.That(File.ReadAllLines(project.At("grid", "grid.csv")).Single(line => line.EndsWith(",1", StringComparison.Ordinal)), Does.StartWith("1E-09,0.01,"));
    }

    [Test]
    public void Without_a_grid_the_seeds_are_run_at_the_specs_own_rate()
    {
        using var project = Project();
        var result = Run(project, "own", "train={ epochs: 1, batch: 8, continue: false, seeds: [3], preprocessing: vpt-vtab }");
        Assert.That(result.Code, Is.Zero, result.Errors);
        Assert.That(Directory.Exists(project.At("own", "grid")), Is.False);
        Assert.That(File.ReadAllText(project.At("own", "final", "seed-3", "outcome.json")), Does.Match("\"test\": *\\{"));
    }

    [TestCase("train.continue=true", "trains from scratch")]
    [TestCase("train.keep=best", "set train.keep=last")]
    public void What_cannot_be_meant_is_2(string setting, string message)
    {
        using var project = Project();
        var result = CommandLine.Run([.. Command(project, "grid", Train), "--set", setting]);
        Assert.That((result.Code, result.Errors), Is.EqualTo(((int)ExitCode.Spec, result.Errors)));
        Assert.That(result.Errors, Does.Contain(message));
    }

    [Test]
    public void Runs_of_one_recipe_stand_in_one_table_and_runs_of_two_do_not()
    {
        using var project = Project();
        var few = Train.Replace("grid: { lr: [0.2, 0.1], weight-decay: [0.01, 0] }", "grid: { lr: [0.1], weight-decay: [0] }", StringComparison.Ordinal);
        Run(project, "a", few);
        Run(project, "b", few.Replace("batch: 8", "batch: 4", StringComparison.Ordinal));
        Run(project, "c", few.Replace("vpt-vtab", "e2vpt-vtab", StringComparison.Ordinal));
        var one = CommandLine.Run("report", project.At("a"), project.At("b"));
        var two = CommandLine.Run("report", project.At("a"), project.At("c"));
        Assert.Multiple(() =>
        {
            Assert.That((one.Code, two.Code), Is.EqualTo((0, (int)ExitCode.Spec)), one.Errors);
            Assert.That(one.Output, Does.Contain("vpt-vtab but epochs 2, batch 8").And.Contain("vpt-vtab but epochs 2, batch 4"));
            Assert.That(two.Errors, Does.Contain("vpt-vtab: ").And.Contain("e2vpt-vtab: ").And.Contain("cannot stand in one table"));
        });
    }

    [Test]
    public void Specs_of_two_recipes_are_not_compared()
    {
        using var project = Project();
        string Spec(string recipe)
        {
            var path = project.At($"{recipe}.fusion.yaml");
            File.WriteAllText(path, File.ReadAllText(project.Spec).Replace("train: {", $"train: {{ recipe: {recipe},", StringComparison.Ordinal));
            return path;
        }

        var result = CommandLine.Run("compare", Spec("noah-vtab"), Spec("pfd"), "--weights", "none", "--out", project.At("both"));
        Assert.That((result.Code, result.Errors), Is.EqualTo(((int)ExitCode.Spec, result.Errors)));
        Assert.That(result.Errors, Does.Contain("noah-vtab: noah-vtab; pfd: pfd").And.Contain("cannot stand in one table"));
    }

    private static TinyProject Project()
    {
        var project = new TinyProject();
        project.WriteImages();
        return project;
    }

    private static string[] Command(TinyProject project, string folder, string train) =>
        ["train", project.Spec, "--grid", "--out", project.At(folder), "--set", "operators={ prefix: { kind: prefix } }", .. Model, "--set", train];

    private static CommandLine.Result Run(TinyProject project, string folder, string train) => CommandLine.Run(Command(project, folder, train));

    /// <summary>The tables, but for the time and the folder.</summary>
    private static string Table(CommandLine.Result result) =>
        System.Text.RegularExpressions.Regex.Replace(string.Join('\n', result.Output.Split('\n').Select(line => line.TrimEnd())), @"\d+\.\d s|Run folder: .*|─", "");

    private static Dictionary<string, DateTime> Written(TinyProject project) => Directory.GetFiles(project.At("parts"), "metrics.jsonl", SearchOption.AllDirectories)
        .ToDictionary(path => Path.GetFileName(Path.GetDirectoryName(path)!), File.GetLastWriteTimeUtc);
}
