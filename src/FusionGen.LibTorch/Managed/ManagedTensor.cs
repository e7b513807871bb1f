using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchSharp;

/// <summary>
/// A strided view of a storage: what a handle stands for where there is no libtorch. It has no autograd; <see cref="ManagedOperators"/> are the operators it has.
/// </summary>
internal sealed unsafe class ManagedTensor
{
    /// <summary>Set in the handles of managed tensors; libtorch's are aligned addresses.</summary>
    private const nint Mark = 1;

    private static long liveHandles;

    private readonly ManagedStorage storage;

    public ManagedTensor(ManagedStorage storage, ScalarType type, long[] shape, long[] strides, long offset)
    {
        this.storage = storage;
        this.Type = type;
        this.Shape = shape;
        this.Strides = strides;
        this.Offset = offset;
    }

    /// <summary>Handles not released.</summary>
    public static long LiveHandles => Interlocked.Read(ref liveHandles);

    public ScalarType Type { get; }

    public long[] Shape { get; }

    public long[] Strides { get; }

    /// <summary>Of the first element, in elements.</summary>
    public long Offset { get; }

    /// <summary>Remembered; there is nothing to record.</summary>
    public bool RequiresGrad { get; set; }

    public long Count => CountOf(this.Shape);

    public byte* Data => this.storage.Start + (this.Offset * this.Type.ElementSize());

    public bool IsContiguous
    {
        get
        {
            var expected = 1L;
            for (var i = this.Shape.Length - 1; i >= 0; i--)
            {
                if (this.Shape[i] != 1 && this.Strides[i] != expected)
                    return this.Count == 0;
                expected *= this.Shape[i];
            }
            return true;
        }
    }

    /// <inheritdoc cref="ManagedStorage.FreshKibibytes"/>
    public int FreshKibibytes => this.storage.FreshKibibytes;

    /// <summary>Null where the handle is libtorch's.</summary>
    public static ManagedTensor? At(nint handle) => (handle & Mark) == 0 ? null : (ManagedTensor)GCHandle.FromIntPtr(handle & ~Mark).Target!;

    /// <summary>A tensor of its own with unset elements.</summary>
    public static ManagedTensor Empty(ScalarType type, params long[] shape) =>
        new(new ManagedStorage(CountOf(shape) * type.ElementSize()), type, shape, StridesOf(shape), 0);

    /// <summary>A tensor of its own with the given elements, row-major.</summary>
    public static ManagedTensor Of(double[] values, ScalarType type, params long[] shape)
    {
        var result = Empty(type, shape);
        fixed (double* source = values)
            Elements.Copy((byte*)source, ScalarType.Float64, result.Strides, result.Data, type, result.Strides, shape);
        return result;
    }

    /// <inheritdoc cref="Of(double[], ScalarType, long[])"/>
    public static ManagedTensor Of(long[] values, ScalarType type, params long[] shape)
    {
        var result = Empty(type, shape);
        fixed (long* source = values)
            Elements.Copy((byte*)source, ScalarType.Int64, result.Strides, result.Data, type, result.Strides, shape);
        return result;
    }

    public static long CountOf(ReadOnlySpan<long> shape)
    {
        var count = 1L;
        foreach (var size in shape)
            count *= size;
        return count;
    }

    /// <summary>Strides of a contiguous tensor.</summary>
    public static long[] StridesOf(long[] shape)
    {
        var strides = new long[shape.Length];
        var stride = 1L;
        for (var i = shape.Length - 1; i >= 0; i--)
        {
            strides[i] = stride;
            stride *= Math.Max(1, shape[i]);
        }
        return strides;
    }

    /// <summary>A handle for a new owner.</summary>
    public nint Own()
    {
        this.storage.Acquire();
        Interlocked.Increment(ref liveHandles);
        return GCHandle.ToIntPtr(GCHandle.Alloc(this)) | Mark;
    }

    /// <summary>Gives up a handle.</summary>
    public void Release(nint handle)
    {
        GCHandle.FromIntPtr(handle & ~Mark).Free();
        Interlocked.Decrement(ref liveHandles);
        this.storage.Release();
    }

    /// <summary>The same storage seen otherwise.</summary>
    public ManagedTensor View(long[] shape, long[] strides, long offset) => new(this.storage, this.Type, shape, strides, offset);

    /// <summary>The same elements under another shape.</summary>
    public ManagedTensor View(params long[] shape) => this.View(shape, StridesOf(shape), this.Offset);

    /// <summary>This tensor if it is contiguous, else a copy that is.</summary>
    public ManagedTensor Contiguous() => this.IsContiguous ? this.View(this.Shape, this.Strides, this.Offset) : this.Converted(this.Type);

    /// <summary>A copy in a type.</summary>
    public ManagedTensor Converted(ScalarType type)
    {
        var copy = Empty(type, this.Shape);
        copy.CopyFrom(this);
        return copy;
    }

    /// <summary>A view in which dimensions of one element repeat.</summary>
    public ManagedTensor Expand(long[] shape)
    {
        var strides = new long[shape.Length];
        var missing = shape.Length - this.Shape.Length;
        for (var i = 0; i < shape.Length; i++)
        {
            var size = i < missing ? 1 : this.Shape[i - missing];
            if (size != shape[i] && size != 1)
                throw ManagedOperators.Wrong($"[{string.Join(", ", this.Shape)}] does not expand to [{string.Join(", ", shape)}]");
            strides[i] = size == shape[i] && i >= missing ? this.Strides[i - missing] : 0;
        }
        return missing < 0
            ? throw ManagedOperators.Wrong($"[{string.Join(", ", this.Shape)}] does not expand to [{string.Join(", ", shape)}]")
            : this.View(shape, strides, this.Offset);
    }

    /// <summary>Overwrites the elements, converting and repeating them as needed.</summary>
    public void CopyFrom(ManagedTensor source)
    {
        var wide = source.Expand(this.Shape);
        Elements.Copy(wide.Data, wide.Type, wide.Strides, this.Data, this.Type, this.Strides, this.Shape);
        GC.KeepAlive(source);
        GC.KeepAlive(this);
    }

    /// <summary>The elements, row-major.</summary>
    public double[] Reals()
    {
        var values = new double[this.Count];
        fixed (double* target = values)
            Elements.Copy(this.Data, this.Type, this.Strides, (byte*)target, ScalarType.Float64, StridesOf(this.Shape), this.Shape);
        GC.KeepAlive(this);
        return values;
    }

    /// <inheritdoc cref="Reals"/>
    public long[] Integers()
    {
        var values = new long[this.Count];
        fixed (long* target = values)
            Elements.Copy(this.Data, this.Type, this.Strides, (byte*)target, ScalarType.Int64, StridesOf(this.Shape), this.Shape);
        GC.KeepAlive(this);
        return values;
    }
}
