using System.Diagnostics;
using System.Globalization;
using FusionGen.Checkpoints;
using FusionGen.Cli.Compilation;
using FusionGen.Compiler;
using FusionGen.Compiler.Spec;
using FusionGen.Reporting;
using FusionGen.Search;
using FusionGen.Training;

namespace FusionGen.Cli.Runs;

/// <summary>How a network did.</summary>
/// <param name="Name">What reports call it.</param>
/// <param name="Policy">Operator of each layer; empty where there is none.</param>
/// <param name="Tuned">Tuned parameters without the head.</param>
/// <param name="TunedShare">Tuned share, head included.</param>
/// <param name="Validation">Validation accuracy.</param>
/// <param name="Test">On the test split, if the data has one.</param>
/// <param name="Seconds">Training, and the search where there was one.</param>
internal sealed record Outcome(string Name, IReadOnlyList<string> Policy, long Tuned, double TunedShare, double Validation, Evaluation? Test, double Seconds)
{
    /// <summary>Accuracy that counts: on the test split, else on the validation split.</summary>
    public double Top1 => this.Test?.Top1 ?? this.Validation;
}

/// <summary>A run of an experiment under a seed, in a folder: search, training, controls. Every part continues where an earlier run of it stopped.</summary>
internal sealed class FusionRun(Experiment experiment, string folder, long seed)
{
    private IReadOnlyList<LayerCandidates> layers = [];
    private double searchSeconds;
    private int searchEpochs;

    /// <summary>Whether the folder holds a search to continue from.</summary>
    public bool HasSearch => File.Exists(Path.Combine(folder, "checkpoint", "search.safetensors"));

    private SpecDocument Spec => experiment.Spec.Document;

    /// <summary>Searches; writes <c>policy.yaml</c> into the folder.</summary>
    /// <returns>The policy and the supernet it was found in, which the caller disposes.</returns>
    public (PolicyDocument Policy, Supernet Supernet) Search()
    {
        var compiled = experiment.Spec.Compile(null, experiment.Terminal);
        if (!compiled.HasSupernet)
            throw new FusionException($"{experiment.Spec.Path}: no layer has candidates, so there is nothing to search", ExitCode.Spec);
        var supernet = compiled.CreateSupernet(experiment.Device);
        try
        {
            var digest = experiment.Prepare(supernet, seed);
            experiment.WriteStart(folder, seed, digest);
            var settings = supernet.Plan.Search;
            using var search = new BilevelSearch(supernet, experiment.Train(settings.Batch), experiment.Validation(settings.Batch), settings, experiment.Context(folder, seed, digest));
            var result = search.Run(experiment.Cancellation);
            AtomicFile.WriteText(Path.Combine(folder, "policy.yaml"), Policies.ToYaml(result.Policy));
            this.layers = supernet.Layers;
            this.searchEpochs = result.History.Count;
            this.searchSeconds = result.History.Sum(epoch => epoch.Seconds);
            return (new PolicyDocument(result.Policy.Model, result.Policy.SpecHash, result.Policy.Names.ToEquatableArray()), supernet);
        }
        catch
        {
            supernet.Dispose();
            throw;
        }
    }

    /// <summary>Compiles a policy's model, trains and tests it; writes adapter, summary and report.</summary>
    /// <param name="policy">The policy.</param>
    /// <param name="supernet">Where to continue from; null to start from scratch.</param>
    public Outcome Train(PolicyDocument policy, Supernet? supernet)
    {
        using var model = experiment.Spec.Compile(policy, experiment.Terminal).CreateModel(experiment.Device);
        var digest = experiment.Prepare(model, seed);
        experiment.WriteStart(folder, seed, digest);
        if (supernet is not null)
            model.CopyFrom(supernet);
        var outcome = this.Fit("found policy", model, model.Plan.Train, folder, digest, supernet is null ? 0 : this.searchEpochs, this.searchSeconds);
        Adapter.Save(Path.Combine(folder, "adapter"), model, digest, experiment.Data.ClassNames);
        this.Conclude(outcome, []);
        return outcome;
    }

