using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Data;

/// <summary>
/// Batches of a split, prepared ahead by threads of their own. A picture is decoded and resized once and kept as bytes, as far as the
/// memory allowed reaches; crops and flips depend on (seed, epoch, index) alone, so neither threads nor memory change what comes out.
/// </summary>
public sealed class Loader : IBatches
{
    private const int Ahead = 3;

    private readonly Split split;
    private readonly Preprocessing preprocessing;
    private readonly Normalization normalization;
    private readonly int size;
    private readonly int batch;
    private readonly bool training;
    private readonly int workers;
    private readonly long memory;
    private readonly Picture?[] cache;
    private long cached;

    /// <summary>Nothing is read until the first epoch.</summary>
    /// <param name="split">Where pictures come from.</param>
    /// <param name="preprocessing">How they become inputs.</param>
    /// <param name="normalization">How inputs are normalised.</param>
    /// <param name="size">Side of an input.</param>
    /// <param name="batch">Images of a batch; the last of an epoch may be smaller.</param>
    /// <param name="training">Whether to shuffle and augment.</param>
    /// <param name="workers">Threads that decode; 0 for all but one of the machine's.</param>
    /// <param name="memory">Most bytes of pictures to keep.</param>
    public Loader(
        Split split,
        Preprocessing preprocessing,
        Normalization normalization,
        int size,
        int batch,
        bool training,
        int workers = 0,
        long memory = 2L << 30)
    {
        ArgumentNullException.ThrowIfNull(split);
        ArgumentNullException.ThrowIfNull(preprocessing);
        ArgumentNullException.ThrowIfNull(normalization);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        ArgumentOutOfRangeException.ThrowIfNegative(workers);
        this.split = split;
        this.preprocessing = preprocessing;
        this.normalization = normalization;
        this.size = size;
        this.batch = batch;
        this.training = training;
        this.workers = workers == 0 ? Math.Max(1, Environment.ProcessorCount - 1) : workers;
        this.memory = memory;
        this.cache = new Picture?[split.Count];
    }

    /// <inheritdoc/>
    public int Count => (this.split.Count + this.batch - 1) / this.batch;

    /// <inheritdoc/>
    public IEnumerable<(Tensor Images, Tensor Labels)> Epoch(long seed, int epoch)
    {
        var order = this.Order(seed, epoch);
        using var stop = new CancellationTokenSource();
        using var ready = new BlockingCollection<(float[] Images, long[] Labels)>(Ahead);
        var spare = new ConcurrentBag<float[]>();
        ExceptionDispatchInfo? failure = null;
        var producer = new Thread(Produce) { IsBackground = true, Name = "loader" };
        producer.Start();
        try
        {
            foreach (var (images, labels) in ready.GetConsumingEnumerable())
            {
                yield return (tensor(images, [labels.Length, 3, this.size, this.size]), tensor(labels, [labels.Length]));
                spare.Add(images);
            }
            failure?.Throw();
        }
        finally
        {
            stop.Cancel();
            producer.Join();
        }

        void Produce()
        {
            try
            {
                for (var start = 0; start < order.Length; start += this.batch)
                {
                    var indices = order.AsMemory(start, Math.Min(this.batch, order.Length - start));
                    ready.Add(this.Prepare(indices, seed, epoch, spare, stop.Token), stop.Token);
                }
            }
            catch (OperationCanceledException)
            {
                // Who enumerates has left early.
            }
            catch (Exception error)
            {
                failure = ExceptionDispatchInfo.Capture((error as AggregateException)?.InnerExceptions[0] ?? error);
            }
            finally
            {
                ready.CompleteAdding();
            }
        }
    }

    /// <summary>Indices of the split in the order of an epoch.</summary>
    private int[] Order(long seed, int epoch)
    {
        var order = Enumerable.Range(0, this.split.Count).ToArray();
        if (this.training)
            SplitMix.For(seed, $"order {epoch}").Shuffle<int>(order);
        return order;
    }

    private (float[] Images, long[] Labels) Prepare(ReadOnlyMemory<int> indices, long seed, int epoch, ConcurrentBag<float[]> spare, CancellationToken stop)
    {
        var length = 3 * this.size * this.size;
        var labels = new long[indices.Length];
        var images = spare.TryTake(out var used) && used.Length == indices.Length * length ? used : new float[indices.Length * length];
        Parallel.For(0, indices.Length, new ParallelOptions { MaxDegreeOfParallelism = this.workers, CancellationToken = stop }, i =>
        {
            var index = indices.Span[i];
            labels[i] = this.split.Label(index);
            var augmentation = this.training ? SplitMix.For(seed, $"augmentation {epoch} {index}") : null;
            this.preprocessing.Take(this.Settled(index), this.size, augmentation, this.normalization, images.AsSpan(i * length, length));
        });
        return (images, labels);
    }

    private Picture Settled(int index)
    {
        if (Volatile.Read(ref this.cache[index]) is { } known)
            return known;
        var picture = this.preprocessing.Settle(this.split.Read(index), this.size);
        if (Interlocked.Add(ref this.cached, picture.Pixels.Length) <= this.memory)
            Volatile.Write(ref this.cache[index], picture);
        else
            Interlocked.Add(ref this.cached, -picture.Pixels.Length);
        return picture;
    }
}
