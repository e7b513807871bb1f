using System.CommandLine;
using FusionGen.Checkpoints;
using FusionGen.Cli.Runs;
using FusionGen.Compiler.Spec;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen search</c>.</summary>
internal sealed class SearchCommand : ToolCommand
{
    private readonly ExperimentOptions experiment;
    private readonly Option<string?> folder;
    private readonly Option<long> seed;
    private readonly Option<bool> write;

    public SearchCommand()
        : base(
            "search",
            "Searches the supernet for a policy by bilevel optimisation. The run folder gets policy.yaml, alpha.csv, metrics.jsonl and checkpoints;\n" +
            "Ctrl-C saves, and the same command continues to the bit (exit code 75).",
            "fusiongen search specs/sprites.fusion.yaml --write-policy",
            "fusiongen search specs/sprites.fusion.yaml --seed 1 --out runs/sprites-b --set search.order=second-fd",
            "fusiongen search my.fusion.yaml --data folder:photos --weights vit.safetensors --device cuda")
    {
        this.experiment = new ExperimentOptions(this);
        this.seed = this.Takes(CommonOptions.Seed());
        this.folder = this.Takes(CommonOptions.Out("Run folder; runs/SPEC-SEED if not given."));
        this.write = this.Takes(new Option<bool>("--write-policy") { Description = "Also write the policy beside the spec, so that the next build compiles the found model." });
    }

    public override ExitCode Run(Invocation invocation)
    {
        var seed = invocation.Get(this.seed);
        var opened = this.experiment.Open(invocation);
        var folder = invocation.Get(this.folder) ?? opened.DefaultFolder(seed);
        using var found = new FusionRun(opened, folder, seed).Search();
        var policy = found.Policy;
        invocation.Terminal.Line($"policy: {string.Join(", ", policy.Choices.Select((choice, layer) => $"{layer} {(choice.Length == 0 ? "-" : choice)}"))}");
        invocation.Terminal.Line($"run folder: {folder}");
        if (!invocation.Get(this.write))
            return ExitCode.Ok;
        AtomicFile.WriteText(opened.Spec.PolicyPath, PolicyWriter.Write(policy));
        invocation.Terminal.Line($"written: {opened.Spec.PolicyPath}");
        return ExitCode.Ok;
    }
}
