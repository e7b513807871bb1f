using static TorchSharp.torch;

namespace FusionGen.Training;

/// <summary>How well a network does on a split.</summary>
/// <param name="Loss">Mean cross-entropy.</param>
/// <param name="Correct">Samples classified rightly, by class.</param>
/// <param name="Count">Samples, by class.</param>
public sealed record Evaluation(double Loss, IReadOnlyList<int> Correct, IReadOnlyList<int> Count)
{
    /// <summary>All samples.</summary>
    public int Samples => this.Count.Sum();

    /// <summary>Share of samples classified rightly.</summary>
    public double Top1 => this.Correct.Sum() / Math.Max(1.0, this.Samples);

    /// <summary>Mean over the classes that occur of the share classified rightly.</summary>
    public double MeanPerClass => Enumerable.Range(0, this.Count.Count).Where(c => this.Count[c] > 0)
        .Select(c => this.Correct[c] / (double)this.Count[c]).DefaultIfEmpty(0).Average();

    /// <summary>Evaluates logits of a split; the order of samples does not matter. Reads the device at the end.</summary>
    /// <param name="forward">Logits (B, classes) of images.</param>
    /// <param name="batches">The split; its epoch 0 under seed 0 is used.</param>
    /// <param name="network">Says device, type and number of classes.</param>
    /// <param name="cancellation">Stops between batches.</param>
    public static Evaluation Of(Func<Tensor, Tensor> forward, IBatches batches, FusionNetwork network, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(forward);
        ArgumentNullException.ThrowIfNull(batches);
        ArgumentNullException.ThrowIfNull(network);
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var read = new List<(Tensor Logits, Tensor Labels)>();
        foreach (var batch in batches.On(network, seed: 0, epoch: 0))
        {
            cancellation.ThrowIfCancellationRequested();
            using var inner = NewDisposeScope();
            using var owned = batch;
            read.Add((forward(batch.Images).MoveToOuterDisposeScope(), batch.Labels.clone().MoveToOuterDisposeScope()));
        }
        var tally = new Tally(network.Plan.Classes);
        foreach (var (logits, labels) in read)
            tally.Add(logits.to(ScalarType.Float64, CPU).data<double>().ToArray(), Array.ConvertAll(labels.cpu().data<long>().ToArray(), label => (int)label));
        return tally.Evaluation;
    }
}

/// <summary>Counts what logits say of images.</summary>
internal sealed class Tally(int classes)
{
    private readonly int[] correct = new int[classes];
    private readonly int[] count = new int[classes];
    private double loss;

    /// <summary>What they came to.</summary>
    public Evaluation Evaluation => new(this.loss / Math.Max(1, this.count.Sum()), this.correct, this.count);

    /// <summary>Adds logits (B, classes) of images; of equals, the first class is what they say.</summary>
    public void Add(ReadOnlySpan<double> logits, ReadOnlySpan<int> labels)
    {
        foreach (var label in labels)
        {
            var (winner, sum) = (0, 0.0);
            for (var i = 1; i < classes; i++)
                winner = logits[i] > logits[winner] ? i : winner;
            for (var i = 0; i < classes; i++)
                sum += Math.Exp(logits[i] - logits[winner]);
            // The difference first: both may be large where the loss is small.
            this.loss += logits[winner] - logits[label] + Math.Log(sum);
            this.count[label]++;
            this.correct[label] += winner == label ? 1 : 0;
            logits = logits[classes..];
        }
    }
}
