using static TorchSharp.torch;

namespace FusionGen.Training;

/// <summary>A split of a data set, batch by batch.</summary>
public interface IBatches
{
    /// <summary>Batches of an epoch.</summary>
    int Count { get; }

    /// <summary>
    /// The batches of an epoch: normalised images (B, 3, S, S) and labels (B), int64. Order and augmentation depend on the seed and
    /// the epoch alone, so that a resumed run sees what an uninterrupted one would. Who enumerates owns the tensors and disposes them.
    /// </summary>
    IEnumerable<(Tensor Images, Tensor Labels)> Epoch(long seed, int epoch);
}
