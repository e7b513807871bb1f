using System.CommandLine;
using FusionGen.Cli.Compilation;
using System.Globalization;
using FusionGen.Cli.Runs;
using FusionGen.Training;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen train</c>.</summary>
internal sealed class TrainCommand : ToolCommand
{
    private readonly ExperimentOptions experiment;
    private readonly Option<string?> policy;
    private readonly Option<string?> folder;
    private readonly Option<long> seed;
    private readonly Option<bool> scratch;
    private readonly Option<bool> grid;
    private readonly Option<bool> fast;
    private readonly Option<string?> prune;

    public TrainCommand()
        : base(
            "train",
            "Compiles the policy's model, trains it and tests it. Where the run folder holds a search and the spec says 'continue: true', it goes on\n" +
            "from the supernet's weights; otherwise it starts from scratch. Writes adapter/, summary.csv and report.html.\n" +
            "With --grid, the recipe's whole protocol: every learning rate and decay of 'train.grid' on the validation split, then the best of them\n" +
            "under every one of 'train.seeds', tested once; one table. Ctrl-C saves, and the same command continues where it stopped.",
            "fusiongen train specs/sprites.fusion.yaml",
            "fusiongen train specs/sprites.fusion.yaml --policy other.policy.yaml --scratch --out runs/other",
            "fusiongen train specs/sprites.fusion.yaml --set train.epochs=30",
            "fusiongen train specs/vpt-deep.fusion.yaml --data vtab:vtab-1k/dmlab --set train.recipe=vpt-vtab --grid",
            "fusiongen train specs/e2vpt.fusion.yaml --data folder:PATH --prune all")
    {
        this.experiment = new ExperimentOptions(this);
        this.policy = this.Takes(CommonOptions.Policy());
        this.seed = this.Takes(CommonOptions.Seed());
        this.folder = this.Takes(CommonOptions.Out("Run folder, the search's to continue it; runs/SPEC-SEED if not given."));
        this.prune = this.Takes(new Option<string?>("--prune")
        {
            Description = "Prune what the spec's masks turn out to be worth least, these shares of it, and train anew under each; validation chooses. 'all' is 0.1 to 0.9.",
            HelpName = "all|share,…",
        });
        this.scratch = this.Takes(new Option<bool>("--scratch") { Description = "Start from scratch whatever the spec says." });
        this.fast = this.Takes(new Option<bool>("--fast") { Description = "With --grid, as VAPT's --fast: the decays at one rate, the spec's own, then the rates at the best decay." });
        this.grid = this.Takes(new Option<bool>("--grid") { Description = "Go through the spec's grid, then its seeds; --seed counts where the spec names none." });
    }

    public override ExitCode Run(Invocation invocation)
    {
        var (terminal, seed) = (invocation.Terminal, invocation.Get(this.seed));
        var opened = this.experiment.Open(invocation);
        var folder = invocation.Get(this.folder) ?? (invocation.Get(this.grid) ? Path.Combine("runs", $"{opened.Spec.Name}-grid") : opened.DefaultFolder(seed));
        var run = new FusionRun(opened, folder, seed);
        var inFolder = Path.Combine(folder, "policy.yaml");
        var found = opened.Spec.Policy(invocation.Get(this.policy) ?? (File.Exists(inFolder) ? inFolder : null), terminal) ?? Uniform.Only(opened.Spec.Document);
        if (invocation.Get(this.grid))
        {
            new GridRun(opened, folder, found, seed, invocation.Get(this.fast)).Run();
            return ExitCode.Ok;
        }
        var policy = found
            ?? throw new FusionException($"{opened.Spec.Path}: there is no policy beside it or in {folder}; run 'fusiongen search {opened.Spec.Path}' first, or name one with --policy", ExitCode.Spec);
        if (invocation.Get(this.prune) is { } shares)
        {
            Comparison.Write(terminal, [[run.Prune(policy, Shares(shares))]]);
            terminal.Line($"run folder: {folder}");
            return ExitCode.Ok;
        }
        var continues = opened.Spec.Document.Train.Continue && !invocation.Get(this.scratch);
        if (continues && !run.HasSearch)
            opened.Tell($"{folder} holds no search to continue from: training from scratch");
        using var search = continues && run.HasSearch ? run.Search() : null;
        var outcome = run.Train(policy, search);
        Comparison.Write(terminal, [[outcome]]);
        terminal.Line($"run folder: {folder}");
        return ExitCode.Ok;
    }

    private static IReadOnlyList<double> Shares(string text) => text == "all"
        ? MaskPruning.Shares
        : [.. text.Split(',').Select(part => double.TryParse(part, CultureInfo.InvariantCulture, out var share) && share is >= 0 and < 1
            ? share
            : throw new FusionException($"--prune: '{part}' is no share from 0 to below 1; 'all' tries 0.1 to 0.9", ExitCode.Spec))];
}
