// Searches, rebuilds and trains specs/sprites.fusion.yaml through its generated types, as an app of your own would. From the repository's root:
//   dotnet run -c Release --project src/FusionGen.Demo search     finds a policy and writes specs/sprites.policy.yaml
//   dotnet run -c Release --project src/FusionGen.Demo train      SpritesModel is now compiled with it: trains, tests, predicts
using System.Diagnostics;
using FusionGen;
using FusionGen.Checkpoints;
using FusionGen.Data;
using FusionGen.Demo;
using FusionGen.Reporting;
using FusionGen.Search;
using FusionGen.Training;
using FusionGen.Weights;

const string Specs = "specs";
const string Folder = "runs/demo";
const long Seed = 0;
var watch = Stopwatch.StartNew();
var data = DataSource.Open(SpritesPlan.Supernet.Data, Seed);
var progress = new ConsoleProgress(Console.Error, isTerminal: !Console.IsErrorRedirected);

try
{
    switch (args)
    {
        case ["search"]:
            Search();
            break;
        case ["train"]:
            Train();
            break;
        default:
            throw new FusionException("usage: FusionGen.Demo search|train", ExitCode.Spec);
    }
    return (int)ExitCode.Ok;
}
catch (FusionException error)
{
    Console.Error.WriteLine($"error: {error.Message}");
    return (int)error.Code;
}

void Search()
{
    if (Directory.Exists(Path.Combine(Folder, "checkpoint")))
        Directory.Delete(Path.Combine(Folder, "checkpoint"), recursive: true);
    using var supernet = new SpritesSupernet();
    var (policy, _) = Find(supernet);
    AtomicFile.WriteText(Path.Combine(Specs, "sprites.policy.yaml"), Policies.ToYaml(policy));
    Console.WriteLine($"searched in {watch.Elapsed.TotalSeconds:0} s; layer 0 uses {policy.Layer0}, layer 11 uses {policy.Layer11}; wrote {Specs}/sprites.policy.yaml");
}

// Runs the search, or takes up where its checkpoint stands: after a search that ended, that is the trained supernet.
(SpritesPolicy Policy, int Epochs) Find(SpritesSupernet supernet)
{
    var context = Start(supernet);
    var settings = SpritesPlan.Search;
    using var search = new BilevelSearch(supernet, Batches(data.Train, settings.Batch, training: true), Batches(data.Val, settings.Batch), settings, context);
    var epochs = search.Run().History.Count;
    return (supernet.Discretise(), epochs);
}

void Train()
{
    using var model = new SpritesModel();
    var context = Start(model);
    int searched;
    using (var supernet = new SpritesSupernet())
    {
        (_, searched) = Find(supernet);
        model.CopyFrom(supernet);
    }
    var (settings, batch) = (SpritesPlan.Train, SpritesPlan.Train.Batch);
    using (var trainer = new Trainer(model, Batches(data.Train, batch, training: true), Batches(data.Val, batch), settings, context, searched))
        trainer.Run();
    Adapter.Save(Path.Combine(Folder, "adapter"), model, context.Backbone, data.ClassNames);
    var test = Evaluation.Of(model.forward, Batches(data.Test, batch), model);

    using var backbone = new SpritesBackbone();
    Start(backbone);
    var probe = LinearProbe.Run(backbone, Batches(data.Train, batch), Batches(data.Val, batch), Batches(data.Test, batch), Seed);

    for (var layer = 0; layer < model.Policy.Count; layer++)
        Console.WriteLine($"layer {layer,2}: {model.Policy[layer]}");
    Console.WriteLine($"tuned: {SpritesPlan.TunedShare:0.00%} of the parameters");
    Console.WriteLine($"accuracy: {test.Top1:0.0%} on {test.Samples} test images; linear probe: {probe.Test!.Top1:0.0%}");
    var guess = model.Predict(data.Test.Read(0))[0];
    Console.WriteLine($"the first test image is of class {data.ClassNames[data.Test.Label(0)]}; SpritesModel says {data.ClassNames[guess.Class]} ({guess.Probability:0%})");
    Console.WriteLine($"trained and tested in {watch.Elapsed.TotalSeconds:0} s");
}

// Random start by the seed, then the backbone's weights.
RunContext Start(FusionNetwork network)
{
    network.Initialize(Seed);
    var weights = BackboneWeights.Load(network, Path.Combine(Specs, network.Plan.Weights));
    return new RunContext { Seed = Seed, Folder = Folder, Backbone = weights.Digest, Progress = progress };
}

Loader Batches(Split split, int batch, bool training = false) =>
    new(split, Preprocessing.Of(SpritesPlan.Train.Preprocessing), Normalization.Of(SpritesPlan.Train.Normalization), SpritesPlan.ImageSize, batch, training);
