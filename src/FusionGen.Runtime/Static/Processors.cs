using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace FusionGen.Static;

/// <summary>
/// Which processors threads run on. In a virtual machine Linux takes a processor that sleeps for one that the host has taken away, and wakes a thread on its waker's processor
/// instead, where it waits until a timer moves it: for as long as a whole prediction. A helper that may not run there while it sleeps is woken where it helps.
/// </summary>
[SuppressMessage("Security", "CA5392", Justification = "The C library is loaded already.")]
internal static unsafe partial class Processors
{
    // 1,024 processors, as the C library has it.
    private const int Bytes = 128;

    private static readonly byte[] Allowed = OfProcess();

    /// <summary>The calling thread, as <see cref="KeepOff"/> knows it; 0 where that does nothing.</summary>
    public static int Thread => Allowed.Length == 0 ? 0 : GetThread();

    /// <summary>The processor that the caller runs on; negative where nobody knows.</summary>
    public static int Current => Allowed.Length == 0 ? -1 : GetProcessor();

    /// <summary>Keeps a thread off a processor, if it may run on another.</summary>
    public static void KeepOff(int thread, int processor)
    {
        if (thread == 0 || processor < 0 || processor >= 8 * Bytes)
            return;
        Span<byte> mask = stackalloc byte[Bytes];
        Allowed.CopyTo(mask);
        mask[processor / 8] &= (byte)~(1 << (processor % 8));
        if (!mask.ContainsAnyExcept((byte)0))
            return;
        // Refused, the thread runs where it did.
        fixed (byte* start = mask)
            _ = SetAffinity(thread, Bytes, start);
    }

    /// <summary>Lets a thread run wherever the process may.</summary>
    public static void Free(int thread)
    {
        if (thread == 0)
            return;
        fixed (byte* start = Allowed)
            _ = SetAffinity(thread, Bytes, start);
    }

    private static byte[] OfProcess()
    {
        if (!OperatingSystem.IsLinux())
            return [];
        var mask = new byte[Bytes];
        fixed (byte* start = mask)
            return GetAffinity(Environment.ProcessId, Bytes, start) == 0 ? mask : [];
    }

    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int GetThread();

    [LibraryImport("libc", EntryPoint = "sched_getcpu")]
    private static partial int GetProcessor();

    [LibraryImport("libc", EntryPoint = "sched_getaffinity")]
    private static partial int GetAffinity(int thread, nint size, byte* mask);

    [LibraryImport("libc", EntryPoint = "sched_setaffinity")]
    private static partial int SetAffinity(int thread, nint size, byte* mask);
}
