using System.Diagnostics;
using System.Globalization;
using FusionGen.Checkpoints;
using FusionGen.Cli.Compilation;
using FusionGen.Compiler;
using FusionGen.Compiler.Operators;
using FusionGen.Compiler.Spec;
using FusionGen.Reporting;
using FusionGen.Search;
using FusionGen.Training;

namespace FusionGen.Cli.Runs;

/// <summary>
/// A run of an experiment under a seed, in a folder: search, training, and the controls that make a claim honest (METHOD §7). Every part continues where an
/// earlier run of it stopped.
/// </summary>
internal sealed class FusionRun(Experiment experiment, string folder, long seed)
{
    /// <summary>What a network can be compared with: the linear probe; every operator in all layers; policies drawn at random; equal π discretised by perturbation; a search that charges nothing; no operators.</summary>
    public static readonly IReadOnlyList<string> Controls = ["linear", "single", "random", "uniform", "free", "none"];

    private const int RandomPolicies = 3;

    /// <summary>Whether the folder holds a search to continue from.</summary>
    public bool HasSearch => File.Exists(Path.Combine(folder, "checkpoint", "search.safetensors"));

    private SpecDocument Spec => experiment.Spec.Document;

    /// <summary>Searches; writes <c>policy.yaml</c> into the folder.</summary>
    /// <returns>What was found, with the supernet it was found in, which the caller disposes.</returns>
    public Found Search() => this.Search(folder, this.Spec.Search);

    /// <summary>Compiles a policy's model, trains and tests it; writes adapter, summary and report.</summary>
    /// <param name="policy">The policy.</param>
    /// <param name="found">Where to continue from; null to start from scratch.</param>
    public Outcome Train(PolicyDocument policy, Found? found) => this.Train("found policy", folder, policy, found);

    /// <summary>The spec's own network: searched where there is a choice, otherwise trained as it is.</summary>
    /// <param name="row">What to call it.</param>
    public Trial Main(string row) => this.Trial(row, folder, () => Uniform.HasChoice(this.Spec)
        ? this.Searched(row, folder, this.Spec.Search)
        : this.Fit(row, folder, Uniform.Only(this.Spec)));

    /// <summary>What to compare it with.</summary>
    /// <param name="controls">Of <see cref="Controls"/>.</param>
    public IEnumerable<Trial> Control(IReadOnlyList<string> controls)
    {
        if (controls.Contains("single"))
        {
            foreach (var name in Uniform.Operators(this.Spec))
                yield return this.Trial($"{name} in all layers", name, Uniform.Policy(this.Spec, name));
            foreach (var (name, layers) in Uniform.Partial(this.Spec))
                experiment.Tell($"no control of {name} in all layers: it is no candidate of layer{(layers.Count == 1 ? "" : "s")} {string.Join(", ", layers)}");
        }
        if (controls.Contains("random"))
        {
            for (var i = 0; i < RandomPolicies; i++)
            {
                var name = string.Create(CultureInfo.InvariantCulture, $"random-{i}");
                yield return this.Trial("random policies", name, Uniform.Random(this.Spec, SplitMix.For(seed, name)));
            }
        }
        if (controls.Contains("uniform"))
            yield return this.Trial("equal π perturbed", "uniform", this.Spec.Search with { Warmup = this.Spec.Search.Epochs, Stop = 0, Discretise = Discretisation.Perturbation });
        if (controls.Contains("free"))
            yield return this.Trial("search at cost 0", "free", this.Spec.Search with { Cost = 0 });
        if (controls.Contains("none"))
            yield return this.Trial("no operators, head alone", "none", (PolicyDocument?)null);
        if (controls.Contains("linear"))
            yield return this.Probe("linear probe");
    }

    /// <summary>The linear probe by VPT's protocol: a grid of rates and decays on frozen features.</summary>
    /// <param name="row">What to call it.</param>
    public Trial Probe(string row) => this.Trial(row, this.Inside("linear"), () => this.Probed(row));

