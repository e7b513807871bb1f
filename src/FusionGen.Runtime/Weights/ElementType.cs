using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace FusionGen.Weights;

/// <summary>Element types by the names that safetensors gives them.</summary>
internal static class ElementType
{
    /// <summary>Bytes of an element; 0 for a type that is not known here.</summary>
    public static int SizeOf(string type) => type switch
    {
        "F64" or "I64" => 8,
        "F32" or "I32" => 4,
        "F16" or "BF16" or "I16" => 2,
        "U8" or "I8" or "BOOL" => 1,
        _ => 0,
    };

    /// <summary>Little-endian floating-point numbers as float32, rounded to nearest where they were wider.</summary>
    public static void ToSingle(string type, ReadOnlySpan<byte> bytes, Span<float> target)
    {
        switch (type)
        {
            case "F32":
                MemoryMarshal.Cast<byte, float>(bytes).CopyTo(target);
                break;
            case "F64":
                for (var i = 0; i < target.Length; i++)
                    target[i] = (float)BinaryPrimitives.ReadDoubleLittleEndian(bytes[(8 * i)..]);
                break;
            case "F16":
                for (var i = 0; i < target.Length; i++)
                    target[i] = (float)BinaryPrimitives.ReadHalfLittleEndian(bytes[(2 * i)..]);
                break;
            case "BF16":
                for (var i = 0; i < target.Length; i++)
                    target[i] = BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(bytes[(2 * i)..]) << 16);
                break;
            default:
                throw new ArgumentException($"{type} is no floating-point type", nameof(type));
        }
    }
}
