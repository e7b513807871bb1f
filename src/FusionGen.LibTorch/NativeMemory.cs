namespace TorchSharp;

/// <summary>
/// The collector sees a tensor as a few dozen bytes and would let gigabytes of forgotten ones wait for their finalisers. This counts
/// what large tensors hold and asks for a collection whenever that has doubled since the last one. (GC.AddMemoryPressure counts what
/// was added, not what is held, and so collects all the time in a loop that disposes everything.)
/// </summary>
internal static class NativeMemory
{
    /// <summary>KiB from which a tensor counts.</summary>
    public const int Threshold = 256;

    private const long Least = 1 << 20;

    private static long held;
    private static long limit = Least;

    /// <summary>KiB held by large tensors that were not disposed.</summary>
    public static long Held => Interlocked.Read(ref held);

    public static void Add(int kibibytes)
    {
        if (Interlocked.Add(ref held, kibibytes) > Volatile.Read(ref limit))
            Collect();
    }

    public static void Remove(int kibibytes) => Interlocked.Add(ref held, -kibibytes);

    private static void Collect()
    {
        // Raised first: no other thread follows into the same collection.
        Volatile.Write(ref limit, long.MaxValue);
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Volatile.Write(ref limit, Math.Max(Least, 2 * Held));
    }
}