    /// <summary>Adds what the found policy was compared with to summary and report.</summary>
    public void Conclude(IReadOnlyList<Outcome> outcomes) => this.WriteReport(folder,
    [
        .. this.Summary(outcomes[0]),
        .. outcomes.GroupBy(outcome => outcome.Name, StringComparer.Ordinal).Select(row => Comparison.Bar([.. row]))
            .Select(bar => new KeyValuePair<string, string>($"top1 of {bar.Name}", bar.Deviation > 0 ? $"{Number(bar.Value)} ± {Number(bar.Deviation)}" : Number(bar.Value))),
    ]);

    private string Inside(string name) => Path.Combine(folder, "controls", name);

    private Trial Trial(string row, string inside, Func<Outcome> run) => new(row, seed, inside, experiment.Identity, run);

    private Trial Trial(string row, string name, PolicyDocument? policy) => this.Trial(row, this.Inside(name), () => this.Fit(row, this.Inside(name), policy));

    private Trial Trial(string row, string name, SearchSettings settings) => this.Trial(row, this.Inside(name), () => this.Searched(row, this.Inside(name), settings));

    private Outcome Searched(string name, string inside, SearchSettings settings)
    {
        using var found = this.Search(inside, settings);
        return this.Train(name, inside, found.Policy, this.Spec.Train.Continue ? found : null);
    }

    private Found Search(string inside, SearchSettings settings)
    {
        var compiled = experiment.Spec.Compile(null, experiment.Terminal);
        if (!compiled.HasSupernet)
            throw new FusionException($"{experiment.Spec.Path}: no layer has candidates, so there is nothing to search", ExitCode.Spec);
        var supernet = compiled.CreateSupernet(experiment.Device);
        try
        {
            var digest = experiment.Prepare(supernet, seed);
            experiment.WriteStart(inside, seed, digest);
            using var search = new BilevelSearch(supernet, experiment.Train(settings.Batch), experiment.Validation(settings.Batch), settings, experiment.Context(inside, seed, digest));
            var result = search.Run(experiment.Cancellation);
            AtomicFile.WriteText(Path.Combine(inside, "policy.yaml"), Policies.ToYaml(result.Policy));
            var policy = new PolicyDocument(result.Policy.Model, result.Policy.SpecHash, result.Policy.Names.ToEquatableArray());
            return new Found(policy, supernet, result.History.Count, result.Seconds);
        }
        catch
        {
            supernet.Dispose();
            throw;
        }
    }

    private Outcome Train(string name, string inside, PolicyDocument policy, Found? found)
    {
        using var model = experiment.Spec.Compile(policy, experiment.Terminal).CreateModel(experiment.Device);
        var digest = this.Start(model, inside);
        if (found is not null)
            model.CopyFrom(found.Supernet);
        var outcome = this.Fit(name, model, model.Plan.Train, inside, digest, found?.Epochs ?? 0, found?.Seconds ?? 0);
        Adapter.Save(Path.Combine(inside, "adapter"), model, digest, experiment.Data.ClassNames);
        this.WriteReport(inside, this.Summary(outcome));
        return outcome;
    }

