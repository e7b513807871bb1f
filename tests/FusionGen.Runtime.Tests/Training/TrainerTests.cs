using FusionGen.Reporting;
using FusionGen.Runtime.Tests.Search;
using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Runtime.Tests.Training;

[TestFixture]
internal sealed class TrainerTests
{
    private static readonly string[] Policy = ["mix", "add", "scale"];
    private static readonly TrainSettings Settings = new() { Epochs = 5, Warmup = 1, Optimizer = new() { LearningRate = 0.05 }, Clip = 5 };

    [TestCase(2)]
    [TestCase(5)]
    [TestCase(13)]
    public void Cancelled_training_continues_to_the_same_bits(int stopAfter)
    {
        var (expected, history) = Train(null, 1);
        using var folder = new TemporaryFolder();
        using var cancellation = new CancellationTokenSource();
        var steps = 0;
        var stop = Assert.Throws<FusionException>(() => Train(folder.Path, 1, () =>
        {
            if (++steps == stopAfter)
                cancellation.Cancel();
        }, cancellation.Token));
        Assert.That(stop.Code, Is.EqualTo(ExitCode.Checkpointed));
        var (bits, resumed) = Train(folder.Path, 99);
        Assert.That(bits, Is.EqualTo(expected));
        Assert.That(resumed.Select(epoch => epoch with { Seconds = 0 }), Is.EqualTo(history.Select(epoch => epoch with { Seconds = 0 })));
        Assert.That(RunFolder.ReadMetrics(folder.Path).Training.Select(epoch => epoch with { Seconds = 0 }), Is.EqualTo(history.Select(epoch => epoch with { Seconds = 0 })));
    }

    [Test]
    public void The_best_epoch_is_put_back()
    {
        using var model = Model(1);
        using var trainer = New(model, Settings with { Epochs = 8, Optimizer = new() { LearningRate = 0.5 } }, new RunContext());
        var result = trainer.Run();
        Assert.That(result.BestTop1, Is.EqualTo(result.History.Max(epoch => epoch.ValidationTop1)));
        Assert.That(result.BestEpoch, Is.EqualTo(result.History.First(epoch => epoch.ValidationTop1 == result.BestTop1).Epoch));
        var now = Evaluation.Of(model.forward, new ToyBatches("validation", 3, 10), model);
        Assert.That(now.Top1, Is.EqualTo(result.BestTop1));
        Assert.That(now.Loss, Is.EqualTo(result.History[result.BestEpoch].ValidationLoss));
    }

    [Test]
    public void Continuing_stays_on_the_searchs_cosine_and_scratch_warms_up()
    {
        using var model = Model(1);
        using var scratch = New(model, Settings, new RunContext());
        Assert.That(scratch.Run().History.Select(epoch => epoch.LearningRate), Is.EqualTo(Enumerable.Range(0, 5).Select(e => Schedule.LearningRate(0.05, e, 5, 1))));
        using var continued = New(model, Settings, new RunContext(), epochsBefore: 20);
        Assert.That(continued.Run().History.Select(epoch => epoch.LearningRate), Is.EqualTo(Enumerable.Range(20, 5).Select(e => Schedule.LearningRate(0.05, e, 25))));
    }

    [Test]
    public void The_last_epoch_counts_where_the_recipe_says_so_and_is_validated_once()
    {
        var settings = Settings with { Epochs = 8, Keep = Keep.Last, Optimizer = new() { LearningRate = 0.5 } };
        using var model = Model(1);
        using var trainer = New(model, settings, new RunContext());
        var result = trainer.Run();
        Assert.That(result.BestEpoch, Is.EqualTo(7));
        Assert.That(result.History.Take(7).Select(epoch => epoch.ValidationTop1), Is.All.Null);
        var now = Evaluation.Of(model.forward, new ToyBatches("validation", 3, 10), model);
        Assert.That((result.BestTop1, result.History[7].ValidationLoss), Is.EqualTo((now.Top1, now.Loss)));
        // The same weights as with validation in every epoch, which is what makes leaving it out exact.
        using var other = Model(1);
        using var best = New(other, settings with { Keep = Keep.Best }, new RunContext());
        Assert.That(best.Run().History[7].ValidationLoss, Is.EqualTo(now.Loss));
    }

    [Test]
    public void Without_a_validation_split_the_last_epoch_counts_and_training_resumes()
    {
        var settings = Settings with { Keep = Keep.Last };
        byte[] Bits(string? folder, Action<Trainer>? prepare = null, CancellationToken cancellation = default)
        {
            using var model = Model(1);
            using var trainer = new Trainer(model, new ToyBatches("train", 4, 8), null, settings, new RunContext { Seed = 3, Folder = folder });
            prepare?.Invoke(trainer);
            Assert.That(trainer.Run(cancellation).BestTop1, Is.NaN);
            return [.. model.Table.SelectMany(parameter => parameter.detach().bytes.ToArray())];
        }

        using var folder = new TemporaryFolder();
        using var cancellation = new CancellationTokenSource();
        Assert.Throws<FusionException>(() => Bits(folder.Path, trainer => trainer.AfterStep = (epoch, step) =>
        {
            if (epoch == 2 && step == 3)
                cancellation.Cancel();
        }, cancellation.Token));
        Assert.That(Bits(folder.Path), Is.EqualTo(Bits(null)));
        using var unfit = Model(1);
        Assert.Throws<ArgumentException>(() => new Trainer(unfit, new ToyBatches("train", 4, 8), null, Settings, new RunContext()).Dispose());
    }

