using System.Globalization;
using FusionGen.Kernels;
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
/// the last epoch's validation accuracy chooses, of equals the smaller rate. Features are computed once, and the decays of a rate train
/// side by side as the rows of one matrix.
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
    /// <param name="network">A network without prompts or operators: what its head reads is probed as it is.</param>
    /// <param name="train">The split to learn from; images as in its first epoch.</param>
    /// <param name="validation">The split that chooses.</param>
    /// <param name="test">The split to report on.</param>
    /// <param name="seed">Decides the order of samples.</param>
    /// <param name="cancellation">Stops between epochs.</param>
    public static ProbeResult Run(FusionNetwork network, IBatches train, IBatches validation, IBatches? test, long seed, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(network);
        var learnt = Samples.Of(network, train, seed, cancellation);
        var heads = new Head[Rates.Length * Decays.Length];
        // The runs of a rate share their products; whoever computes them, they are the same.
        Parallel.For(0, Rates.Length, new ParallelOptions { CancellationToken = cancellation, MaxDegreeOfParallelism = get_num_threads() }, rate =>
            Fit(learnt, network.Plan.Classes, Rates[rate], seed, cancellation).CopyTo(heads, rate * Decays.Length));
        var chooses = Samples.Of(network, validation, seed, cancellation);
        var accuracies = Array.ConvertAll(heads, head => head.Evaluate(chooses));
        var winner = Enumerable.Range(0, heads.Length).OrderByDescending(run => accuracies[run].Top1).ThenBy(run => heads[run].Rate).ThenBy(run => run).First();
        var tested = test is null ? null : heads[winner].Evaluate(Samples.Of(network, test, seed, cancellation));
        return new ProbeResult(heads[winner].Rate, heads[winner].Decay, accuracies[winner], tested);
    }

    /// <summary>Trains the heads of a rate, one for every decay, as the rows of one matrix.</summary>
    private static Head[] Fit(Samples samples, int classes, double rate, long seed, CancellationToken cancellation)
    {
        var (width, rows) = (samples.Width, Decays.Length * classes);
        var (weight, bias) = (new float[rows * width], new float[rows]);
        var (weightGradient, biasGradient) = (new float[weight.Length], new float[rows]);
        var (weightMomentum, biasMomentum) = (new float[weight.Length], new float[rows]);
        var (inputs, errors) = (new float[BatchSize * width], new float[BatchSize * rows]);
        var order = new int[samples.Count];
        for (var epoch = 0; epoch < Epochs; epoch++)
        {
            cancellation.ThrowIfCancellationRequested();
            var now = rate * BatchSize / 256 * Schedule.LearningRate(1, epoch, Epochs, Warmup);
            for (var i = 0; i < order.Length; i++)
                order[i] = i;
            SplitMix.For(seed, string.Create(CultureInfo.InvariantCulture, $"linear-probe.{epoch}")).Shuffle(order.AsSpan());
            for (var from = 0; from < order.Length; from += BatchSize)
            {
                var chosen = order.AsSpan(from, Math.Min(BatchSize, order.Length - from));
                for (var i = 0; i < chosen.Length; i++)
                    samples.Features.AsSpan(chosen[i] * width, width).CopyTo(inputs.AsSpan(i * width));
                var error = errors.AsSpan(0, chosen.Length * rows);
                Elementwise.Copy(bias, error);
                Gemm.Multiply(chosen.Length, rows, width, new MatrixView(inputs, width), new MatrixView(weight, width, transposed: true), error, rows, beta: 1);
                Softmax.Rows(chosen.Length * Decays.Length, error, error);
                for (var at = 0; at < chosen.Length * Decays.Length; at++)
                    error[(at * classes) + samples.Labels[chosen[at / Decays.Length]]] -= 1;
                Elementwise.Scale(error, 1f / chosen.Length, error);
                Gemm.Multiply(rows, width, chosen.Length, new MatrixView(error, rows, transposed: true), new MatrixView(inputs, width), weightGradient, width);
                biasGradient.AsSpan().Clear();
                Elementwise.SumInto(error, biasGradient);
                for (var run = 0; run < Decays.Length; run++)
                {
                    var part = (run * classes * width)..((run + 1) * classes * width);
                    Optimizers.Sgd(weight.AsSpan(part), weightGradient.AsSpan(part), weightMomentum.AsSpan(part), now, Momentum, Decays[run]);
                }
                Optimizers.Sgd(bias, biasGradient, biasMomentum, now, Momentum, 0);
            }
        }
        return [.. Decays.Select((decay, run) => new Head(rate, decay, weight[(run * classes * width)..((run + 1) * classes * width)], bias[(run * classes)..((run + 1) * classes)]))];
    }

    /// <summary>A split as what the head reads of it.</summary>
    /// <param name="Features">(samples, width).</param>
    /// <param name="Labels">(samples).</param>
    private sealed record Samples(float[] Features, int[] Labels)
    {
        public int Count => this.Labels.Length;

        public int Width => this.Features.Length / this.Count;

        public static Samples Of(FusionNetwork network, IBatches batches, long seed, CancellationToken cancellation)
        {
            using var guard = no_grad();
            var (features, labels) = (new List<float>(), new List<int>());
            foreach (var batch in batches.On(network, seed, epoch: 0))
            {
                cancellation.ThrowIfCancellationRequested();
                using var scope = NewDisposeScope();
                using var owned = batch;
                features.AddRange(network.Features(batch.Images).to(ScalarType.Float32, CPU).data<float>().ToArray());
                labels.AddRange(Array.ConvertAll(batch.Labels.cpu().data<long>().ToArray(), label => (int)label));
            }
            return labels.Count > 0
                ? new Samples([.. features], [.. labels])
                : throw new FusionException("a linear probe needs images; one of the splits is empty", ExitCode.Data);
        }
    }

    /// <summary>A point of the grid, trained.</summary>
    private sealed record Head(double Rate, double Decay, float[] Weight, float[] Bias)
    {
        public Evaluation Evaluate(Samples samples)
        {
            var classes = this.Bias.Length;
            var logits = new float[samples.Count * classes];
            Elementwise.Copy(this.Bias, logits);
            Gemm.Multiply(samples.Count, classes, samples.Width, new MatrixView(samples.Features, samples.Width), new MatrixView(this.Weight, samples.Width, transposed: true), logits, classes, beta: 1);
            var tally = new Tally(classes);
            tally.Add(Array.ConvertAll(logits, logit => (double)logit), samples.Labels);
            return tally.Evaluation;
        }
    }
}