    /// <summary>
    /// E²VPT's recipe (METHOD §2.4): trains with tuned masks, prunes what turns out to be worth least, and trains anew from the start with the masks fixed, for each share;
    /// validation chooses, the larger share of equals.
    /// </summary>
    /// <param name="policy">The policy.</param>
    /// <param name="shares">Shares of prompts and segments to prune.</param>
    public Outcome Prune(PolicyDocument policy, IReadOnlyList<double> shares)
    {
        Masks scores;
        using (var model = experiment.Spec.Compile(policy, experiment.Terminal).CreateModel(experiment.Device))
        {
            var inside = Path.Combine(folder, "masks");
            var digest = this.Start(model, inside);
            this.Fit("masks tuned", model, model.Plan.Train, inside, digest, epochsBefore: 0, secondsBefore: 0);
            scores = MaskPruning.Score(model, experiment.Train(model.Plan.Train.Batch), model.Plan.Train, seed, experiment.Cancellation);
        }
        var masked = this.Spec.Operators.Where(one => OperatorCatalogue.Get(one.Kind).Options.Any(option => option.Name == "masks")).Select(one => $"operators.{one.Name}.masks=fixed");
        var rewound = experiment.With([.. masked]);
        var chosen = policy with { SpecHash = SpecHash.Of(rewound.Spec.Document) };
        using var pruned = rewound.Spec.Compile(chosen, rewound.Terminal).CreateModel(rewound.Device);
        (double Share, Outcome Outcome)? best = null;
        var backbone = "";
        foreach (var share in shares.Order())
        {
            var outcome = Rewind(share);
            if (best is null || outcome.Validation >= best.Value.Outcome.Validation)
                best = (share, outcome);
        }
        // The winner's training is complete, so this only takes its parameters over.
        var found = Rewind(best!.Value.Share) with { Seconds = best.Value.Outcome.Seconds };
        rewound.WriteStart(folder, seed, backbone);
        AtomicFile.WriteText(Path.Combine(folder, "policy.yaml"), PolicyWriter.Write(chosen));
        Adapter.Save(Path.Combine(folder, "adapter"), pruned, backbone, rewound.Data.ClassNames);
        this.Conclude([found]);
        return found;

        Outcome Rewind(double share)
        {
            backbone = rewound.Prepare(pruned, seed);
            MaskPruning.Put(MaskPruning.Prune(scores, share), pruned);
            var inside = Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"pruned-{share}"));
            rewound.WriteStart(inside, seed, backbone);
            return this.Fit(string.Create(CultureInfo.InvariantCulture, $"pruned {share:P0}"), pruned, pruned.Plan.Train, inside, backbone, epochsBefore: 0, secondsBefore: 0);
        }
    }

    /// <summary>A policy, or no operators at all, trained from scratch for as many epochs as search and training have together.</summary>
    private Outcome Fit(string name, string inside, PolicyDocument? policy)
    {
        var compiled = experiment.Spec.Compile(policy, experiment.Terminal);
        using var network = policy is null ? compiled.CreateBackbone(experiment.Device) : compiled.CreateModel(experiment.Device);
        var digest = this.Start(network, inside);
        var (search, train) = (network.Plan.Search, network.Plan.Train);
        var settings = train.Continue ? train with { Epochs = search.Epochs + train.Epochs, Optimizer = search.Optimizer, Batch = search.Batch } : train;
        var outcome = this.Fit(name, network, settings, inside, digest, epochsBefore: 0, secondsBefore: 0);
        if (policy is not null)
            Adapter.Save(Path.Combine(inside, "adapter"), network, digest, experiment.Data.ClassNames);
        this.WriteReport(inside, this.Summary(outcome));
        return outcome;
    }

    private string Start(FusionNetwork network, string inside)
    {
        var digest = experiment.Prepare(network, seed);
        experiment.WriteStart(inside, seed, digest);
        return digest;
    }

    private Outcome Probed(string name)
    {
        var watch = Stopwatch.StartNew();
        using var network = experiment.Spec.Compile(null, experiment.Terminal).CreateBackbone(experiment.Device);
        experiment.Prepare(network, seed);
        var (data, batch) = (experiment.Data, this.Spec.Train.Batch);
        var result = LinearProbe.Run(network, experiment.Fixed(data.Train, batch), experiment.Fixed(data.Val, batch), data.Test.Count > 0 ? experiment.Fixed(data.Test, batch) : null, seed, experiment.Cancellation);
        var plan = network.Plan;
        return new Outcome(name, [], 0, plan.HeadParameters / (double)(plan.BackboneParameters + plan.HeadParameters), result.Validation.Top1, result.Test, watch.Elapsed.TotalSeconds);
    }

    private void WriteReport(string inside, IReadOnlyList<KeyValuePair<string, string>> summary)
    {
        RunFolder.WriteSummary(inside, summary);
        HtmlReport.Write(inside, $"{this.Spec.Model} · {Path.GetFileName(Path.GetFullPath(inside))}", summary, CandidatesOf(this.Spec));
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

/// <summary>What a search found.</summary>
/// <param name="Policy">The policy.</param>
/// <param name="Supernet">As the search left it.</param>
/// <param name="Epochs">It took.</param>
/// <param name="Seconds">It took.</param>
internal sealed record Found(PolicyDocument Policy, Supernet Supernet, int Epochs, double Seconds) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose() => this.Supernet.Dispose();
}