    /// <summary>A control: a uniform policy, or no operators at all, trained from scratch for as many epochs as search and training have together.</summary>
    public Outcome Control(string name)
    {
        using var network = name == "none"
            ? experiment.Spec.Compile(null, experiment.Terminal).CreateBackbone(experiment.Device)
            : experiment.Spec.Compile(Uniform.Policy(this.Spec, name), experiment.Terminal).CreateModel(experiment.Device);
        var digest = experiment.Prepare(network, seed);
        var (search, train) = (network.Plan.Search, network.Plan.Train);
        var settings = train.Continue ? train with { Epochs = search.Epochs + train.Epochs, Optimizer = search.Optimizer, Batch = search.Batch } : train;
        var inside = Path.Combine(folder, "controls", name);
        experiment.WriteStart(inside, seed, digest);
        var outcome = this.Fit(name == "none" ? "no operators, head alone" : $"{name} in all layers", network, settings, inside, digest, epochsBefore: 0, secondsBefore: 0);
        RunFolder.WriteSummary(inside, this.Summary(outcome));
        return outcome;
    }

    /// <summary>The linear probe by VPT's protocol: a grid of rates and decays on frozen features.</summary>
    public Outcome Probe()
    {
        var watch = Stopwatch.StartNew();
        using var network = experiment.Spec.Compile(null, experiment.Terminal).CreateBackbone(experiment.Device);
        experiment.Prepare(network, seed);
        var (data, batch) = (experiment.Data, this.Spec.Train.Batch);
        var result = LinearProbe.Run(network, experiment.Fixed(data.Train, batch), experiment.Fixed(data.Val, batch), data.Test.Count > 0 ? experiment.Fixed(data.Test, batch) : null, seed, experiment.Cancellation);
        var plan = network.Plan;
        return new Outcome("linear probe", [], 0, plan.HeadParameters / (double)(plan.BackboneParameters + plan.HeadParameters), result.Validation.Top1, result.Test, watch.Elapsed.TotalSeconds);
    }

    /// <summary>Adds what the found policy was compared with to summary and report.</summary>
    public void Conclude(Outcome found, IEnumerable<Outcome> controls) => this.WriteReport(
        [.. this.Summary(found), .. controls.Select(control => new KeyValuePair<string, string>($"top1 of {control.Name}", Number(control.Top1)))]);

    private void WriteReport(IReadOnlyList<KeyValuePair<string, string>> summary)
    {
        RunFolder.WriteSummary(folder, summary);
        HtmlReport.Write(folder, $"{this.Spec.Model} · {Path.GetFileName(Path.GetFullPath(folder))}", summary, this.layers.Count > 0 ? this.layers : CandidatesOf(this.Spec));
    }

    /// <summary>The candidates of a spec's layers.</summary>
    public static IReadOnlyList<LayerCandidates> CandidatesOf(SpecDocument spec) =>
        [.. spec.Layers.Select(layer => new LayerCandidates([.. layer.Candidates], [.. layer.Candidates.Select(name => Costs.Of(spec, name))]))];

    private Outcome Fit(string name, FusionModel network, TrainSettings settings, string inside, string digest, int epochsBefore, double secondsBefore)
    {
        using var trainer = new Trainer(network, experiment.Train(settings.Batch), experiment.Validation(settings.Batch), settings, experiment.Context(inside, seed, digest), epochsBefore);
        var result = trainer.Run(experiment.Cancellation);
        var test = experiment.Data.Test.Count > 0
            ? Evaluation.Of(network.forward, experiment.Fixed(experiment.Data.Test, settings.Batch), network, experiment.Cancellation)
            : null;
        var plan = network.Plan;
        return new Outcome(name, network.Policy, plan.TunedParameters, plan.TunedShare, result.BestTop1, test, secondsBefore + result.History.Sum(epoch => epoch.Seconds));
    }

    private List<KeyValuePair<string, string>> Summary(Outcome outcome)
    {
        var values = new List<KeyValuePair<string, string>>
        {
            new("model", this.Spec.Model),
            new("network", outcome.Name),
            new("seed", seed.ToString(CultureInfo.InvariantCulture)),
            new("data", experiment.Data.Name),
            new("protocol", RecipeCatalogue.Protocol(this.Spec.Train)),
            new("policy", string.Join(' ', outcome.Policy.Select(choice => choice.Length == 0 ? "-" : choice))),
            new("tuned_parameters", outcome.Tuned.ToString(CultureInfo.InvariantCulture)),
            new("tuned_share", Number(outcome.TunedShare)),
            new("val_top1", Number(outcome.Validation)),
        };
        if (outcome.Test is { } test)
        {
            values.Add(new("test_top1", Number(test.Top1)));
            values.Add(new("test_mean_per_class", Number(test.MeanPerClass)));
            values.Add(new("test_loss", Number(test.Loss)));
        }
        values.Add(new("seconds", outcome.Seconds.ToString("0.0", CultureInfo.InvariantCulture)));
        return values;
    }

    private static string Number(double value) => value.ToString("0.######", CultureInfo.InvariantCulture);
}
