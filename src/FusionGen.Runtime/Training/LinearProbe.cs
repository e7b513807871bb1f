using System.Globalization;
using static TorchSharp.torch;

namespace FusionGen.Training;

/// <summary>The best linear classifier on frozen features.</summary>
/// <param name="LearningRate">Base learning rate that won; the rate itself is this times batch/256.</param>
/// <param name="WeightDecay">Weight decay that won.</param>
/// <param name="Validation">On the split that chose.</param>
/// <param name="Test">On the test split, if there is one.</param>
public sealed record ProbeResult(double LearningRate, double WeightDecay, Evaluation Validation, Evaluation? Test);

/// <summary>
/// A linear probe by VPT's protocol (Jia et al. 2022): SGD with momentum 0.9 over 100 epochs, 10 of them warm-up, on a grid of learning rates and decays;
/// the last epoch's validation accuracy chooses, of equals the smaller rate. Features are computed once, and the whole grid trains
/// side by side as the columns of one matrix.
/// </summary>
public static class LinearProbe
{
    private const int Epochs = 100;
    private const int Warmup = 10;
    private const int BatchSize = 64;
    private const double Momentum = 0.9;

    private static readonly double[] Rates = [50, 25, 10, 5, 2.5, 1, 0.5, 0.25, 0.1, 0.05];
    private static readonly double[] Decays = [0.01, 0.001, 0.0001, 0];

    /// <summary>Probes a network's features.</summary>
    /// <param name="network">A network without prompts or operators: its <see cref="FusionNetwork.Features"/> are probed as they are.</param>
    /// <param name="train">The split to learn from; images as in its first epoch.</param>
    /// <param name="validation">The split that chooses.</param>
    /// <param name="test">The split to report on.</param>
    /// <param name="seed">Decides the order of samples.</param>
    /// <param name="cancellation">Stops between epochs.</param>
    public static ProbeResult Run(FusionNetwork network, IBatches train, IBatches validation, IBatches? test, long seed, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(network);
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var (features, labels) = Cache(network, train, seed, cancellation);
        var (weight, bias) = Fit(features, labels, network.Plan.Classes, seed, cancellation);
        var (validationFeatures, validationLabels) = Cache(network, validation, seed, cancellation);
        var accuracies = Enumerable.Range(0, Rates.Length * Decays.Length)
            .Select(run => Evaluate(validationFeatures, validationLabels, weight, bias, run, network.Plan.Classes)).ToList();
        var winner = Enumerable.Range(0, accuracies.Count).OrderByDescending(run => accuracies[run].Top1).ThenBy(Rate).ThenBy(run => run).First();
        Evaluation? tested = null;
        if (test is not null)
        {
            var (testFeatures, testLabels) = Cache(network, test, seed, cancellation);
            tested = Evaluate(testFeatures, testLabels, weight, bias, winner, network.Plan.Classes);
        }
        return new ProbeResult(Rate(winner), Decay(winner), accuracies[winner], tested);
    }

    private static double Rate(int run) => Rates[run / Decays.Length];

    private static double Decay(int run) => Decays[run % Decays.Length];

    private static (Tensor Features, Tensor Labels) Cache(FusionNetwork network, IBatches batches, long seed, CancellationToken cancellation)
    {
        var (features, labels) = (new List<Tensor>(), new List<Tensor>());
        foreach (var batch in batches.On(network, seed, epoch: 0))
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            using var owned = batch;
            features.Add(network.Features(batch.Images, network.Table).MoveToOuterDisposeScope());
            labels.Add(batch.Labels.clone().MoveToOuterDisposeScope());
        }
        if (features.Count == 0)
            throw new FusionException("a linear probe needs images; one of the splits is empty", ExitCode.Data);
        return (cat(features), cat(labels));
    }

    /// <summary>Weights (width, runs × classes) and biases (1, runs × classes) of every point of the grid.</summary>
    private static (Tensor Weight, Tensor Bias) Fit(Tensor features, Tensor labels, int classes, long seed, CancellationToken cancellation)
    {
        var (samples, width, runs) = ((int)features.shape[0], features.shape[1], Rates.Length * Decays.Length);
        var targets = labels.unsqueeze(1).eq(arange(classes, device: features.device)).to(features.dtype);
        var rates = PerColumn(run => Rate(run) * BatchSize / 256, classes, features);
        var decays = PerColumn(Decay, classes, features);
        var weight = zeros(width, runs * classes, dtype: features.dtype, device: features.device);
        var bias = zeros(1, runs * classes, dtype: features.dtype, device: features.device);
        var (weightMomentum, biasMomentum) = (weight.clone(), bias.clone());
        for (var epoch = 0; epoch < Epochs; epoch++)
        {
            cancellation.ThrowIfCancellationRequested();
            using var epochScope = NewDisposeScope();
            var rate = rates * Schedule.LearningRate(1, epoch, Epochs, Warmup);
            var order = Enumerable.Range(0, samples).Select(i => (long)i).ToArray();
            SplitMix.For(seed, string.Create(CultureInfo.InvariantCulture, $"linear-probe.{epoch}")).Shuffle(order.AsSpan());
            var permutation = tensor(order).to(features.device);
            for (var from = 0; from < samples; from += BatchSize)
            {
                using var scope = NewDisposeScope();
                var size = Math.Min(BatchSize, samples - from);
                var chosen = permutation.narrow(0, from, size);
                var inputs = features.index_select(0, chosen);
                var error = (inputs.matmul(weight).add_(bias).view(size, runs, classes).softmax(2) - targets.index_select(0, chosen).unsqueeze(1))
                    .view(size, runs * classes).div_(size);
                weightMomentum.mul_(Momentum).add_(inputs.t().matmul(error)).add_(weight * decays);
                biasMomentum.mul_(Momentum).add_(error.sum(0, keepdim: true));
                weight.sub_(weightMomentum * rate);
                bias.sub_(biasMomentum * rate);
            }
        }
        return (weight, bias);
    }

    private static Tensor PerColumn(Func<int, double> value, int classes, Tensor like)
    {
        var columns = Enumerable.Range(0, Rates.Length * Decays.Length).SelectMany(run => Enumerable.Repeat(value(run), classes)).ToArray();
        return tensor(columns, [1, columns.Length]).to(like.dtype, like.device);
    }

    private static Evaluation Evaluate(Tensor features, Tensor labels, Tensor weight, Tensor bias, int run, int classes)
    {
        using var scope = NewDisposeScope();
        var logits = features.matmul(weight.narrow(1, (long)run * classes, classes)) + bias.narrow(1, (long)run * classes, classes);
        return Evaluation.Of(nn.functional.cross_entropy(logits, labels), logits.argmax(1), labels, classes);
    }
}
