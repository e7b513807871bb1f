using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using FusionGen.Checkpoints;
using FusionGen.Cli.Output;
using FusionGen.Compiler.Spec;
using FusionGen.Reporting;
using FusionGen.Training;

namespace FusionGen.Cli.Runs;

/// <summary>
/// A recipe's whole protocol on one task: every point of the grid on the training split, judged on the validation split (of equals the smaller rate),
/// then the winner under every seed, on training and validation pictures together where the recipe says so, each tested once (METHOD §4.1, §6.3).
/// Every part has a folder of its own: finished ones are taken over, the one that was stopped continues.
/// </summary>
internal sealed class GridRun(Experiment experiment, string folder, PolicyDocument? policy, long seed)
{
    private readonly Dictionary<string, IBatches> batches = new(StringComparer.Ordinal);

    private SpecDocument Spec => experiment.Spec.Document;

    private TrainSettings Train => this.Spec.Train;

    /// <summary>Runs it, or what is left of it, and writes the tables.</summary>
    public void Run()
    {
        this.Check();
        var points = this.Points();
        var seeds = this.Train.Seeds.Count > 0 ? this.Train.Seeds.Select(one => (long)one).ToList() : [seed];
        using var network = this.Create();
        var digest = experiment.Prepare(network, seeds[0]);
        experiment.WriteStart(folder, seeds[0], digest);
        var judged = new List<Part>();
        // One point needs no judging.
        foreach (var point in points.Count > 1 ? points : [])
        {
            judged.Add(this.Judge(network, digest, point, seeds[0]));
            experiment.Terminal.Note(string.Create(CultureInfo.InvariantCulture, $"{judged.Count} of {points.Count}: {point}: {(double.IsNaN(judged[^1].Validation) ? "diverged" : Numbers.Percent(judged[^1].Validation))}"));
        }
        if (judged.Count > 0 && judged.TrueForAll(part => double.IsNaN(part.Validation)))
            throw new FusionException("every point of the grid diverged; name smaller learning rates in 'train.grid.lr'", ExitCode.Diverged);
        var winner = judged.Count == 0 ? new Part(points[0], double.NaN, null, 0) : judged.OrderByDescending(part => part.Validation).ThenBy(part => part.Point.Rate).First();
        var finals = new List<Part>();
        foreach (var one in seeds)
        {
            finals.Add(this.Final(network, digest, winner.Point, one));
            experiment.Terminal.Note(string.Create(CultureInfo.InvariantCulture, $"seed {one}: {Numbers.Percent(finals[^1].Top1)}"));
        }
        this.Write(network.Plan, judged, winner, seeds, finals);
    }

    private void Check()
    {
        if (this.Train.Continue)
            throw new FusionException($"{experiment.Spec.Path}: a grid trains from scratch, and 'train.continue' is true; use 'fusiongen run' for a search that training continues, or set train.continue=false", ExitCode.Spec);
        if (this.Train.Retrain && this.Train.Keep == Keep.Best)
            throw new FusionException($"{experiment.Spec.Path}: 'train.retrain' leaves no picture to choose the best epoch on; set train.keep=last", ExitCode.Spec);
        if (policy is null && this.Spec.Layers.Any(layer => layer.Candidates.Count > 1))
            throw new FusionException($"{experiment.Spec.Path}: some layer has several candidates; search for a policy first, or name one with --policy", ExitCode.Spec);
        if (this.Train.Retrain && experiment.Data.Test.Count == 0)
            throw new FusionException($"{experiment.Data.Name}: has no test split, and 'train.retrain' leaves no other to report on", ExitCode.Data);
    }

    private List<Point> Points()
    {
        var (grid, own) = (this.Train.Grid, this.Train.Optimizer);
        IReadOnlyList<double> decays = grid.WeightDecay.Count > 0 ? [.. grid.WeightDecay] : [own.WeightDecay];
        IReadOnlyList<double> rates = grid.Lr.Count > 0 ? [.. grid.Lr] : [own.LearningRate];
        return [.. rates.SelectMany(rate => decays.Select(decay => new Point(rate, decay)))];
    }

    private FusionModel Create()
    {
        var compiled = experiment.Spec.Compile(policy, experiment.Terminal);
        return policy is null ? compiled.CreateBackbone(experiment.Device) : compiled.CreateModel(experiment.Device);
    }

    private static TrainSettings At(FusionModel network, Point point)
    {
        var train = network.Plan.Train;
        // Without grid and seeds: a part stays the same part when others are added.
        return train with { Grid = new(), Seeds = default, Optimizer = train.Optimizer with { LearningRate = point.Rate, WeightDecay = point.Decay } };
    }

