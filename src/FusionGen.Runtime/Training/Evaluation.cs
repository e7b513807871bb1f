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

    /// <summary>Evaluates logits of a split; the order of samples does not matter. Reads the device once, at the end.</summary>
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
        var (losses, predictions, labels) = (new List<Tensor>(), new List<Tensor>(), new List<Tensor>());
        foreach (var batch in batches.On(network, seed: 0, epoch: 0))
        {
            cancellation.ThrowIfCancellationRequested();
            using var inner = NewDisposeScope();
            using var owned = batch;
            var logits = forward(batch.Images);
            losses.Add((nn.functional.cross_entropy(logits, batch.Labels).to(ScalarType.Float64) * batch.Size).MoveToOuterDisposeScope());
            predictions.Add(logits.argmax(1).MoveToOuterDisposeScope());
            labels.Add(batch.Labels.clone().MoveToOuterDisposeScope());
        }
        return losses.Count == 0
            ? new Evaluation(0, new int[network.Plan.Classes], new int[network.Plan.Classes])
            : Of(stack(losses).sum() / (double)labels.Sum(batch => batch.shape[0]), cat(predictions), cat(labels), network.Plan.Classes);
    }

    /// <summary>Counts predictions.</summary>
    /// <param name="loss">Mean cross-entropy, a scalar.</param>
    /// <param name="predictions">Predicted classes (N).</param>
    /// <param name="labels">True classes (N).</param>
    /// <param name="classes">How many classes there are.</param>
    internal static Evaluation Of(Tensor loss, Tensor predictions, Tensor labels, int classes)
    {
        using var scope = NewDisposeScope();
        var (correct, count) = (new int[classes], new int[classes]);
        var predicted = predictions.cpu().data<long>().ToArray();
        var actual = labels.cpu().data<long>().ToArray();
        for (var i = 0; i < actual.Length; i++)
        {
            count[actual[i]]++;
            if (predicted[i] == actual[i])
                correct[actual[i]]++;
        }
        return new Evaluation(loss.to(ScalarType.Float64).cpu().item<double>(), correct, count);
    }
}
