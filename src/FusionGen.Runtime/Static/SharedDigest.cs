using System.Runtime.InteropServices;

namespace FusionGen.Static;

/// <summary>
/// A digest of what a program's parameter-only part reads, taken before every prediction: while it stays the same, so do that part's results. Tuned
/// numbers count every one; of frozen weights, which change only when others are loaded, a few hundred each.
/// </summary>
public struct SharedDigest
{
    private const ulong Prime = 0x9E3779B97F4A7C15;
    private const int Samples = 256;

    /// <summary>The digest.</summary>
    public ulong Value { get; private set; }

    /// <summary>Takes in every number.</summary>
    public void Add(ReadOnlySpan<float> values)
    {
        // Four chains, or every multiplication would wait for the one before it.
        var pairs = MemoryMarshal.Cast<float, ulong>(values);
        ulong a = this.Value ^ (ulong)values.Length, b = 1, c = 2, d = 3;
        var i = 0;
        for (; i <= pairs.Length - 4; i += 4)
        {
            a = Mix(a, pairs[i]);
            b = Mix(b, pairs[i + 1]);
            c = Mix(c, pairs[i + 2]);
            d = Mix(d, pairs[i + 3]);
        }
        for (i *= 2; i < values.Length; i++)
            a = Mix(a, BitConverter.SingleToUInt32Bits(values[i]));
        this.Value = Mix(Mix(Mix(a, b), c), d);
    }

    /// <summary>Takes in some numbers, evenly spread, first and last among them.</summary>
    public void Sample(ReadOnlySpan<float> values)
    {
        if (values.Length <= Samples)
        {
            this.Add(values);
            return;
        }
        for (var i = 0L; i < Samples; i++)
            this.Value = Mix(this.Value, BitConverter.SingleToUInt32Bits(values[(int)(i * (values.Length - 1) / (Samples - 1))]));
    }

    private static ulong Mix(ulong hash, ulong value)
    {
        hash = (hash ^ value) * Prime;
        return hash ^ (hash >> 32);
    }
}
