using System.CommandLine;
using System.Globalization;
using FusionGen.Cli.Compilation;
using FusionGen.Cli.Output;
using FusionGen.Compiler.Spec;
using FusionGen.Pretraining;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen pretrain</c>.</summary>
internal sealed class PretrainCommand : ToolCommand
{
    private static readonly PretrainSettings Defaults = new();
    private readonly Argument<string> spec;
    private readonly Option<string[]> overrides;
    private readonly Option<string?> path;
    private readonly Option<long> seed;
    private readonly Option<int> threads;
    private readonly Option<int> steps;
    private readonly Option<int> batch;
    private readonly Option<int> warmup;
    private readonly Option<int> course;
    private readonly Option<double> rate;
    private readonly Option<string?> shallower;
    private readonly Option<bool> keepHead;

    public PretrainCommand()
        : base(
            "pretrain",
            "Pretrains a backbone on formula-driven images (fractals and contours, drawn on the fly), where no pretrained weights can be had.\n" +
            "The spec says 'tune: all' and has no operators; its classes are all there is to tell of an image: kinds, columns, rows and directions. Ctrl-C saves; the same command continues.",
            "fusiongen pretrain specs/backbones/vit-nano-64.fusion.yaml --out specs/backbones/vit-nano-64.safetensors --steps 6000",
            "fusiongen pretrain specs/backbones/vit-nano-64.fusion.yaml --set backbone.depth=4 --keep-head --out shallow.safetensors",
            "fusiongen pretrain specs/backbones/vit-nano-64.fusion.yaml --grow shallow.safetensors --steps 500 --course 0 --lr 5e-4",
            "fusiongen pretrain specs/backbones/vit-nano-64.fusion.yaml --steps 20 --batch 16   # a look at the rate")
    {
        this.spec = this.Takes(CommonOptions.Spec());
        this.overrides = this.Takes(CommonOptions.Set());
        this.path = this.Takes(CommonOptions.Out("The weights' file, safetensors in timm's layout; beside the spec if not given."));
        this.seed = this.Takes(CommonOptions.Seed());
        this.threads = this.Takes(new Option<int>("--threads") { Description = "Slices of a batch that train side by side; 0 for one per processor. Does not change the result.", HelpName = "number", DefaultValueFactory = _ => 0 });
        this.steps = this.Takes(Number("--steps", "Optimizer steps.", Defaults.Steps));
        this.batch = this.Takes(Number("--batch", "Images of a step.", Defaults.Batch));
        this.warmup = this.Takes(Number("--warmup", "Steps over which the learning rate rises.", Defaults.Warmup));
        this.course = this.Takes(Number("--course", "Steps over which images grow from plain to any variety.", Defaults.Course));
        this.rate = this.Takes(new Option<double>("--lr") { Description = "Peak learning rate.", HelpName = "number", DefaultValueFactory = _ => Defaults.Optimizer.LearningRate });
        this.shallower = this.Takes(new Option<string?>("--grow") { Description = "Start from the pretrained weights of a network with fewer blocks; new blocks start as nothing.", HelpName = "file" });
        this.keepHead = this.Takes(new Option<bool>("--keep-head") { Description = "Keep the classifier in the file, for --grow to take over." });
    }

    public override ExitCode Run(Invocation invocation)
    {
        var terminal = invocation.Terminal;
        var file = SpecFile.Load(invocation.Get(this.spec), invocation.Get(this.overrides), terminal);
        if (file.Document.Tune.Scope != TuneScope.All)
            throw new FusionException($"{file.Path}: pretraining needs a spec with 'tune: all'", ExitCode.Spec);
        if (file.Document.Classes < FractalImages.FewestClasses || file.Document.Backbone.Image < FractalImages.SmallestSize)
            throw new FusionException($"{file.Path}: pretraining draws images of at least {FractalImages.FewestClasses} classes (kinds, columns, rows and directions) and {FractalImages.SmallestSize} pixels a side", ExitCode.Spec);
        var path = invocation.Get(this.path) ?? Path.Combine(Path.GetDirectoryName(file.Path) ?? "", file.Name + ".safetensors");
        var settings = Defaults with
        {
            Seed = invocation.Get(this.seed),
            Steps = invocation.Get(this.steps),
            Batch = invocation.Get(this.batch),
            Warmup = invocation.Get(this.warmup),
            Course = invocation.Get(this.course),
            Optimizer = Defaults.Optimizer with { LearningRate = invocation.Get(this.rate) },
        };
        LibTorch.Require("pretraining");
        using var network = file.Compile(null, terminal).CreateBackbone();
        var pretrainer = new Pretrainer(network, settings, invocation.Get(this.threads)) { Shallower = invocation.Get(this.shallower) };
        var result = pretrainer.Run(path + ".checkpoint", progress => Report(terminal, progress), invocation.Cancellation);
        var keepHead = invocation.Get(this.keepHead);
        SafeTensors.Write(
            path,
            network.Specs.Where(spec => keepHead || spec.Role != TensorRole.Head).Select(spec => KeyValuePair.Create(spec.Name, (Tensor)network[spec.Name])),
            new Dictionary<string, string>(StringComparer.Ordinal)
            {
                ["format"] = "pt",
                ["command"] = $"fusiongen {string.Join(' ', invocation.Parse.Tokens.Select(token => token.Value))}",
                ["images"] = "formula-driven fractals and contours, told apart by kind, place and direction",
                ["normalization"] = settings.Normalization.Name,
                ["settings"] = settings.ToString(),
                ["hours"] = result.Elapsed.TotalHours.ToString("0.00", CultureInfo.InvariantCulture),
                ["accuracy"] = result.Accuracies.ToString(),
            });
        File.Delete(path + ".checkpoint");
        terminal.Line($"{path}: {result.Accuracies} on {settings.HeldOut} images never seen, after {Numbers.Duration(result.Elapsed.TotalSeconds)}");
        return ExitCode.Ok;
    }

    private static Option<int> Number(string name, string description, int value) => new(name) { Description = description, HelpName = "number", DefaultValueFactory = _ => value };

    private static void Report(Terminal terminal, PretrainProgress progress)
    {
        if (terminal.IsErrorTerminal)
            terminal.ErrorOutput.Write($"\r{progress}\u001b[K{(progress.Step == progress.Steps ? "\n" : "")}");
        else if (progress.Step % 50 == 0 || progress.Step == progress.Steps)
            terminal.Note(progress.ToString());
    }
}
