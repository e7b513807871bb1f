using System.Buffers;
using System.Collections.Concurrent;

namespace FusionGen.Static;

/// <summary>
/// What a training step computes of images before anything tuned (METHOD §6.1, S6), kept from the first epoch on and known again by the images' own numbers. Each image is computed
/// alone, whatever batch it comes in, so that neither what is kept nor where a run was resumed changes a bit.
/// </summary>
/// <param name="program">A training step with a <see cref="StaticProgram.Frozen"/> entry.</param>
/// <param name="entry">The entry.</param>
/// <param name="bytes">Most to keep; images beyond are computed every time.</param>
internal sealed class FrozenImages(StaticProgram program, StaticEntry entry, long bytes)
{
    private readonly ConcurrentDictionary<ulong, float[]> kept = new();
    private readonly StaticPlace[] live = [.. entry.Live];
    private readonly int length = entry.Live.Sum(place => place.Length);
    private long left = bytes / sizeof(float) / Math.Max(1, entry.Live.Sum(place => place.Length));
    private long computed;

    /// <summary>Images kept.</summary>
    public int Count => this.kept.Count;

    /// <summary>How often an image was computed.</summary>
    public long Computed => Interlocked.Read(ref this.computed);

    /// <summary>Runs a slice of a batch through the forward pass.</summary>
    public void Run(in StaticFrame frame)
    {
        var own = ArrayPool<float[]>.Shared.Rent(frame.B);
        try
        {
            for (var i = 0; i < frame.B; i++)
                own[i] = this.Of(frame.Image(i));
            for (var i = 0; i < frame.B; i++)
                this.Give(own[i], frame, i);
        }
        finally
        {
            ArrayPool<float[]>.Shared.Return(own, clearArray: true);
        }
        program.RunForward(frame, entry.Call, int.MaxValue);
    }

    private float[] Of(in StaticFrame image)
    {
        var digest = default(SharedDigest);
        digest.Add(image.Images);
        if (this.kept.TryGetValue(digest.Value, out var known))
            return known;
        program.RunForward(image, 0, entry.Call);
        Interlocked.Increment(ref this.computed);
        var values = new float[this.length];
        var at = 0;
        foreach (var place in this.live)
        {
            image.At(place).CopyTo(values.AsSpan(at));
            at += place.Length;
        }
        if (Interlocked.Decrement(ref this.left) >= 0)
            this.kept.TryAdd(digest.Value, values);
        return values;
    }

    private void Give(float[] values, in StaticFrame frame, int index)
    {
        var at = 0;
        foreach (var place in this.live)
        {
            values.AsSpan(at, place.Length).CopyTo(frame.At(place)[(index * place.Length)..]);
            at += place.Length;
        }
    }
}
