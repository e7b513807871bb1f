using static TorchSharp.torch;

namespace TorchSharp;

/// <summary>A number of any type, as an operator's argument.</summary>
public sealed class Scalar : IDisposable
{
    private Scalar(Tag tag, long bits, ScalarType type)
    {
        this.Tag = tag;
        this.Bits = bits;
        this.Type = type;
    }

    public ScalarType Type { get; }

    internal Tag Tag { get; }

    internal long Bits { get; }

    internal double AsDouble => this.Tag == Tag.Double ? BitConverter.Int64BitsToDouble(this.Bits) : this.Bits;

    internal long AsInt64 => this.Tag == Tag.Double ? (long)BitConverter.Int64BitsToDouble(this.Bits) : this.Bits;

    public static implicit operator Scalar(byte value) => new(Tag.Int, value, ScalarType.Byte);

    public static implicit operator Scalar(sbyte value) => new(Tag.Int, value, ScalarType.Int8);

    public static implicit operator Scalar(short value) => new(Tag.Int, value, ScalarType.Int16);

    public static implicit operator Scalar(int value) => new(Tag.Int, value, ScalarType.Int32);

    public static implicit operator Scalar(long value) => new(Tag.Int, value, ScalarType.Int64);

    public static implicit operator Scalar(float value) => Real(value, ScalarType.Float32);

    public static implicit operator Scalar(double value) => Real(value, ScalarType.Float64);

    public static implicit operator Scalar(bool value) => new(Tag.Bool, value ? 1 : 0, ScalarType.Bool);

    /// <summary>Nothing to free here; TorchSharp's scalars own native memory.</summary>
    public void Dispose()
    {
    }

    internal static Scalar Of(in Value value) => value.Tag switch
    {
        Tag.Double => value.Real,
        Tag.Bool => value.Integer != 0,
        _ => value.Integer,
    };

    private static Scalar Real(double value, ScalarType type) => new(Tag.Double, BitConverter.DoubleToInt64Bits(value), type);
}

public static class ScalarExtensionMethods
{
    public static Scalar ToScalar(this float value) => value;

    public static Scalar ToScalar(this double value) => value;

    public static Scalar ToScalar(this int value) => value;

    public static Scalar ToScalar(this long value) => value;

    public static Scalar ToScalar(this bool value) => value;

    public static float ToSingle(this Scalar value) => (float)Checked(value).AsDouble;

    public static double ToDouble(this Scalar value) => Checked(value).AsDouble;

    public static int ToInt32(this Scalar value) => (int)Checked(value).AsInt64;

    public static long ToInt64(this Scalar value) => Checked(value).AsInt64;

    public static bool ToBoolean(this Scalar value) => Checked(value).AsDouble != 0;

    private static Scalar Checked(Scalar value) => value ?? throw new ArgumentNullException(nameof(value));
}
