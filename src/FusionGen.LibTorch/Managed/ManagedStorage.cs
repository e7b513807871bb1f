using Allocator = System.Runtime.InteropServices.NativeMemory;

namespace TorchSharp;

/// <summary>Memory outside the collector's heap, on a cache line's border, that tensors share; freed with the last of their handles.</summary>
internal sealed unsafe class ManagedStorage(long bytes) : IDisposable
{
    private void* start = Allocator.AlignedAlloc((nuint)Math.Max(1, bytes), 64);
    private int owners;

    ~ManagedStorage() => this.Free();

    public byte* Start => (byte*)this.start;

    /// <summary>KiB that one handle alone holds; 0 where several share.</summary>
    public int FreshKibibytes => this.owners == 1 ? (int)Math.Min(int.MaxValue, bytes >> 10) : 0;

    public void Acquire() => Interlocked.Increment(ref this.owners);

    public void Release()
    {
        if (Interlocked.Decrement(ref this.owners) == 0)
            this.Dispose();
    }

    public void Dispose()
    {
        this.Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        Allocator.AlignedFree(this.start);
        this.start = null;
    }
}
