using System.CommandLine;
using System.Globalization;
using System.Text;
using FusionGen.Checkpoints;
using FusionGen.Cli.Compilation;
using FusionGen.Cli.Output;
using FusionGen.Cli.Runs;
using FusionGen.Compiler;
using FusionGen.Compiler.Spec;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen run</c>.</summary>
internal sealed class RunCommand : ToolCommand
{
    private static readonly string[] KnownControls = ["linear", "single", "none"];
    private readonly ExperimentOptions experiment;
    private readonly Option<string?> folder;
    private readonly Option<string?> seeds;
    private readonly Option<string> controls;
    private readonly Option<bool> write;

    public RunCommand()
        : base(
            "run",
            "The whole path: search, policy, rebuild, train, test, with controls on request, over several seeds; one table at the end.\n" +
            "Ctrl-C saves, and the same command continues. Controls: linear (linear probe), single (every operator in all layers), none (head alone).",
            "fusiongen run specs/sprites.fusion.yaml --controls linear",
            "fusiongen run specs/cifar10.fusion.yaml --data folder:cifar10 --controls linear,single --seeds 0,1,2 --out runs/cifar10")
    {
        this.experiment = new ExperimentOptions(this);
        this.seeds = this.Takes(new Option<string?>("--seeds", "--seed") { Description = "Seeds, one run for each; those of 'train.seeds', or 0, if not given.", HelpName = "0,1,2" });
        this.controls = this.Takes(new Option<string>("--controls") { Description = "What to compare with.", HelpName = "linear,single,none", DefaultValueFactory = _ => "" });
        this.folder = this.Takes(CommonOptions.Out("Run folder; with several seeds, a folder of run folders. runs/SPEC-SEED if not given."));
        this.write = this.Takes(new Option<bool>("--write-policy") { Description = "Write the policy of the seed with the best validation accuracy beside the spec." });
    }

    public override ExitCode Run(Invocation invocation)
    {
        var (terminal, opened) = (invocation.Terminal, this.experiment.Open(invocation));
        var (seeds, controls) = (Seeds(invocation.Get(this.seeds), opened.Spec.Document.Train), Controls(invocation.Get(this.controls)));
        var rows = new Dictionary<string, List<Outcome>>(StringComparer.Ordinal);
        foreach (var seed in seeds)
        {
            var run = new FusionRun(opened, this.FolderOf(invocation, opened, seed, seeds.Count), seed);
            var outcomes = new List<Outcome>();
            foreach (var outcome in Outcomes(run, opened, controls))
            {
                outcomes.Add(outcome);
                if (!rows.TryGetValue(outcome.Name, out var row))
                    rows.Add(outcome.Name, row = []);
                row.Add(outcome);
                terminal.Note(string.Create(CultureInfo.InvariantCulture, $"seed {seed}, {outcome.Name}: {Numbers.Percent(outcome.Top1)}"));
            }
            run.Conclude(outcomes[0], outcomes.Skip(1));
        }
        var found = rows.Values.First();
        terminal.Heading($"{opened.Spec.Document.Model} on {opened.Data.Name}: {opened.Data.Train.Count} training, {opened.Data.Val.Count} validation, {opened.Data.Test.Count} test images");
        foreach (var (seed, outcome) in seeds.Zip(found))
            terminal.Line($"policy, seed {seed}: {string.Join(' ', outcome.Policy.Select(choice => choice.Length == 0 ? "-" : choice))}");
        OutcomeTable.Write(terminal, [.. rows.Values]);
        if (seeds.Count > 1 && invocation.Get(this.folder) is { } folder)
            WriteTable(folder, seeds, rows.Values);
        if (invocation.Get(this.write))
            WritePolicy(terminal, opened, found.MaxBy(outcome => outcome.Validation)!);
        return ExitCode.Ok;
    }

    private static IEnumerable<Outcome> Outcomes(FusionRun run, Experiment opened, IReadOnlyList<string> controls)
    {
        var (policy, supernet) = run.Search();
        using (supernet)
            yield return run.Train(policy, opened.Spec.Document.Train.Continue ? supernet : null);
        if (controls.Contains("single"))
        {
            foreach (var name in Uniform.Operators(opened.Spec.Document))
                yield return run.Control(name);
        }
        if (controls.Contains("none"))
            yield return run.Control("none");
        if (controls.Contains("linear"))
            yield return run.Probe();
    }

    private string FolderOf(Invocation invocation, Experiment opened, long seed, int count) => invocation.Get(this.folder) is not { } folder
        ? opened.DefaultFolder(seed)
        : count == 1 ? folder : Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"seed-{seed}"));

    private static List<long> Seeds(string? text, TrainSettings train)
    {
        if (text is null)
            return train.Seeds.Count > 0 ? [.. train.Seeds.Select(seed => (long)seed)] : [0];
        var seeds = new List<long>();
        foreach (var part in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            seeds.Add(long.TryParse(part, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var seed) ? seed : throw new FusionException($"--seeds: '{part}' is no whole number", ExitCode.Spec));
        return seeds.Count > 0 ? seeds : throw new FusionException("--seeds: names no seed", ExitCode.Spec);
    }

    private static string[] Controls(string text)
    {
        var controls = text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        return controls.FirstOrDefault(control => !KnownControls.Contains(control)) is { } unknown
            ? throw new FusionException($"--controls: '{unknown}' is none of {string.Join(", ", KnownControls)}", ExitCode.Spec)
            : controls;
    }

    private static void WriteTable(string folder, List<long> seeds, IEnumerable<List<Outcome>> rows)
    {
        var csv = new StringBuilder("network,seed,tuned_parameters,tuned_share,val_top1,test_top1,seconds\n");
        foreach (var (outcome, seed) in rows.SelectMany(row => row.Zip(seeds)))
            csv.Append(CultureInfo.InvariantCulture, $"\"{outcome.Name}\",{seed},{outcome.Tuned},{outcome.TunedShare:0.######},{outcome.Validation:0.######},{(outcome.Test is { } test ? test.Top1.ToString("0.######", CultureInfo.InvariantCulture) : "")},{outcome.Seconds:0.0}\n");
        AtomicFile.WriteText(Path.Combine(folder, "summary.csv"), csv.ToString());
    }

    private static void WritePolicy(Terminal terminal, Experiment opened, Outcome best)
    {
        var spec = opened.Spec.Document;
        AtomicFile.WriteText(opened.Spec.PolicyPath, PolicyWriter.Write(new PolicyDocument(spec.Model, SpecHash.Of(spec), best.Policy.ToEquatableArray())));
        terminal.Line($"written: {opened.Spec.PolicyPath}");
    }
}
