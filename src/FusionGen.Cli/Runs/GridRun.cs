using System.Globalization;
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
internal sealed class GridRun(Experiment experiment, string folder, PolicyDocument? policy, long seed, bool isFast = false)
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
        if (points.Count > 1 && isFast)
        {
            // VAPT's --fast: the decays at one rate, then the rates at the best of them.
            var first = points.Where(point => point.Rate == this.FastRate(points)).ToList();
            Judge(first, first.Count + points.Select(point => point.Rate).Distinct().Count() - 1);
            var decay = Best(judged)!.Point.Decay;
            Judge([.. points.Where(point => point.Decay == decay && !first.Contains(point))], judged.Count + points.Select(point => point.Rate).Distinct().Count() - 1);
        }
        else if (points.Count > 1)
        {
            Judge(points, points.Count);
        }
        if (judged.Count > 0 && judged.TrueForAll(part => double.IsNaN(part.Outcome.Validation)))
            throw new FusionException("every point of the grid diverged; name smaller learning rates in 'train.grid.lr'", ExitCode.Diverged);
        var winner = Best(judged);
        var finals = new List<Part>();
        foreach (var one in seeds)
        {
            finals.Add(this.Final(network, digest, winner?.Point ?? points[0], one));
            experiment.Terminal.Note(string.Create(CultureInfo.InvariantCulture, $"seed {one}: {Numbers.Percent(finals[^1].Outcome.Top1)}"));
        }
        this.Write(network.Plan, judged, winner, seeds, finals);

        static Part? Best(List<Part> parts) => parts.OrderByDescending(part => part.Outcome.Validation).ThenBy(part => part.Point.Rate).FirstOrDefault();

        void Judge(IReadOnlyList<Point> some, int all)
        {
            foreach (var point in some)
            {
                judged.Add(this.Judge(network, digest, point, seeds[0]));
                experiment.Terminal.Note(string.Create(CultureInfo.InvariantCulture, $"{judged.Count} of {all}: {point}: {(double.IsNaN(judged[^1].Outcome.Validation) ? "diverged" : Numbers.Percent(judged[^1].Outcome.Validation))}"));
            }
        }
    }

    /// <summary>The rate at which decays are tried first: the spec's own where the grid has it, else the grid's first.</summary>
    private double FastRate(List<Point> points) => points.Exists(point => point.Rate == this.Train.Optimizer.LearningRate) ? this.Train.Optimizer.LearningRate : points[0].Rate;

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
        var (inside, settings, data) = (Path.Combine(folder, name), At(network, point), experiment.Data);
        var identity = string.Join(
            '\n', network.Plan.SpecHash, string.Join(' ', network.Policy), settings, digest, network.Engine,
            string.Create(CultureInfo.InvariantCulture, $"{data.Name} {pictures} {data.Train.Count} {data.Val.Count} {data.Test.Count}"));
        var outcome = new Trial(point.ToString(), one, inside, identity, () => this.Fit(network, settings, inside, digest, point, one, pictures, isTested)).Take().Outcome;
        if (Directory.Exists(Path.Combine(inside, "checkpoint")))
            Directory.Delete(Path.Combine(inside, "checkpoint"), recursive: true);
        return new Part(point, outcome);
    }

    private Outcome Fit(FusionModel network, TrainSettings settings, string inside, string digest, Point point, long one, string pictures, bool isTested)
    {
        experiment.Prepare(network, one);
        var isWhole = pictures == "train+val";
        var train = this.Shared(pictures, () => isWhole ? experiment.TrainVal(settings.Batch) : experiment.Train(settings.Batch));
        var validation = isWhole ? null : this.Shared("val", () => experiment.Validation(settings.Batch));
        using var trainer = new Trainer(network, train, validation, settings, experiment.Context(inside, one, digest));
        var outcome = new Outcome(point.ToString(), network.Policy, network.Plan.TunedParameters, network.Plan.TunedShare, double.NaN, null, 0);
        try
        {
            var result = trainer.Run(experiment.Cancellation);
            outcome = outcome with { Validation = result.BestTop1, Seconds = result.History.Sum(epoch => epoch.Seconds) };
        }
        catch (FusionException error) when (error.Code == ExitCode.Diverged && !isTested)
        {
            // A rate that is too large for a task is what grids are there to find out.
            return outcome;
        }
        if (!isTested)
            return outcome;
        Adapter.Save(Path.Combine(inside, "adapter"), network, digest, experiment.Data.ClassNames);
        return experiment.Data.Test.Count == 0 ? outcome : outcome with
        {
            Test = Evaluation.Of(network.forward, this.Shared("test", () => experiment.Fixed(experiment.Data.Test, settings.Batch)), network, experiment.Cancellation),
        };
    }

    /// <summary>Pictures are decoded once for all parts.</summary>
    private IBatches Shared(string name, Func<IBatches> open) => this.batches.TryGetValue(name, out var known) ? known : this.batches[name] = open();

    private void Write(NetworkPlan plan, List<Part> judged, Part? winner, List<long> seeds, List<Part> finals)
    {
        var (terminal, data, protocol) = (experiment.Terminal, experiment.Data, RecipeCatalogue.Protocol(this.Train));
        var chosen = finals[0].Point;
        var seconds = judged.Concat(finals).Sum(part => part.Outcome.Seconds);
        terminal.Heading($"{this.Spec.Model} on {data.Name}, protocol {protocol}");
        if (judged.Count > 0)
        {
            var decays = judged.Select(part => part.Point.Decay).Distinct().ToList();
            var grid = Tables.New([">lr", .. decays.Select(decay => $">decay {Numbers.Text(decay)}")]);
            foreach (var row in judged.GroupBy(part => part.Point.Rate))
                grid.Row([Numbers.Text(row.Key), .. decays.Select(decay => row.FirstOrDefault(part => part.Point.Decay == decay) is not { } part ? "" : double.IsNaN(part.Outcome.Validation) ? "diverged" : Numbers.Percent(part.Outcome.Validation) + (part == winner ? " *" : "  "))]);
            terminal.Table(grid);
        }
        var table = Tables.New("network", ">lr", ">decay", ">tuned share", ">validation", ">runs", finals[0].Outcome.Test is null ? ">validation of the runs" : ">test", ">time");
        table.Row(
            policy is null ? "no operators" : "policy",
            Numbers.Text(chosen.Rate),
            Numbers.Text(chosen.Decay),
            Numbers.Percent(plan.TunedShare),
            winner is null ? "" : Numbers.Percent(winner.Outcome.Validation),
            Numbers.Text(finals.Count),
            Numbers.PercentOf([.. finals.Select(part => part.Outcome.Top1)]),
            Numbers.Duration(seconds));
        terminal.Table(table);
        terminal.Line($"{data.Train.Count} training and {data.Val.Count} validation pictures, {(this.Train.Retrain ? "together in the final runs" : "kept apart")}; {data.Test.Count} test pictures, seen once a run. Seeds {string.Join(", ", seeds)}. Run folder: {folder}");
        var csv = new StringBuilder("lr,weight_decay,val_top1,chosen\n");
        foreach (var part in judged)
            csv.Append(CultureInfo.InvariantCulture, $"{part.Point.Rate:R},{part.Point.Decay:R},{part.Outcome.Validation:0.######},{(part == winner ? 1 : 0)}\n");
        AtomicFile.WriteText(Path.Combine(folder, "grid.csv"), csv.ToString());
        var top1 = finals.Select(part => part.Outcome.Top1).ToList();
        var mean = top1.Average();
        RunFolder.WriteSummary(folder,
        [
            new("model", this.Spec.Model),
            new("network", policy is null ? "no operators" : "policy"),
            new("seed", string.Join(' ', seeds)),
            new("data", data.Name),
            new("protocol", protocol),
            new("tuned_parameters", plan.TunedParameters.ToString(CultureInfo.InvariantCulture)),
            new("tuned_share", Number(plan.TunedShare)),
            new("lr", Number(chosen.Rate)),
            new("weight_decay", Number(chosen.Decay)),
            new("val_top1", Number(winner?.Outcome.Validation ?? double.NaN)),
            new(finals[0].Outcome.Test is null ? "val_top1_mean" : "test_top1", Number(mean)),
            new("top1_sd", Number(top1.Count > 1 ? Math.Sqrt(top1.Sum(value => (value - mean) * (value - mean)) / (top1.Count - 1)) : 0)),
            new("seconds", seconds.ToString("0.0", CultureInfo.InvariantCulture)),
        ]);
    }

    /// <summary>To the bit.</summary>
    private static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);
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

/// <summary>A part of a protocol, and how it came out.</summary>
/// <param name="Point">Its rate and decay.</param>
/// <param name="Outcome">Validation is not a number if it diverged, or had no validation pictures.</param>
internal sealed record Part(Point Point, Outcome Outcome);