    private Part Judge(FusionModel network, string digest, Point point, long one) => this.Part(
        Path.Combine("grid", point.Folder), network, digest, point, one, "train", isTested: false);

    private Part Final(FusionModel network, string digest, Point point, long one) => this.Part(
        Path.Combine("final", string.Create(CultureInfo.InvariantCulture, $"seed-{one}")), network, digest, point, one, this.Train.Retrain ? "train+val" : "train", isTested: true);

    private Part Part(string name, FusionModel network, string digest, Point point, long one, string pictures, bool isTested)
    {
        var inside = Path.Combine(folder, name);
        var settings = At(network, point);
        var data = experiment.Data;
        var identity = Identity(
            network.Plan.SpecHash, string.Join(' ', network.Policy), settings.ToString(), one.ToString(CultureInfo.InvariantCulture), digest, network.Engine.ToString(),
            string.Create(CultureInfo.InvariantCulture, $"{data.Name} {pictures} {data.Train.Count} {data.Val.Count} {data.Test.Count}"));
        if (Runs.Part.Finished(inside, identity, point) is { } finished)
            return finished;
        experiment.Prepare(network, one);
        Part part;
        try
        {
            part = this.Fit(network, settings, inside, digest, point, one, pictures, isTested);
        }
        catch (FusionException error) when (error.Code == ExitCode.Diverged && !isTested)
        {
            // A rate that is too large for a task is what grids are there to find out.
            part = new Part(point, double.NaN, null, 0);
        }
        if (isTested)
            Adapter.Save(Path.Combine(inside, "adapter"), network, digest, data.ClassNames);
        RunFolder.WriteSummary(inside, part.Values(identity, one));
        if (Directory.Exists(Path.Combine(inside, "checkpoint")))
            Directory.Delete(Path.Combine(inside, "checkpoint"), recursive: true);
        return part;
    }

    private Part Fit(FusionModel network, TrainSettings settings, string inside, string digest, Point point, long one, string pictures, bool isTested)
    {
        var isWhole = pictures == "train+val";
        var train = this.Shared(pictures, () => isWhole ? experiment.TrainVal(settings.Batch) : experiment.Train(settings.Batch));
        var validation = isWhole ? null : this.Shared("val", () => experiment.Validation(settings.Batch));
        using var trainer = new Trainer(network, train, validation, settings, experiment.Context(inside, one, digest));
        var result = trainer.Run(experiment.Cancellation);
        var test = isTested && experiment.Data.Test.Count > 0
            ? Evaluation.Of(network.forward, this.Shared("test", () => experiment.Fixed(experiment.Data.Test, settings.Batch)), network, experiment.Cancellation)
            : null;
        return new Part(point, result.BestTop1, test?.Top1, result.History.Sum(epoch => epoch.Seconds));
    }

    /// <summary>Pictures are decoded once for all parts.</summary>
    private IBatches Shared(string name, Func<IBatches> open) => this.batches.TryGetValue(name, out var known) ? known : this.batches[name] = open();

