using FusionGen.Pretraining;
using static TorchSharp.torch;

namespace FusionGen.Runtime.Tests.Pretraining;

public class PretrainerTests
{
    private static readonly PretrainSettings Settings = new()
    {
        Seed = 4,
        Steps = 12,
        Batch = 24,
        Slice = 7,
        Warmup = 3,
        Course = 6,
        HeldOut = 40,
        CheckpointEvery = 5,
    };

    [Test]
    public void TheNumberOfThreadsChangesNoBit()
    {
        using var folder = new TemporaryFolder();
        using var one = new Perceptron();
        using var three = new Perceptron();
        var first = new Pretrainer(one, Settings, workers: 1).Run(folder["1"]);
        var second = new Pretrainer(three, Settings, workers: 3).Run(folder["3"]);
        Assert.Multiple(() =>
        {
            Assert.That(Weights(three), Is.EqualTo(Weights(one)));
            Assert.That(second.Accuracies.Shares, Is.EqualTo(first.Accuracies.Shares));
        });
    }

    [Test]
    public void AStoppedRunEndsWhereAnUninterruptedOneDoes()
    {
        using var folder = new TemporaryFolder();
        using var whole = new Perceptron();
        new Pretrainer(whole, Settings).Run(folder["whole"]);

        using var stop = new CancellationTokenSource();
        using var half = new Perceptron();
        var error = Assert.Throws<FusionException>(() => new Pretrainer(half, Settings).Run(folder["half"], progress => stop.CancelAfterStep(progress, 7), stop.Token));
        Assert.That(error!.Code, Is.EqualTo(ExitCode.Checkpointed));
        using var rest = new Perceptron();
        var steps = new List<int>();
        new Pretrainer(rest, Settings).Run(folder["half"], progress => steps.Add(progress.Step));
        Assert.Multiple(() =>
        {
            Assert.That(steps, Is.EqualTo(Enumerable.Range(8, 5)));
            Assert.That(Weights(rest), Is.EqualTo(Weights(whole)));
        });

        using var other = new Perceptron();
        Assert.That(() => new Pretrainer(other, Settings with { Seed = 5 }).Run(folder["half"]), Throws.TypeOf<FusionException>().With.Message.Contains("is of other settings"));
    }

    [Test]
    public void ItLearns()
    {
        using var folder = new TemporaryFolder();
        using var network = new Perceptron();
        var losses = new List<double>();
        // On images as plain as they get a perceptron has a chance.
        var settings = Settings with { Steps = 80, Batch = 32, Slice = 16, Course = 1_000_000, Optimizer = new() { LearningRate = 3e-3 } };
        new Pretrainer(network, settings).Run(folder["x"], progress => losses.Add(progress.Loss));
        Assert.Multiple(() =>
        {
            Assert.That(losses[0], Is.EqualTo(Math.Log(8) + (2 * Math.Log(5)) + Math.Log(8)).Within(0.5));
            Assert.That(losses[^10..].Average(), Is.LessThan(0.6 * losses[0]));
        });
    }

    [Test]
    public void DivergenceIsAnErrorWithItsStep()
    {
        IgnoredWithoutLibTorch.Now();
        using var folder = new TemporaryFolder();
        using var network = new Perceptron();
        var settings = Settings with { Clip = 0, Warmup = 0, Optimizer = new() { Kind = OptimizerKind.Sgd, LearningRate = 1e30 } };
        Assert.That(() => new Pretrainer(network, settings).Run(folder["x"]), Throws.TypeOf<FusionException>().With.Property("Code").EqualTo(ExitCode.Diverged).And.Message.Contains("at step"));
    }

    private static float[] Weights(FusionNetwork network) => [.. network.Table.SelectMany(parameter => parameter.data<float>().ToArray())];

    /// <summary>Two layers, everything tuned.</summary>
    private sealed class Perceptron() : FusionNetwork(TheirPlan, Parameters, CPU, ScalarType.Float32)
    {
        private const int Side = 16;
        private const int Hidden = 48;

        private static readonly TensorSpec[] Parameters =
        [
            new("hidden.weight", TensorRole.Tuned, [Hidden, 3 * Side * Side], Initializer.Normal(0.03)),
            new("hidden.bias", TensorRole.Tuned, [Hidden], Initializer.Zero),
            new("head.weight", TensorRole.Head, [FractalImages.FewestClasses, Hidden], Initializer.Normal(0.05)),
            new("head.bias", TensorRole.Head, [FractalImages.FewestClasses], Initializer.Zero),
        ];

        private static readonly NetworkPlan TheirPlan = Plans.Of(Side, Hidden, depth: 1, classes: FractalImages.FewestClasses);

        public override Tensor Forward(Tensor images, IReadOnlyList<Tensor> values) =>
            nn.functional.linear(this.Features(images, values), values[2], values[3]);

        public override Tensor Features(Tensor images, IReadOnlyList<Tensor> values) =>
            nn.functional.linear(images.reshape(images.shape[0], -1), values[0], values[1]).relu();
    }
}

internal static class StopAfter
{
    public static void CancelAfterStep(this CancellationTokenSource stop, PretrainProgress progress, int step)
    {
        if (progress.Step == step)
            stop.Cancel();
    }
}
