using System.CommandLine;
using System.Globalization;
using FusionGen.Cli.Export;
using FusionGen.Cli.Runs;
using FusionGen.Data;
using FusionGen.Training;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen export</c>.</summary>
internal sealed class ExportCommand : ToolCommand
{
    /// <summary>Of the largest logit; float32 weights rounded once differ by far less.</summary>
    private const double Tolerance = 1e-3;

    private const int MostImages = 256;

    private readonly ExperimentOptions experiment;
    private readonly Option<string?> adapter;
    private readonly Option<string?> path;
    private readonly Option<int> images;

    public ExportCommand()
        : base(
            "export",
            "Merges a trained network into its backbone's own weights, in timm's names, for whoever runs the plain backbone: timm.create_model(…, num_classes=N).load_state_dict(load_file(…)).\n" +
            "Only where merging is exact: add, affine, add-direct, affine-direct, ssf, lora, BitFit, the last blocks, everything, the head alone; other operators are refused by name.\n" +
            "The file is read back into the plain backbone, and the largest difference of a logit told.",
            "fusiongen export specs/methods/lora.fusion.yaml --adapter runs/lora-0/adapter --out lora.safetensors")
    {
        this.experiment = new ExperimentOptions(this);
        this.adapter = this.Takes(TrainedModel.Option());
        this.path = this.Takes(CommonOptions.Out("Where to write; the spec's name with .safetensors if not given."));
        this.images = this.Takes(new Option<int>("--images") { Description = "Rendered sprites that both networks are compared on.", HelpName = "number", DefaultValueFactory = _ => 16 });
        this.images.Validators.Add(result =>
        {
            if (result.GetValue(this.images) is < 1 or > MostImages)
                result.AddError($"--images: has to be 1 to {MostImages}");
        });
    }

    public override ExitCode Run(Invocation invocation)
    {
        var (terminal, opened) = (invocation.Terminal, this.experiment.Open(invocation));
        var target = invocation.Get(this.path) ?? $"{opened.Spec.Name}.safetensors";
        using var trained = TrainedModel.Load(opened, invocation.Get(this.adapter));
        var count = MergedNetwork.Write(target, opened.Spec, trained.Policy, trained.Model, new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["format"] = "pt",
            ["merged"] = string.Join(' ', trained.Config.Policy.Select(name => name.Length > 0 ? name : "-")),
            ["classes"] = string.Join('\n', trained.Config.Classes),
        });

        using var plain = opened.Spec.Compile(null, terminal).CreateBackbone(opened.Device);
        opened.Compute.Apply(plain);
        plain.Initialize(0);
        _ = BackboneWeights.Load(plain, target);
        var (difference, largest) = Compare(trained.Model, plain, opened.Fixed(DataSource.Open("sprites:location", 0).Test, invocation.Get(this.images)));
        if (!(difference <= Tolerance * Math.Max(1, largest)))
            throw new InvalidOperationException($"{target}: logits differ by up to {difference:G3}, which is a fault of FusionGen");
        terminal.Line(string.Create(CultureInfo.InvariantCulture, $"{target}: {count} tensors in timm's names; the plain backbone's logits differ from the network's by at most {difference:G2}, of logits up to {largest:G3}"));
        return ExitCode.Ok;
    }

    private static (double Difference, double Largest) Compare(FusionModel own, FusionModel plain, IBatches batches)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        using var batch = batches.On(own, seed: 0, epoch: 0).First();
        var (a, b) = (Numbers(own.forward(batch.Images)), Numbers(plain.forward(batch.Images)));
        return (a.Zip(b, (x, y) => Math.Abs(x - y)).Max(), a.Max(Math.Abs));
        static float[] Numbers(Tensor logits) => logits.to(ScalarType.Float32, CPU).data<float>().ToArray();
    }
}