    /// <summary>A training with VPT's AdamW is what VPT's code makes of it: SGD without decay, and else a decay of 0.01.</summary>
    [TestCase(0, OptimizerKind.Sgd, 0)]
    [TestCase(0.3, OptimizerKind.VptAdamW, 0.01)]
    public void Vpts_adamw_comes_with_its_quirks(double asked, OptimizerKind kind, double decay)
    {
        byte[] Bits(OptimizerKind optimizer, double wanted)
        {
            using var model = Model(1);
            using var trainer = New(model, Settings with { Optimizer = new() { Kind = optimizer, LearningRate = 0.01, WeightDecay = wanted } }, new RunContext());
            trainer.Run();
            return [.. model.Table.SelectMany(parameter => parameter.detach().bytes.ToArray())];
        }

        Assert.That(Bits(OptimizerKind.VptAdamW, asked), Is.EqualTo(Bits(kind, decay)).And.Not.EqualTo(Bits(OptimizerKind.AdamW, asked)));
    }

    [TestCase(256, 5.0 * 64 / 256)]
    [TestCase(0, 5.0)]
    public void A_base_batch_scales_the_rate(int baseBatch, double expected)
    {
        using var model = Model(1);
        using var trainer = New(model, new TrainSettings { Epochs = 4, Warmup = 2, Batch = 64, BaseBatch = baseBatch, Optimizer = new() { Kind = OptimizerKind.Sgd, LearningRate = 5, WeightDecay = 0 } }, new RunContext());
        var rates = trainer.Run().History.Select(epoch => epoch.LearningRate);
        Assert.That(rates, Is.EqualTo(new[] { 0, expected / 2, expected, expected / 2 }).Within(1e-12));
    }

    [Test]
    public void Only_what_is_tuned_moves()
    {
        using var model = Model(1);
        var backbone = model["backbone.weight"].detach().bytes.ToArray();
        using var trainer = New(model, Settings, new RunContext());
        trainer.Run();
        Assert.That(model["backbone.weight"].detach().bytes.ToArray(), Is.EqualTo(backbone));
    }

    [Test]
    public void Divergence_is_an_error_with_the_state_of_the_step()
    {
        IgnoredWithoutLibTorch.Now();
        using var folder = new TemporaryFolder();
        using var model = Model(1);
        using var trainer = New(model, Settings with { Warmup = 0, Clip = 0, Optimizer = new() { Kind = OptimizerKind.Sgd, LearningRate = 1e200 } }, new RunContext { Folder = folder.Path });
        var error = Assert.Throws<FusionException>(() => trainer.Run());
        Assert.That(error.Code, Is.EqualTo(ExitCode.Diverged));
        Assert.That(File.Exists(folder["checkpoint/diverged.safetensors"]), Is.True);
    }

    [Test]
    public void Evaluation_counts_by_class()
    {
        using var model = Model(1);
        var batches = new ToyBatches("validation", 2, 8);
        var evaluation = Evaluation.Of(images => zeros(images.shape[0], Toy.Classes, dtype: ScalarType.Float64), batches, model);
        Assert.That(evaluation.Samples, Is.EqualTo(15));
        Assert.That(evaluation.Loss, Is.EqualTo(Math.Log(3)).Within(1e-12));
        Assert.That(evaluation.Correct[0], Is.EqualTo(evaluation.Count[0]), "equal logits go to the first class");
        Assert.That(evaluation.Correct.Skip(1), Is.All.Zero);
        Assert.That(evaluation.Top1, Is.EqualTo(evaluation.Count[0] / 15.0));
    }

    [Test]
    public void A_linear_probe_learns_what_is_linear_and_is_deterministic()
    {
        using var model = new ToyModel([], ScalarType.Float32);
        model.Initialize(1);
        var (train, validation, test) = (new ToyBatches("train", 4, 32), new ToyBatches("validation", 2, 32), new ToyBatches("test", 4, 32));
        var probe = LinearProbe.Run(model, train, validation, test, seed: 1);
        var untrained = Evaluation.Of(model.forward, test, model);
        Assert.That(probe.Test!.Top1, Is.GreaterThan(Math.Max(0.55, untrained.Top1)));
        Assert.That(probe.Test.Samples, Is.EqualTo(127));
        var again = LinearProbe.Run(model, train, validation, test, seed: 1);
        Assert.That((again.LearningRate, again.WeightDecay, again.Test!.Loss), Is.EqualTo((probe.LearningRate, probe.WeightDecay, probe.Test.Loss)));
    }

    private static ToyModel Model(long seed)
    {
        var model = new ToyModel(Policy);
        model.Initialize(seed);
        using var original = new ToyModel(Policy);
        original.Initialize(1);
        using var guard = no_grad();
        model["backbone.weight"].copy_(original["backbone.weight"]);
        return model;
    }

    private static Trainer New(ToyModel model, TrainSettings settings, RunContext context, int epochsBefore = 0) =>
        new(model, new ToyBatches("train", 4, 8), new ToyBatches("validation", 3, 10), settings, context, epochsBefore);

    private static (byte[] Bits, IReadOnlyList<TrainEpoch> History) Train(string? folder, long initial, Action? afterStep = null, CancellationToken cancellation = default)
    {
        using var model = Model(initial);
        using var trainer = New(model, Settings, new RunContext { Seed = 3, Folder = folder });
        trainer.AfterStep = (_, _) => afterStep?.Invoke();
        var result = trainer.Run(cancellation);
        return ([.. model.Table.SelectMany(parameter => parameter.detach().bytes.ToArray())], result.History);
    }
}
