using System.CommandLine;
using FusionGen.Cli.Output;
using FusionGen.Cli.Runs;
using FusionGen.Training;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen eval</c>.</summary>
internal sealed class EvalCommand : ToolCommand
{
    private readonly ExperimentOptions experiment;
    private readonly Option<string?> adapter;
    private readonly Option<string> split;

    public EvalCommand()
        : base(
            "eval",
            "Tests a trained adapter on a split of the data: accuracy, mean over classes, and every class.",
            "fusiongen eval specs/sprites.fusion.yaml --adapter runs/sprites-0/adapter",
            "fusiongen eval specs/sprites.fusion.yaml --adapter runs/sprites-0/adapter --split val")
    {
        this.experiment = new ExperimentOptions(this);
        this.adapter = this.Takes(TrainedModel.Option());
        this.split = this.Takes(new Option<string>("--split") { Description = "The split.", HelpName = "train|val|test", DefaultValueFactory = _ => "test" });
        this.split.AcceptOnlyFromAmong("train", "val", "test");
    }

    public override ExitCode Run(Invocation invocation)
    {
        var (terminal, opened) = (invocation.Terminal, this.experiment.Open(invocation));
        var (name, data) = (invocation.Get(this.split), opened.Data);
        var split = name switch { "train" => data.Train, "val" => data.Val, _ => data.Test };
        if (split.Count == 0)
            throw new FusionException($"{data.Name}: has no {name} split", ExitCode.Data);
        using var trained = TrainedModel.Load(opened, invocation.Get(this.adapter));
        var result = Evaluation.Of(trained.Model.forward, opened.Fixed(split, opened.Spec.Document.Train.Batch), trained.Model, invocation.Cancellation);
        var table = Tables.New("class", ">right", ">of", ">accuracy");
        for (var i = 0; i < data.Classes; i++)
            table.Row(data.ClassNames[i], Numbers.Text(result.Correct[i]), Numbers.Text(result.Count[i]), result.Count[i] == 0 ? "" : Numbers.Percent(result.Correct[i] / (double)result.Count[i]));
        terminal.Table(table);
        terminal.Line($"{data.Name}, {name}: top-1 {Numbers.Percent(result.Top1)} of {result.Samples} images, mean over classes {Numbers.Percent(result.MeanPerClass)}, cross-entropy {Numbers.Text(result.Loss)}");
        return ExitCode.Ok;
    }
}
