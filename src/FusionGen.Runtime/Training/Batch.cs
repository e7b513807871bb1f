using TorchSharp;
using static TorchSharp.torch;

namespace FusionGen.Training;

/// <summary>Images and their labels, on a network's device and in its type. Whoever holds it disposes it.</summary>
/// <param name="Images">(B, 3, S, S).</param>
/// <param name="Labels">(B), int64.</param>
public sealed record Batch(Tensor Images, Tensor Labels) : IDisposable
{
    /// <summary>Samples.</summary>
    public int Size => (int)this.Labels.numel();

    /// <inheritdoc/>
    public void Dispose()
    {
        this.Images.Dispose();
        this.Labels.Dispose();
    }
}

/// <summary>Batches as networks want them.</summary>
public static class BatchExtensions
{
    /// <summary>The batches of an epoch, from one on, on the network's device and in its type. The caller disposes each.</summary>
    public static IEnumerable<Batch> On(this IBatches batches, FusionNetwork network, long seed, int epoch, int from = 0)
    {
        ArgumentNullException.ThrowIfNull(batches);
        ArgumentNullException.ThrowIfNull(network);
        foreach (var (images, labels) in batches.Epoch(seed, epoch))
        {
            if (from-- <= 0)
            {
                yield return new Batch(Take(images, network.DataType, network.Location), Take(labels, ScalarType.Int64, network.Location));
                continue;
            }
            images.Dispose();
            labels.Dispose();
        }
    }

    private static Tensor Take(Tensor source, ScalarType type, Device device)
    {
        if (source.dtype == type && source.device_type == device.type && (device.type == DeviceType.CPU || source.device_index == device.index))
            return source.DetachFromDisposeScope();
        using (source)
            return source.to(type, device).DetachFromDisposeScope();
    }
}