    private void Write(NetworkPlan plan, List<Part> judged, Part winner, List<long> seeds, List<Part> finals)
    {
        var (terminal, data, protocol) = (experiment.Terminal, experiment.Data, RecipeCatalogue.Protocol(this.Train));
        var seconds = judged.Concat(finals).Sum(part => part.Seconds);
        terminal.Heading($"{this.Spec.Model} on {data.Name}, protocol {protocol}");
        if (judged.Count > 0)
        {
            var decays = judged.Select(part => part.Point.Decay).Distinct().ToList();
            var grid = Tables.New([">lr", .. decays.Select(decay => $">decay {Numbers.Text(decay)}")]);
            foreach (var row in judged.GroupBy(part => part.Point.Rate))
                grid.Row([Numbers.Text(row.Key), .. row.Select(part => double.IsNaN(part.Validation) ? "diverged" : Numbers.Percent(part.Validation) + (part == winner ? " *" : "  "))]);
            terminal.Table(grid);
        }
        var table = Tables.New("network", ">lr", ">decay", ">tuned share", ">validation", ">runs", finals[0].Test is null ? ">validation of the runs" : ">test", ">time");
        table.Row(
            policy is null ? "no operators" : "policy",
            Numbers.Text(winner.Point.Rate),
            Numbers.Text(winner.Point.Decay),
            Numbers.Percent(plan.TunedShare),
            double.IsNaN(winner.Validation) ? "" : Numbers.Percent(winner.Validation),
            Numbers.Text(finals.Count),
            Numbers.PercentOf([.. finals.Select(part => part.Top1)]),
            Numbers.Duration(seconds));
        terminal.Table(table);
        terminal.Line($"{data.Train.Count} training and {data.Val.Count} validation pictures, {(this.Train.Retrain ? "together in the final runs" : "kept apart")}; {data.Test.Count} test pictures, seen once a run. Seeds {string.Join(", ", seeds)}. Run folder: {folder}");
        var csv = new StringBuilder("lr,weight_decay,val_top1,chosen\n");
        foreach (var part in judged)
            csv.Append(CultureInfo.InvariantCulture, $"{part.Point.Rate:R},{part.Point.Decay:R},{part.Validation:0.######},{(part == winner ? 1 : 0)}\n");
        AtomicFile.WriteText(Path.Combine(folder, "grid.csv"), csv.ToString());
        var top1 = finals.Select(part => part.Top1).ToList();
        var mean = top1.Average();
        RunFolder.WriteSummary(folder,
        [
            new("model", this.Spec.Model),
            new("network", policy is null ? "no operators" : "policy"),
            new("seed", string.Join(' ', seeds)),
            new("data", data.Name),
            new("protocol", protocol),
            new("tuned_parameters", plan.TunedParameters.ToString(CultureInfo.InvariantCulture)),
            new("tuned_share", Runs.Part.Number(plan.TunedShare)),
            new("lr", Runs.Part.Number(winner.Point.Rate)),
            new("weight_decay", Runs.Part.Number(winner.Point.Decay)),
            new("val_top1", Runs.Part.Number(winner.Validation)),
            new(finals[0].Test is null ? "val_top1_mean" : "test_top1", Runs.Part.Number(mean)),
            new("top1_sd", Runs.Part.Number(top1.Count > 1 ? Math.Sqrt(top1.Sum(value => (value - mean) * (value - mean)) / (top1.Count - 1)) : 0)),
            new("seconds", seconds.ToString("0.0", CultureInfo.InvariantCulture)),
        ]);
    }

    /// <summary>What tells a part from others; a part of another identity in the same folder is run anew.</summary>
    private static string Identity(params string[] what) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', what))));
}

/// <summary>A point of a grid.</summary>
/// <param name="Rate">Learning rate, before it is scaled by the batch.</param>
/// <param name="Decay">Weight decay.</param>
internal sealed record Point(double Rate, double Decay)
{
    /// <summary>Where its run goes.</summary>
    public string Folder => string.Create(CultureInfo.InvariantCulture, $"lr-{this.Rate:R}-decay-{this.Decay:R}");

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"lr {this.Rate:R}, decay {this.Decay:R}");
}

/// <summary>How a part of a protocol came out.</summary>
/// <param name="Point">Its rate and decay.</param>
/// <param name="Validation">Validation accuracy; not a number if it diverged, or had no validation pictures.</param>
/// <param name="Test">Test accuracy, where it was tested.</param>
/// <param name="Seconds">Training.</param>
internal sealed record Part(Point Point, double Validation, double? Test, double Seconds)
{
    /// <summary>Accuracy that counts.</summary>
    public double Top1 => this.Test ?? this.Validation;

    /// <summary>What an earlier run of the same part wrote; null if there is none.</summary>
    public static Part? Finished(string folder, string identity, Point point)
    {
        var values = RunFolder.ReadSummary(folder).ToDictionary(pair => pair.Key, pair => pair.Value, StringComparer.Ordinal);
        if (values.GetValueOrDefault("part") != identity)
            return null;
        return new Part(
            point,
            double.Parse(values["val_top1"], CultureInfo.InvariantCulture),
            values.TryGetValue("test_top1", out var test) ? double.Parse(test, CultureInfo.InvariantCulture) : null,
            double.Parse(values["seconds"], CultureInfo.InvariantCulture));
    }

    /// <summary>What is written of it.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Values(string identity, long seed) =>
    [
        new("part", identity),
        new("seed", seed.ToString(CultureInfo.InvariantCulture)),
        new("lr", Number(this.Point.Rate)),
        new("weight_decay", Number(this.Point.Decay)),
        new("val_top1", Number(this.Validation)),
        .. this.Test is { } test ? [new KeyValuePair<string, string>("test_top1", Number(test))] : Array.Empty<KeyValuePair<string, string>>(),
        new("seconds", this.Seconds.ToString("0.0", CultureInfo.InvariantCulture)),
    ];

    /// <summary>To the bit.</summary>
    internal static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);
}
