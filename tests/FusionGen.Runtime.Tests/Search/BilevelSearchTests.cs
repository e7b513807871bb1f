using FusionGen.Reporting;
using FusionGen.Search;
using FusionGen.Training;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Runtime.Tests.Search;

[TestFixture]
internal sealed class BilevelSearchTests
{
    private static readonly SearchSettings Settings = SearchSettings.Pfd with
    {
        Order = SearchOrder.First,
        Epochs = 4,
        Warmup = 1,
        TemperatureTo = 0.1,
        Optimizer = new() { LearningRate = 0.05 },
        Architecture = new() { LearningRate = 0.1, WeightDecay = 0 },
    };

    [Test]
    public void Same_seed_gives_the_same_bits([Values] SearchOrder order)
    {
        var settings = Settings with { Order = order };
        var (once, again, other) = (Search(settings, null), Search(settings, null), Search(settings, null, seed: 2));
        Assert.That(again.Bits, Is.EqualTo(once.Bits));
        Assert.That(other.Bits, Is.Not.EqualTo(once.Bits));
    }

    [Test]
    public void A_cancelled_search_continues_to_the_same_bits([Values] SearchOrder order, [Values] ArchitectureEvery every, [Values] Relaxation relaxation, [Values(2, 5, 8, 13)] int stopAfter)
    {
        var settings = Settings with { Order = order, Every = every, Relaxation = relaxation };
        var (expected, history, _) = Search(settings, null);
        using var folder = new TemporaryFolder();
        using var cancellation = new CancellationTokenSource();
        var steps = 0;
        var stop = Assert.Throws<FusionException>(() => Search(settings, folder.Path, cancellation: cancellation.Token, afterStep: () =>
        {
            if (++steps == stopAfter)
                cancellation.Cancel();
        }));
        Assert.That(stop.Code, Is.EqualTo(ExitCode.Checkpointed));

        // The network starts from other values: everything must come out of the checkpoint.
        var (bits, resumed, note) = Search(settings, folder.Path, initial: 99);
        Assert.That(note, Does.Contain("continues"));
        Assert.That(bits, Is.EqualTo(expected));
        Assert.That(resumed.Select(Timeless), Is.EqualTo(history.Select(Timeless)));
    }

    [Test]
    public void A_killed_search_continues_from_the_last_epoch_to_the_same_bits()
    {
        var (expected, history, _) = Search(Settings, null);
        using var folder = new TemporaryFolder();
        var steps = 0;
        Assert.Throws<InvalidOperationException>(() => Search(Settings, folder.Path, afterStep: () =>
        {
            if (++steps == 10)
                throw new InvalidOperationException("the plug was pulled");
        }));
        var (bits, resumed, _) = Search(Settings, folder.Path, initial: 99);
        Assert.That(bits, Is.EqualTo(expected));
        Assert.That(resumed.Select(Timeless), Is.EqualTo(history.Select(Timeless)));
    }

    [Test]
    public void A_finished_search_is_not_run_again()
    {
        using var folder = new TemporaryFolder();
        var (bits, _, _) = Search(Settings, folder.Path);
        var again = Search(Settings, folder.Path, initial: 99, afterStep: () => Assert.Fail("a step was taken"));
        Assert.That(again.Bits, Is.EqualTo(bits));
    }

    /// <summary>The end is where an unlimited search's policies first stay the same for so long, α moving.</summary>
    [Test]
    public void A_search_ends_when_the_policy_has_not_changed_for_long_enough([Values(1, 2, 3)] int stop, [Values(0.02, 0.1)] double rate)
    {
        var settings = Settings with { Epochs = 14, Architecture = new() { LearningRate = rate, WeightDecay = 0 } };
        var policies = Search(settings, null).History.Select(epoch => string.Join(' ', epoch.Policy)).ToList();
        var expected = Enumerable.Range(settings.Warmup + stop, policies.Count - settings.Warmup - stop)
            .Where(end => policies.Skip(end - stop).Take(stop + 1).Distinct(StringComparer.Ordinal).Count() == 1).Select(end => end + 1).FirstOrDefault(policies.Count);
        using var folder = new TemporaryFolder();
        var (bits, history, note) = Search(settings with { Stop = stop }, folder.Path);
        Assert.That(history, Has.Count.EqualTo(expected));
        Assert.That(note, expected < 14 ? Does.Contain("has not changed") : Does.Not.Contain("has not changed"));
        var again = Search(settings with { Stop = stop }, folder.Path, initial: 99, afterStep: () => Assert.Fail("a step was taken"));
        Assert.That(again.Bits, Is.EqualTo(bits));
    }

