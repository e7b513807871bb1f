using System.CommandLine;
using System.Globalization;
using FusionGen.Cli.Runs;
using FusionGen.Compiler.Spec;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen compare</c>.</summary>
internal sealed class CompareCommand : ToolCommand
{
    private readonly Argument<string[]> specs;
    private readonly ExperimentOptions experiment;
    private readonly Option<string?> folder;
    private readonly Option<string?> seeds;

    public CompareCommand()
        : base(
            "compare",
            "Several specs on the same data, side by side: a spec with a choice is searched and trained, one without is trained as it is, and the linear probe of every backbone\n" +
            "stands below them. One table, in the order given, as text, summary.csv, summary.md and report.html. Ctrl-C saves, and the same command continues.\n" +
            "Specs of different recipes are refused: their numbers cannot be compared.",
            "fusiongen compare specs/vpt-deep.fusion.yaml specs/cifar10.fusion.yaml --data folder:cifar10 --seeds 0,1,2 --out runs/methods")
    {
        this.specs = this.Takes(new Argument<string[]>("specs") { Description = "The specs, x.fusion.yaml.", Arity = ArgumentArity.OneOrMore });
        this.experiment = new ExperimentOptions(this, takesSpec: false);
        this.seeds = this.Takes(CommonOptions.Seeds());
        this.folder = this.Takes(CommonOptions.Out("Folder of the comparison, with a folder for each spec and seed; runs/compare if not given."));
    }

    public override ExitCode Run(Invocation invocation)
    {
        var (terminal, folder) = (invocation.Terminal, invocation.Get(this.folder) ?? Path.Combine("runs", "compare"));
        var paths = invocation.Get(this.specs);
        var opened = paths.Select(path => this.experiment.Open(invocation, path)).ToList();
        var names = opened.Select((one, i) => opened.Count(other => other.Spec.Name == one.Spec.Name) == 1 ? one.Spec.Name : string.Create(CultureInfo.InvariantCulture, $"{one.Spec.Name} {i + 1}")).ToList();
        Protocols.MustAgree(opened.Zip(names, (one, name) => (name, RecipeCatalogue.Protocol(one.Spec.Document.Train))));
        var seeds = CommonOptions.SeedsOf(invocation.Get(this.seeds), opened[0].Spec.Document.Train);
        var comparison = new Comparison([.. seeds.SelectMany(seed => Trials(folder, opened, names, seed))]);
        var data = opened[0].Data;
        var title = $"{data.Name}: {data.Train.Count} training, {data.Val.Count} validation, {data.Test.Count} test images, seed{(seeds.Count == 1 ? "" : "s")} {string.Join(", ", seeds)}";
        var diverged = comparison.RunAll(terminal, () => comparison.Write(folder, title));
        comparison.Write(folder, title);
        terminal.Heading(title);
        comparison.Write(terminal);
        terminal.Line($"written: {Path.Combine(folder, "report.html")}, summary.csv, summary.md");
        if (diverged.Count == 0)
            return ExitCode.Ok;
        terminal.Error($"not in the table, or in it with fewer seeds: {string.Join("; ", diverged)}");
        return ExitCode.Diverged;
    }

    private static IEnumerable<Trial> Trials(string folder, List<Experiment> opened, List<string> names, long seed)
    {
        var runs = opened.Zip(names, (one, name) => new FusionRun(one, Path.Combine(folder, name.Replace(' ', '-'), string.Create(CultureInfo.InvariantCulture, $"seed-{seed}")), seed)).ToList();
        foreach (var (run, name) in runs.Zip(names))
            yield return run.Main(name);
        // Specs that differ in what they tune probe one backbone.
        var backbones = opened.Select((one, i) => (one.Backbone, i)).GroupBy(pair => pair.Backbone, pair => pair.i).ToList();
        foreach (var backbone in backbones)
            yield return runs[backbone.First()].Probe(backbones.Count == 1 ? "linear probe" : $"linear probe of {names[backbone.First()]}");
    }
}
