using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchSharp;

/// <summary>How the shim reads the eight bytes of a <see cref="Value"/>; mirrors native/shim.h.</summary>
internal enum Tag
{
    None,
    Tensor,
    Int,
    Double,
    Bool,
    Ints,
    Doubles,
    Tensors,
    OptionalTensors,
    Device,
    String,
    Generator,
    Default,
}

/// <summary>What crosses to the shim; mirrors native/shim.h.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct Value
{
    [FieldOffset(0)]
    public Tag Tag;

    /// <summary>Of a list or string; of a resulting tensor, KiB that it alone holds.</summary>
    [FieldOffset(4)]
    public int Length;

    [FieldOffset(8)]
    public long Integer;

    [FieldOffset(8)]
    public double Real;

    [FieldOffset(8)]
    public nint Pointer;
}

/// <summary>An operator's argument on the managed side. Anything an ATen schema can ask for converts to it, so that calls read like the schema.</summary>
internal readonly struct Argument
{
    public readonly object? Reference;
    public readonly long Bits;
    public readonly Tag Tag;

    private Argument(Tag tag, object? reference, long bits = 0)
    {
        this.Tag = tag;
        this.Reference = reference;
        this.Bits = bits;
    }

    public static Argument None => default;

    /// <summary>The schema's default.</summary>
    public static Argument Default => new(Tag.Default, null);

    /// <summary>A list in which null stands for an absent tensor.</summary>
    public static Argument Optional(Tensor?[] tensors) => new(Tag.OptionalTensors, tensors);

    public static implicit operator Argument(Tensor? tensor) => tensor is null ? default : new(Tag.Tensor, tensor);

    public static implicit operator Argument(long value) => new(Tag.Int, null, value);

    public static implicit operator Argument(long? value) => value is { } v ? new(Tag.Int, null, v) : default;

    public static implicit operator Argument(double value) => new(Tag.Double, null, BitConverter.DoubleToInt64Bits(value));

    public static implicit operator Argument(double? value) => value is { } v ? v : default(Argument);

    public static implicit operator Argument(bool value) => new(Tag.Bool, null, value ? 1 : 0);

    public static implicit operator Argument(Scalar? value) => value is null ? default : new(value.Tag, null, value.Bits);

    public static implicit operator Argument(ScalarType value) => new(Tag.Int, null, (long)value);

    public static implicit operator Argument(ScalarType? value) => value is { } v ? new(Tag.Int, null, (long)v) : default;

    public static implicit operator Argument(Device? value) => value is null ? default : new(Tag.Device, null, ((long)value.index << 8) | (long)value.type);

    public static implicit operator Argument(long[]? values) => values is null ? default : new(Tag.Ints, values);

    public static implicit operator Argument(double[]? values) => values is null ? default : new(Tag.Doubles, values);

    public static implicit operator Argument(Tensor[] tensors) => new(Tag.Tensors, tensors);

    public static implicit operator Argument(string? text) => text is null ? default : new(Tag.String, System.Text.Encoding.UTF8.GetBytes(text));

    public static implicit operator Argument(Generator? generator) => generator is null ? default : new(Tag.Generator, generator);
}