    [Test]
    public void A_collapse_is_told_once_and_recorded_every_epoch()
    {
        var settings = Settings with { Epochs = 8, TemperatureFrom = 1e-3, TemperatureTo = 1e-3, AlarmShare = 1 };
        var (_, history, note) = Search(settings, null);
        Assert.That(history.Select(epoch => epoch.Alarms is not null), Is.EqualTo(history.Select(epoch => epoch.Epoch is >= 1 and < 4)));
        Assert.That(note.Split("alarm after epoch"), Has.Length.EqualTo(2));
        Assert.That(Search(Settings with { AlarmShare = 1 }, null).History.All(epoch => epoch.Alarms is null));
    }

    [TestCase(0.95, 0.9, 0.0, ExpectedResult = 1, TestName = "one operator has the mass")]
    [TestCase(0.95, 0.4, 0.0, ExpectedResult = 0, TestName = "in one layer only")]
    [TestCase(0.5, 0.5, 0.0, ExpectedResult = 0, TestName = "balanced")]
    [TestCase(0.999, 0.01, 0.5, ExpectedResult = 1, TestName = "no entropy is left")]
    public int Alarms_fire_where_a_search_collapses(double first, double last, double entropy)
    {
        // "scale" stands second in the first layer and first in the last.
        double[][] weights = [[(1 - first) / 2, first, (1 - first) / 2], [], [last, 1 - last]];
        double[][] logs = [.. weights.Select(layer => Array.ConvertAll(layer, Math.Log))];
        var mean = weights.Zip(logs, (p, l) => -p.Zip(l, (a, b) => a * b).Sum()).Sum() / 2;
        return Collapse.Of(new SearchSettings { AlarmShare = 0.9, AlarmEntropy = entropy }, ToyPolicy.Layers, new MixtureReading(weights, logs, mean, 0), epoch: 5).Count;
    }

    [Test]
    public void A_checkpoint_of_another_run_is_refused_by_what_differs()
    {
        using var folder = new TemporaryFolder();
        Search(Settings, folder.Path);
        var error = Assert.Throws<FusionException>(() => Search(Settings, folder.Path, seed: 2));
        Assert.That(error.Code, Is.EqualTo(ExitCode.Spec));
        Assert.That(error.Message, Does.Contain("other seed"));
    }

    [Test]
    public void Alpha_rests_during_warmup()
    {
        using var network = new ToySupernet();
        network.Initialize(1);
        var before = network["architecture.0"].detach().clone();
        Run(network, Settings with { Epochs = 3, Warmup = 3 });
        Assert.That(network["architecture.0"].detach().bytes.SequenceEqual(before.bytes), Is.True);
        Run(network, Settings with { Epochs = 3, Warmup = 2 });
        Assert.That(network["architecture.0"].detach().bytes.SequenceEqual(before.bytes), Is.False);
    }

    [Test]
    public void A_pass_over_the_validation_split_takes_one_step_of_alpha_per_batch()
    {
        using var network = new ToySupernet();
        network.Initialize(1);
        var alphaSteps = 0;
        using var search = New(network, Settings with { Every = ArchitectureEvery.ValidationBatch }, new RunContext());
        search.Steps.Trace = (name, _) => alphaSteps += name == "architecture.norm" ? 1 : 0;
        search.Run();
        Assert.That(alphaSteps, Is.EqualTo(3 * ValidationBatches));
    }

    [Test]
    public void The_gradient_of_alpha_is_clipped_to_the_limit()
    {
        using var network = new ToySupernet();
        network.Initialize(1);
        using var search = New(network, Settings with { Clip = 1e-3, Epochs = 2 }, new RunContext());
        var (raw, clipped) = (new Dictionary<string, double>(), new Dictionary<string, double>());
        search.Steps.Trace = (name, value) =>
        {
            if (name.StartsWith("architecture.gradient.", StringComparison.Ordinal))
                raw[name["architecture.gradient.".Length..]] = Math.Pow(value.norm().item<double>(), 2);
            else if (name.StartsWith("architecture.clipped.", StringComparison.Ordinal))
                clipped[name["architecture.clipped.".Length..]] = Math.Pow(value.norm().item<double>(), 2);
        };
        search.Run();
        var norm = Math.Sqrt(raw.Values.Sum());
        Assert.That(norm, Is.GreaterThan(1e-3));
        Assert.That(Math.Sqrt(clipped.Values.Sum()), Is.EqualTo(norm * 1e-3 / (norm + 1e-6)).Within(1e-12));
    }

    [Test]
    public void Divergence_stops_with_the_state_before_the_step()
    {
        IgnoredWithoutLibTorch.Now();
        using var folder = new TemporaryFolder();
        var settings = Settings with { Optimizer = new() { Kind = OptimizerKind.Sgd, LearningRate = 1e200 } };
        var error = Assert.Throws<FusionException>(() => Search(settings, folder.Path));
        Assert.That(error.Code, Is.EqualTo(ExitCode.Diverged));
        Assert.That(error.Message, Does.Contain("epoch 1, step"));
        using var state = SafeTensors.Open(folder["checkpoint/diverged.safetensors"]);
        Assert.That(state.Entries.Select(entry => entry.Name), Does.Contain("batch.images").And.Contain("architecture.0").And.Contain("head.weight"));
    }

