using System.Globalization;
using System.Runtime.CompilerServices;

namespace FusionGen.Kernels;

/// <summary>The check of a buffer's length that stands before every unchecked loop.</summary>
internal static class Check
{
    /// <summary>Exactly <paramref name="length"/> floats.</summary>
    public static void Length(ReadOnlySpan<float> buffer, long length, [CallerArgumentExpression(nameof(buffer))] string name = "")
    {
        if (buffer.Length != length)
            Fail(buffer.Length, length, name);
    }

    /// <summary>Exactly <paramref name="length"/> floats, or none: the operand is left out.</summary>
    public static void LengthOrEmpty(ReadOnlySpan<float> buffer, long length, [CallerArgumentExpression(nameof(buffer))] string name = "")
    {
        if (!buffer.IsEmpty && buffer.Length != length)
            Fail(buffer.Length, length, name);
    }

    /// <summary>Exactly <paramref name="length"/> floats, or so many for each of <paramref name="samples"/> samples.</summary>
    public static void OnceOrEach(ReadOnlySpan<float> buffer, long length, int samples, [CallerArgumentExpression(nameof(buffer))] string name = "")
    {
        if (buffer.Length != length && buffer.Length != samples * length)
            Fail(buffer.Length, length, name);
    }

    /// <summary>At least <paramref name="length"/> floats.</summary>
    public static void Room(ReadOnlySpan<float> buffer, long length, [CallerArgumentExpression(nameof(buffer))] string name = "")
    {
        if (buffer.Length < length)
            Fail(buffer.Length, length, name);
    }

    /// <summary>As many floats as fill <paramref name="length"/> when repeated a whole number of times.</summary>
    public static void Repeats(ReadOnlySpan<float> buffer, long length, [CallerArgumentExpression(nameof(buffer))] string name = "")
    {
        if (buffer.IsEmpty || length % buffer.Length != 0)
            Fail(buffer.Length, length, name);
    }

    private static void Fail(int length, long expected, string name) =>
        throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"'{name}' holds {length} floats where {expected} are needed"), name);
}
