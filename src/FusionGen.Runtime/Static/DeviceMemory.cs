using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace FusionGen.Static;

/// <summary>
/// Memory of a device, as tensors under addresses. Programs name places by spans, so a device's blocks have addresses too; but only <see cref="DeviceOps"/> can tell what is there. No machine maps
/// them, so that whoever looks into such a span on the host fails at once instead of reading something else.
/// </summary>
internal sealed unsafe class DeviceMemory(Device device) : IDisposable
{
    // Beyond what 57 bits of address can reach.
    private const long First = 1L << 56;
    private const int Bits = 34;
    private readonly List<DeviceBlock?> blocks = [];

    /// <summary>Where it is.</summary>
    public Device Device => device;

    /// <summary>Bytes of all blocks.</summary>
    public long Bytes => this.blocks.Sum(block => block is null ? 0 : block.Values.numel() * block.Values.element_size());

    /// <summary>A block of numbers, zeros, by which it is known on the device.</summary>
    public DeviceBlock Take(long elements, ScalarType type)
    {
        var count = StaticMemory.InOneSpan(elements);
        var values = zeros(Math.Max(1, count), dtype: type, device: device).DetachFromDisposeScope();
        var block = new DeviceBlock((nint)(First + ((long)this.blocks.Count << Bits)), values, count);
        this.blocks.Add(block);
        return block;
    }

    /// <summary>The numbers of a span, (length).</summary>
    public Tensor Of(ReadOnlySpan<float> span)
    {
        var (block, start) = this.Find(span);
        return block.narrow(0, start, span.Length);
    }

    /// <summary>Numbers of a span along strides.</summary>
    public Tensor Of(ReadOnlySpan<float> span, int start, long[] sizes, long[] strides)
    {
        var (block, first) = this.Find(span);
        return block.as_strided(sizes, strides, first + start);
    }

    /// <summary>A number by which a span is known: the same as long as its block is there.</summary>
    public static long AddressOf(ReadOnlySpan<float> span) => (nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(span));

    /// <summary>Takes a block back.</summary>
    public void Release(DeviceBlock block)
    {
        this.blocks[(int)((block.Address - First) >> Bits)] = null;
        block.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var block in this.blocks)
            block?.Dispose();
        this.blocks.Clear();
    }

    private (Tensor Block, long Start) Find(ReadOnlySpan<float> span)
    {
        var address = AddressOf(span) - First;
        return (this.blocks[(int)(address >> Bits)]!.Values, (address & ((1L << Bits) - 1)) / sizeof(float));
    }
}

/// <summary>A block of a device's memory.</summary>
/// <param name="address">Where it seems to be.</param>
/// <param name="values">Its numbers.</param>
/// <param name="elements">How many.</param>
internal sealed unsafe class DeviceBlock(nint address, Tensor values, int elements) : IDisposable
{
    private Tensor? staging;

    /// <summary>Where it seems to be.</summary>
    public nint Address => address;

    /// <summary>Its numbers, on the device.</summary>
    public Tensor Values => values;

    /// <summary>Its places, for programs.</summary>
    public Span<float> Span => new((void*)address, elements);

    /// <summary>How many numbers.</summary>
    public int Elements => elements;

    /// <summary>Takes numbers from the host into its beginning, through memory that the device can read by itself if that is to be kept.</summary>
    public void Take(ReadOnlySpan<float> numbers, bool keepStaging = true)
    {
        if (numbers.IsEmpty)
            return;
        this.staging ??= Staging(elements, values.device);
        numbers.CopyTo(MemoryMarshal.Cast<byte, float>(this.staging.bytes));
        using var from = this.staging.narrow(0, 0, numbers.Length);
        using var to = values.narrow(0, 0, numbers.Length);
        to.copy_(from);
        if (keepStaging)
            return;
        this.staging.Dispose();
        this.staging = null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        this.staging?.Dispose();
        values.Dispose();
    }

    private static Tensor Staging(int elements, Device device)
    {
        var memory = zeros(Math.Max(1, elements), dtype: ScalarType.Float32);
        if (device.type != TorchSharp.DeviceType.CUDA)
            return memory.DetachFromDisposeScope();
        using (memory)
            return memory.pin_memory().DetachFromDisposeScope();
    }
}
