using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace FusionGen;

/// <summary>SplitMix64 (Steele, Lea, Flood 2014): every random choice of FusionGen that is not libtorch's comes from here, by seed and purpose.</summary>
public sealed class SplitMix(ulong state)
{
    private double? spare;

    /// <summary>A stream of its own for a purpose under a seed.</summary>
    public static SplitMix For(long seed, string purpose)
    {
        Span<byte> hash = stackalloc byte[32];
        SHA256.HashData(Encoding.UTF8.GetBytes(purpose), hash);
        return new SplitMix(MemoryMarshal.Read<ulong>(hash) ^ Mix(unchecked((ulong)seed)));
    }

    /// <summary>The next 64 bits.</summary>
    public ulong NextUInt64() => Mix(state += 0x9E3779B97F4A7C15);

    /// <summary>Uniform in [0, 1).</summary>
    public double NextDouble() => (this.NextUInt64() >> 11) * (1.0 / (1UL << 53));

    /// <summary>Uniform in [0, <paramref name="bound"/>), without bias.</summary>
    public int Next(int bound)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bound);
        var limit = ulong.MaxValue - (ulong.MaxValue % (ulong)bound);
        ulong draw;
        do
        {
            draw = this.NextUInt64();
        }
        while (draw >= limit);
        return (int)(draw % (ulong)bound);
    }

    /// <summary>Standard normal (Box and Muller).</summary>
    public double NextGaussian()
    {
        if (this.spare is { } value)
        {
            this.spare = null;
            return value;
        }
        var radius = Math.Sqrt(-2 * Math.Log(1 - this.NextDouble()));
        var angle = 2 * Math.PI * this.NextDouble();
        this.spare = radius * Math.Sin(angle);
        return radius * Math.Cos(angle);
    }

    /// <summary>Fisher and Yates.</summary>
    public void Shuffle<T>(Span<T> items)
    {
        for (var i = items.Length - 1; i > 0; i--)
        {
            var j = this.Next(i + 1);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }

    /// <summary>What makes a counter random.</summary>
    internal static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
