using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FusionGen.Kernels;

/// <summary>A function of up to three numbers, written for lanes; what it does not need it ignores.</summary>
internal interface IFunction
{
    V Of<V>(V x, V y, V z)
        where V : struct, ILane<V>;
}

/// <summary>The two loops that most kernels are: a function of every entry, and a sum of one.</summary>
internal static class Loops
{
    // A single number is spread over a block of this many, so that it can be read as a row.
    private const int Spread = 128;

    // Long sums are taken of blocks, and the blocks' sums in double precision.
    private const int SumBlock = 4096;

    /// <summary>
    /// target = f(x, y, z), or target += f(x, y, z). x is as long as the target; y and z are as long or repeat, as (T, d), (d) and a single number
    /// do over (b, T, d). The target may be one of the operands.
    /// </summary>
    public static void Map<TFunction>(
        TFunction function, ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> z, Span<float> target, bool accumulate = false)
        where TFunction : struct, IFunction
    {
        Check.Length(x, target.Length);
        if (target.IsEmpty)
            return;
        Check.Repeats(y, target.Length);
        Check.Repeats(z, target.Length);
        Span<float> ySpread = stackalloc float[y.Length == 1 ? Spread : 0];
        Span<float> zSpread = stackalloc float[z.Length == 1 ? Spread : 0];
        ySpread.Fill(y[0]);
        zSpread.Fill(z[0]);
        Simd.Run(new MapLoop<TFunction>(function, x, y.Length == 1 ? ySpread : y, z.Length == 1 ? zSpread : z, target, accumulate));
    }

    /// <summary>target = f(x, y), or target += f(x, y); y is as long as x or repeats.</summary>
    public static void Map<TFunction>(
        TFunction function, ReadOnlySpan<float> x, ReadOnlySpan<float> y, Span<float> target, bool accumulate = false)
        where TFunction : struct, IFunction => Map(function, x, y, x, target, accumulate);

    /// <summary>target = f(x), or target += f(x).</summary>
    public static void Map<TFunction>(TFunction function, ReadOnlySpan<float> x, Span<float> target, bool accumulate = false)
        where TFunction : struct, IFunction => Map(function, x, x, x, target, accumulate);

    /// <summary>The sum of f(x, y, 0) over all entries of two rows of the same length.</summary>
    public static double Sum<TFunction>(TFunction function, ReadOnlySpan<float> x, ReadOnlySpan<float> y)
        where TFunction : struct, IFunction
    {
        Check.Length(y, x.Length);
        double total = 0;
        Simd.Run(new SumLoop<TFunction>(function, x, y, ref total));
        return total;
    }

    /// <summary>The sum of f(x, y, z) over a short row, z being the same for all entries.</summary>
    /// <remarks>Never inlined: inside a larger loop the compiler runs out of what it will inline, and lanes go through memory.</remarks>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static float RowSum<V, TFunction>(TFunction function, ref float x, ref float y, V z, nint count)
        where V : struct, ILane<V>
        where TFunction : struct, IFunction
    {
        // Four sums, or every addition would wait for the one before it.
        var (sum0, sum1, sum2, sum3) = (V.Of(0), V.Of(0), V.Of(0), V.Of(0));
        nint i = 0;
        for (; i <= count - (4 * V.Count); i += 4 * V.Count)
        {
            sum0 += Term<V, TFunction>(function, ref x, ref y, z, i);
            sum1 += Term<V, TFunction>(function, ref x, ref y, z, i + V.Count);
            sum2 += Term<V, TFunction>(function, ref x, ref y, z, i + (2 * V.Count));
            sum3 += Term<V, TFunction>(function, ref x, ref y, z, i + (3 * V.Count));
        }
        for (; i < count; i += V.Count)
        {
            var left = count - i;
            sum0 += Simd.Keep(function.Of(Simd.Load<V>(ref Unsafe.Add(ref x, i), left), Simd.Load<V>(ref Unsafe.Add(ref y, i), left), z), left);
        }
        return (sum0 + sum1 + (sum2 + sum3)).Sum();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Term<V, TFunction>(TFunction function, ref float x, ref float y, V z, nint i)
        where V : struct, ILane<V>
        where TFunction : struct, IFunction => function.Of(V.Load(ref Unsafe.Add(ref x, i)), V.Load(ref Unsafe.Add(ref y, i)), z);

    private readonly ref struct MapLoop<TFunction>(
        TFunction function, ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<float> z, Span<float> target, bool accumulate) : ILoop
        where TFunction : struct, IFunction
    {
        private readonly TFunction function = function;
        private readonly ReadOnlySpan<float> x = x;
        private readonly ReadOnlySpan<float> y = y;
        private readonly ReadOnlySpan<float> z = z;
        private readonly Span<float> target = target;
        private readonly bool accumulate = accumulate;

        public void Run<V>()
            where V : struct, ILane<V>
        {
            // Between two ends of a period all operands are plain rows.
            int y = 0, z = 0;
            for (var start = 0; start < this.target.Length;)
            {
                var count = Math.Min(Math.Min(this.y.Length - y, this.z.Length - z), this.target.Length - start);
                this.Row<V>(start, y, z, count);
                start += count;
                y = y + count == this.y.Length ? 0 : y + count;
                z = z + count == this.z.Length ? 0 : z + count;
            }
        }

        private void Row<V>(nint start, nint yStart, nint zStart, nint count)
            where V : struct, ILane<V>
        {
            var f = this.function;
            ref var x = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.x), start);
            ref var y = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.y), yStart);
            ref var z = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.z), zStart);
            ref var target = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.target), start);
            nint i = 0;
            // Whole lanes by themselves: a look at what is left takes 5 to 30 % of such a loop.
            for (; !this.accumulate && i <= count - V.Count; i += V.Count)
                f.Of(V.Load(ref Unsafe.Add(ref x, i)), V.Load(ref Unsafe.Add(ref y, i)), V.Load(ref Unsafe.Add(ref z, i))).Store(ref Unsafe.Add(ref target, i));
            for (; i < count; i += V.Count)
            {
                var left = count - i;
                var value = f.Of(
                    Simd.Load<V>(ref Unsafe.Add(ref x, i), left), Simd.Load<V>(ref Unsafe.Add(ref y, i), left), Simd.Load<V>(ref Unsafe.Add(ref z, i), left));
                ref var place = ref Unsafe.Add(ref target, i);
                if (this.accumulate)
                    value += Simd.Load<V>(ref place, left);
                Simd.Store(value, ref place, left);
            }
        }
    }

    private readonly ref struct SumLoop<TFunction>(TFunction function, ReadOnlySpan<float> x, ReadOnlySpan<float> y, ref double total) : ILoop
        where TFunction : struct, IFunction
    {
        private readonly TFunction function = function;
        private readonly ReadOnlySpan<float> x = x;
        private readonly ReadOnlySpan<float> y = y;
        private readonly ref double total = ref total;

        public void Run<V>()
            where V : struct, ILane<V>
        {
            ref var x = ref MemoryMarshal.GetReference(this.x);
            ref var y = ref MemoryMarshal.GetReference(this.y);
            for (nint start = 0; start < this.x.Length; start += SumBlock)
            {
                var count = Math.Min(SumBlock, this.x.Length - start);
                this.total += RowSum(this.function, ref Unsafe.Add(ref x, start), ref Unsafe.Add(ref y, start), V.Of(0), count);
            }
        }
    }
}