    [Test]
    public void A_search_writes_its_metrics_and_alpha()
    {
        using var folder = new TemporaryFolder();
        var (_, history, _) = Search(Settings, folder.Path);
        var (read, _) = RunFolder.ReadMetrics(folder.Path);
        Assert.That(read.Select(Timeless), Is.EqualTo(history.Select(Timeless)));
        var rows = File.ReadAllLines(folder["alpha.csv"]);
        Assert.That(rows, Has.Length.EqualTo(1 + (4 * 5)));
        Assert.That(rows[0], Is.EqualTo("epoch,layer,operator,weight,log_weight"));
        Assert.That(rows[1], Does.StartWith("0,0,add,"));
        Assert.That(history[0].Objective, Is.Null);
        Assert.That(history[^1].Objective, Is.Not.Null);
        Assert.That(history[^1].Weights[0].Sum(), Is.EqualTo(1).Within(1e-12));
    }

    [Test]
    public void A_search_learns()
    {
        var (_, history, _) = Search(Settings with { Epochs = 12 }, null);
        Assert.That(history[^1].TrainLoss, Is.LessThan(0.7 * history[0].TrainLoss));
        Assert.That(history[^1].Entropy, Is.LessThan(history[0].Entropy));
    }

    [Test]
    public void Steps_leave_no_tensor_behind([Values] SearchOrder order)
    {
        using var network = new ToySupernet();
        network.Initialize(1);
        using var steps = new BilevelSteps(network, Settings with { Order = order });
        var alive = new List<long>();
        FinaliseWhatOtherTestsForgot();
        for (var i = 0; i < 30; i++)
        {
            using (NewDisposeScope())
            {
                var (images, labels) = ToyBatches.Draw(SplitMix.For(i, "leak"), 4);
                using var batch = new Batch(images.to(ScalarType.Float64), labels);
                steps.StepWeights(batch);
                steps.StepArchitecture(batch, batch);
            }
            alive.Add(Tensor.TotalCount);
        }
        Assert.That(alive.Skip(1), Is.All.EqualTo(alive[0]));
    }

    [Test]
    public void Epochs_leave_no_tensor_behind()
    {
        using var network = new ToySupernet();
        network.Initialize(1);
        using var search = New(network, Settings with { Epochs = 10 }, new RunContext());
        var alive = new List<long>();
        search.AfterStep = (_, step) =>
        {
            if (step == 2)
                alive.Add(Tensor.TotalCount);
        };
        FinaliseWhatOtherTestsForgot();
        search.Run();
        Assert.That(alive, Has.Count.EqualTo(10));
        // The first epochs take no steps of α: the cycle over the validation batches is not open yet.
        Assert.That(alive.Skip(2), Is.All.EqualTo(alive[2]));
    }

    /// <summary>Their finalisers would otherwise take tensors off the count at any time.</summary>
    private static void FinaliseWhatOtherTestsForgot()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    private const int ValidationBatches = 3;

    private static BilevelSearch New(ToySupernet network, SearchSettings settings, RunContext context) =>
        new(network, new ToyBatches("train", 5, 8), new ToyBatches("validation", ValidationBatches, 6), settings, context);

    private static void Run(ToySupernet network, SearchSettings settings)
    {
        using var search = New(network, settings, new RunContext());
        search.Run();
    }

    private static (byte[] Bits, IReadOnlyList<SearchEpoch> History, string Note) Search(
        SearchSettings settings, string? folder, long seed = 1, long initial = 1, Action? afterStep = null, CancellationToken cancellation = default)
    {
        using var network = new ToySupernet();
        network.Initialize(1);
        if (initial != 1)
        {
            // What training moves starts elsewhere; the backbone is the same.
            using var other = new ToySupernet();
            other.Initialize(initial);
            using var guard = no_grad();
            foreach (var spec in network.Specs.Where(spec => spec.Role != TensorRole.Frozen))
                network[spec.Name].copy_(other[spec.Name]);
        }
        var notes = new Notes();
        using var search = New(network, settings, new RunContext { Seed = seed, Folder = folder, Progress = notes });
        search.AfterStep = (_, _) => afterStep?.Invoke();
        var result = search.Run(cancellation);
        return ([.. network.Table.SelectMany(parameter => parameter.detach().bytes.ToArray())], result.History, notes.Text);
    }

    private static string Timeless(SearchEpoch epoch) => System.Text.Json.JsonSerializer.Serialize(epoch with { Seconds = 0 });

    private sealed class Notes : IProgressSink
    {
        public string Text { get; private set; } = "";

        public void Step(Progress progress)
        {
        }

        public void Epoch(Progress progress)
        {
        }

        public void Note(string text) => this.Text += text;
    }
}
