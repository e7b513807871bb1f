using System.CommandLine;
using System.Globalization;
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
    private readonly ExperimentOptions experiment;
    private readonly Option<string?> folder;
    private readonly Option<string?> seeds;
    private readonly Option<string?> controls;
    private readonly Option<bool> write;

    public RunCommand()
        : base(
            "run",
            "The whole path: search, policy, rebuild, train, test, with controls on request, over several seeds; one table at the end.\n" +
            "Ctrl-C saves, and the same command continues. Controls, all of them if none is named: linear (linear probe), single (every operator in all layers),\n" +
            "random (three random policies), uniform (equal π, discretised by perturbation), free (a search that charges nothing), none (head alone).",
            "fusiongen run specs/sprites.fusion.yaml --controls linear",
            "fusiongen run specs/cifar10.fusion.yaml --data folder:cifar10 --controls --seeds 0,1,2 --out runs/cifar10")
    {
        this.experiment = new ExperimentOptions(this);
        this.seeds = this.Takes(CommonOptions.Seeds());
        this.controls = this.Takes(new Option<string?>("--controls") { Description = "What to compare with.", HelpName = string.Join(',', FusionRun.Controls), Arity = ArgumentArity.ZeroOrOne });
        this.folder = this.Takes(CommonOptions.Out("Run folder; with several seeds, a folder of run folders. runs/SPEC-SEED if not given."));
        this.write = this.Takes(new Option<bool>("--write-policy") { Description = "Write the policy of the seed with the best validation accuracy beside the spec." });
    }

    public override ExitCode Run(Invocation invocation)
    {
        var (terminal, opened) = (invocation.Terminal, this.experiment.Open(invocation));
        var (seeds, controls) = (CommonOptions.SeedsOf(invocation.Get(this.seeds), opened.Spec.Document.Train), this.ControlsOf(invocation));
        var runs = seeds.Select(seed => (Seed: seed, Run: new FusionRun(opened, this.FolderOf(invocation, opened, seed, seeds.Count), seed))).ToList();
        if (!Uniform.HasChoice(opened.Spec.Document))
            throw new FusionException($"{opened.Spec.Path}: no layer has two candidates, so there is nothing to search; 'fusiongen compare' trains such a spec as it is", ExitCode.Spec);
        var comparison = new Comparison([.. runs.SelectMany(run => run.Run.Control(controls).Prepend(run.Run.Main("found policy")))]);
        var title = $"{opened.Spec.Document.Model} on {opened.Data.Name}: {opened.Data.Train.Count} training, {opened.Data.Val.Count} validation, {opened.Data.Test.Count} test images";
        var together = seeds.Count > 1 ? invocation.Get(this.folder) : null;
        comparison.Run(terminal, () =>
        {
            if (together is not null)
                comparison.Write(together, title);
        });
        foreach (var (seed, run) in runs)
            run.Conclude(comparison.Of(seed));
        var found = comparison.Rows[0];
        terminal.Heading(title);
        foreach (var (seed, outcome) in seeds.Zip(found))
            terminal.Line($"policy, seed {seed}: {string.Join(' ', outcome.Policy.Select(choice => choice.Length == 0 ? "-" : choice))}");
        comparison.Write(terminal);
        if (invocation.Get(this.write))
            WritePolicy(terminal, opened, found.MaxBy(outcome => outcome.Validation)!);
        return ExitCode.Ok;
    }

    private string FolderOf(Invocation invocation, Experiment opened, long seed, int count) => invocation.Get(this.folder) is not { } folder
        ? opened.DefaultFolder(seed)
        : count == 1 ? folder : Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"seed-{seed}"));

    private IReadOnlyList<string> ControlsOf(Invocation invocation)
    {
        if (invocation.Parse.GetResult(this.controls) is null or { Implicit: true })
            return [];
        var controls = (invocation.Get(this.controls) ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (controls.FirstOrDefault(control => !FusionRun.Controls.Contains(control)) is { } unknown)
            throw new FusionException($"--controls: '{unknown}' is none of {string.Join(", ", FusionRun.Controls)}", ExitCode.Spec);
        return controls.Length == 0 ? FusionRun.Controls : controls;
    }

    private static void WritePolicy(Terminal terminal, Experiment opened, Outcome best)
    {
        var spec = opened.Spec.Document;
        AtomicFile.WriteText(opened.Spec.PolicyPath, PolicyWriter.Write(new PolicyDocument(spec.Model, SpecHash.Of(spec), best.Policy.ToEquatableArray())));
        terminal.Line($"written: {opened.Spec.PolicyPath}");
    }
}
