using static TorchSharp.torch;

namespace TorchSharp;

/// <summary>Copies of elements between any strides and any types; conversions are C's.</summary>
internal static unsafe class Elements
{
    /// <summary>Copies elements of a shape; strides are in elements.</summary>
    public static void Copy(
        byte* source, ScalarType sourceType, ReadOnlySpan<long> sourceStrides, byte* target, ScalarType targetType, ReadOnlySpan<long> targetStrides, ReadOnlySpan<long> shape)
    {
        if (shape.Length == 0)
        {
            Row(source, sourceType, 1, target, targetType, 1, 1);
            return;
        }
        // What both sides run through evenly is one row.
        if (IsEven(sourceStrides, shape) && IsEven(targetStrides, shape))
        {
            Row(source, sourceType, sourceStrides[^1], target, targetType, targetStrides[^1], ManagedTensor.CountOf(shape));
            return;
        }
        for (var i = 0L; i < shape[0]; i++)
        {
            Copy(
                source + (i * sourceStrides[0] * sourceType.ElementSize()), sourceType, sourceStrides[1..],
                target + (i * targetStrides[0] * targetType.ElementSize()), targetType, targetStrides[1..],
                shape[1..]);
        }
    }

    /// <summary>Whether the elements follow each other at the distance of the last dimension's.</summary>
    private static bool IsEven(ReadOnlySpan<long> strides, ReadOnlySpan<long> shape)
    {
        for (var i = shape.Length - 2; i >= 0; i--)
        {
            if (strides[i] != strides[i + 1] * shape[i + 1])
                return false;
        }
        return true;
    }

    private static void Row(byte* source, ScalarType sourceType, long sourceStride, byte* target, ScalarType targetType, long targetStride, long count)
    {
        var (sourceStep, targetStep) = (sourceStride * sourceType.ElementSize(), targetStride * targetType.ElementSize());
        if (sourceType != targetType)
            Convert(source, sourceType, sourceStep, target, targetType, targetStep, count);
        else if (sourceStride == 1 && targetStride == 1)
            Buffer.MemoryCopy(source, target, count * sourceStep, count * sourceStep);
        else if (sourceType.ElementSize() == sizeof(float))
            Move<float>(source, sourceStep, target, targetStep, count);
        else if (sourceType.ElementSize() == sizeof(double))
            Move<double>(source, sourceStep, target, targetStep, count);
        else if (sourceType.ElementSize() == sizeof(short))
            Move<short>(source, sourceStep, target, targetStep, count);
        else
            Move<byte>(source, sourceStep, target, targetStep, count);
    }

    private static void Move<T>(byte* source, long sourceStep, byte* target, long targetStep, long count)
        where T : unmanaged
    {
        for (var i = 0L; i < count; i++)
            *(T*)(target + (i * targetStep)) = *(T*)(source + (i * sourceStep));
    }

    private static void Convert(byte* source, ScalarType sourceType, long sourceStep, byte* target, ScalarType targetType, long targetStep, long count)
    {
        if (is_floating_point(sourceType))
        {
            for (var i = 0L; i < count; i++)
                Store(target + (i * targetStep), targetType, Real(source + (i * sourceStep), sourceType));
        }
        else
        {
            for (var i = 0L; i < count; i++)
                Store(target + (i * targetStep), targetType, Integer(source + (i * sourceStep), sourceType));
        }
    }

    private static double Real(byte* at, ScalarType type) => type switch
    {
        ScalarType.Float32 => *(float*)at,
        ScalarType.Float64 => *(double*)at,
        ScalarType.Float16 => (double)*(Half*)at,
        _ => BitConverter.Int32BitsToSingle(*(ushort*)at << 16),
    };

    private static long Integer(byte* at, ScalarType type) => type switch
    {
        ScalarType.Int64 => *(long*)at,
        ScalarType.Int32 => *(int*)at,
        ScalarType.Int16 => *(short*)at,
        ScalarType.Int8 => *(sbyte*)at,
        _ => *at,
    };

    private static void Store(byte* at, ScalarType type, double value)
    {
        switch (type)
        {
            case ScalarType.Float32:
                *(float*)at = (float)value;
                break;
            case ScalarType.Float64:
                *(double*)at = value;
                break;
            case ScalarType.Float16:
                *(Half*)at = (Half)(float)value;
                break;
            case ScalarType.BFloat16:
                *(ushort*)at = Brain((float)value);
                break;
            case ScalarType.Bool:
                *at = (byte)(value != 0 ? 1 : 0);
                break;
            default:
                Store(at, type, (long)value);
                break;
        }
    }

    private static void Store(byte* at, ScalarType type, long value)
    {
        switch (type)
        {
            case ScalarType.Int64:
                *(long*)at = value;
                break;
            case ScalarType.Int32:
                *(int*)at = unchecked((int)value);
                break;
            case ScalarType.Int16:
                *(short*)at = unchecked((short)value);
                break;
            case ScalarType.Int8 or ScalarType.Byte:
                *at = unchecked((byte)value);
                break;
            case ScalarType.Bool:
                *at = (byte)(value != 0 ? 1 : 0);
                break;
            case ScalarType.Float32:
                *(float*)at = value;
                break;
            default:
                Store(at, type, (double)value);
                break;
        }
    }

    /// <summary>The nearest bfloat16, of two equally near the even one.</summary>
    private static ushort Brain(float value)
    {
        if (float.IsNaN(value))
            return 0x7FC0;
        var bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }
}
