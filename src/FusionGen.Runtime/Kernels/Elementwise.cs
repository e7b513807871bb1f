using System.Runtime.CompilerServices;

namespace FusionGen.Kernels;

/// <summary>
/// Arithmetic on entries, and the sums that its gradients are. An operand y or z may be shorter than x and then repeats:
/// (T, d) over the samples, (d) over samples and rows, a single number over everything. A target may be one of the operands.
/// </summary>
public static class Elementwise
{
    /// <summary>target = x + y, or target += x + y.</summary>
    public static void Add(ReadOnlySpan<float> x, ReadOnlySpan<float> y, Span<float> target, bool accumulate = false) =>
        Loops.Map(default(Sum), x, y, target, accumulate);

    /// <summary>target = x·y, or target += x·y.</summary>
    public static void Multiply(ReadOnlySpan<float> x, ReadOnlySpan<float> y, Span<float> target, bool accumulate = false) =>
        Loops.Map(default(Product), x, y, target, accumulate);

    /// <summary>target = x·y + z, or target += x·y + z.</summary>
    public static void MultiplyAdd(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> z, Span<float> target, bool accumulate = false) =>
        Loops.Map(default(ProductSum), x, y, z, target, accumulate);

    /// <summary>target = x·factor, or target += x·factor.</summary>
    public static void Scale(ReadOnlySpan<float> x, float factor, Span<float> target, bool accumulate = false) =>
        Loops.Map(default(Product), x, new ReadOnlySpan<float>(in factor), target, accumulate);

    /// <summary>target += x, which may repeat.</summary>
    public static void Accumulate(ReadOnlySpan<float> x, Span<float> target) => Loops.Map(default(Sum), target, x, target);

    /// <summary>target = x, which may repeat.</summary>
    public static void Copy(ReadOnlySpan<float> x, Span<float> target)
    {
        Check.Repeats(x, target.Length);
        if (x.Length == 1)
        {
            target.Fill(x[0]);
            return;
        }
        for (var start = 0; start < target.Length; start += x.Length)
            x.CopyTo(target[start..]);
    }

    /// <summary>target += Σ x over its repetitions: x (b, T, d) summed into (T, d), (d) or a single number.</summary>
    public static void SumInto(ReadOnlySpan<float> x, Span<float> target)
    {
        Check.Repeats(target, x.Length);
        if (target.Length == 1)
        {
            target[0] += (float)Loops.Sum(default(First), x, x);
            return;
        }
        for (var start = 0; start < x.Length; start += target.Length)
            Accumulate(x.Slice(start, target.Length), target);
    }

    /// <summary>target += Σ x·y over the repetitions of the target: the gradient of a factor that repeats. y is as long as x or repeats too.</summary>
    public static void SumProductInto(ReadOnlySpan<float> x, ReadOnlySpan<float> y, Span<float> target)
    {
        Check.Repeats(y, x.Length);
        Check.Repeats(target, x.Length);
        if (target.Length == 1)
        {
            double total = 0;
            if (y.Length == 1)
                total = y[0] * Loops.Sum(default(First), x, x);
            for (var start = 0; start < x.Length && y.Length > 1; start += y.Length)
                total += Loops.Sum(default(Product), x.Slice(start, y.Length), y);
            target[0] += (float)total;
            return;
        }
        // Whichever is longer is a whole number of the other; a row of the shorter one is what all three have in common.
        if (y.Length % target.Length != 0)
            Check.Repeats(y, target.Length);
        var row = Math.Min(target.Length, y.Length == 1 ? target.Length : y.Length);
        for (var start = 0; start < x.Length; start += row)
        {
            var part = target.Slice(start % target.Length, row);
            Multiply(x.Slice(start, row), y.Length == 1 ? y : y.Slice(start % y.Length, row), part, accumulate: true);
        }
    }

    /// <summary>Σ x·y of two rows of the same length.</summary>
    public static float Dot(ReadOnlySpan<float> x, ReadOnlySpan<float> y) => (float)Loops.Sum(default(Product), x, y);

    /// <summary>x.</summary>
    internal readonly struct First : IFunction
    {
        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<V>(V x, V y, V z)
            where V : struct, ILane<V> => x;
    }

    /// <summary>x + y.</summary>
    internal readonly struct Sum : IFunction
    {
        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<V>(V x, V y, V z)
            where V : struct, ILane<V> => x + y;
    }

    /// <summary>x·y.</summary>
    internal readonly struct Product : IFunction
    {
        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<V>(V x, V y, V z)
            where V : struct, ILane<V> => x * y;
    }

    /// <summary>x·y + z.</summary>
    internal readonly struct ProductSum : IFunction
    {
        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<V>(V x, V y, V z)
            where V : struct, ILane<V> => V.MultiplyAdd(x, y, z);
    }
}
