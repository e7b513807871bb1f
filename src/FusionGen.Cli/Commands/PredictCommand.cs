using System.CommandLine;
using FusionGen.Cli.Output;
using FusionGen.Cli.Runs;
using FusionGen.Data;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen predict</c>.</summary>
internal sealed class PredictCommand : ToolCommand
{
    private readonly ExperimentOptions experiment;
    private readonly Argument<string[]> images;
    private readonly Option<string?> adapter;
    private readonly Option<int> top;

    public PredictCommand()
        : base(
            "predict",
            "Classifies image files with a trained adapter.",
            "fusiongen predict specs/cifar10.fusion.yaml cat.jpg dog.png --adapter runs/cifar10-0/adapter --top 3")
    {
        this.experiment = new ExperimentOptions(this);
        this.images = this.Takes(new Argument<string[]>("images") { Description = "JPEG or PNG files.", Arity = ArgumentArity.OneOrMore });
        this.adapter = this.Takes(TrainedModel.Option());
        this.top = this.Takes(new Option<int>("--top") { Description = "Classes to show for an image.", HelpName = "number", DefaultValueFactory = _ => 1 });
    }

    public override ExitCode Run(Invocation invocation)
    {
        using var trained = TrainedModel.Load(this.experiment.Open(invocation), invocation.Get(this.adapter));
        var names = trained.Config.Classes;
        foreach (var path in invocation.Get(this.images))
        {
            var guesses = trained.Model.Predict(ImageFile.Read(path), Math.Max(1, invocation.Get(this.top)));
            invocation.Terminal.Line($"{path}: {string.Join(", ", guesses.Select(guess => $"{(guess.Class < names.Count ? names[guess.Class] : $"class {guess.Class}")} {Numbers.Percent(guess.Probability)}"))}");
            invocation.Cancellation.ThrowIfCancellationRequested();
        }
        return ExitCode.Ok;
    }
}
