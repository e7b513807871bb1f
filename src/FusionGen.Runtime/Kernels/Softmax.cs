using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FusionGen.Kernels;

/// <summary>Softmax along either axis of a matrix, and its gradient.</summary>
public static class Softmax
{
    /// <summary>The softmax of every row.</summary>
    /// <param name="rows">How many rows.</param>
    /// <param name="x">(rows, n).</param>
    /// <param name="y">(rows, n); may be x.</param>
    public static void Rows(int rows, ReadOnlySpan<float> x, Span<float> y)
    {
        var columns = Columns(rows, y);
        Check.Length(x, y.Length);
        Simd.Run(new RowsLoop { Columns = columns, X = x, Y = y });
    }

    /// <summary>The gradient of <see cref="Rows"/>: dX = y·(dY − Σ y·dY).</summary>
    /// <param name="rows">How many rows.</param>
    /// <param name="y">The softmax.</param>
    /// <param name="dY">Its gradient.</param>
    /// <param name="dX">The gradient of its logits; may be dY.</param>
    /// <param name="accumulate">Whether to add to dX.</param>
    public static void RowsBackward(int rows, ReadOnlySpan<float> y, ReadOnlySpan<float> dY, Span<float> dX, bool accumulate = false)
    {
        var columns = Columns(rows, dX);
        Check.Length(y, dX.Length);
        Check.Length(dY, dX.Length);
        Simd.Run(new RowsBackwardLoop { Columns = columns, Y = y, DY = dY, DX = dX, Accumulate = accumulate });
    }

    /// <summary>The softmax of every column.</summary>
    /// <param name="rows">How many rows.</param>
    /// <param name="x">(rows, n).</param>
    /// <param name="y">(rows, n); may be x.</param>
    public static void ColumnsForward(int rows, ReadOnlySpan<float> x, Span<float> y)
    {
        var columns = Columns(rows, y);
        Check.Length(x, y.Length);
        Simd.Run(new ColumnsLoop { Rows = rows, Columns = columns, X = x, Y = y });
    }

    /// <summary>The gradient of <see cref="ColumnsForward"/> and, as entries of 0 have none, of <see cref="TopColumns"/>.</summary>
    /// <param name="rows">How many rows.</param>
    /// <param name="y">The softmax.</param>
    /// <param name="dY">Its gradient.</param>
    /// <param name="dX">The gradient of its logits; may be dY.</param>
    /// <param name="accumulate">Whether to add to dX.</param>
    public static void ColumnsBackward(int rows, ReadOnlySpan<float> y, ReadOnlySpan<float> dY, Span<float> dX, bool accumulate = false)
    {
        var columns = Columns(rows, dX);
        Check.Length(y, dX.Length);
        Check.Length(dY, dX.Length);
        Simd.Run(new ColumnsBackwardLoop { Rows = rows, Columns = columns, Y = y, DY = dY, DX = dX, Accumulate = accumulate });
    }

    /// <summary>The softmax of the largest entries of every column; the others are 0. Of equal entries those of smaller row count as larger.</summary>
    /// <param name="rows">How many rows.</param>
    /// <param name="x">(rows, n).</param>
    /// <param name="top">How many entries of a column count.</param>
    /// <param name="y">(rows, n); not x.</param>
    public static void TopColumns(int rows, ReadOnlySpan<float> x, int top, Span<float> y)
    {
        var columns = Columns(rows, y);
        Check.Length(x, y.Length);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(top);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(top, Math.Min(rows, 1024));
        y.Clear();
        Span<int> places = stackalloc int[top];
        Span<float> weights = stackalloc float[top];
        for (var column = 0; column < columns; column++)
        {
            Largest(rows, x[column..], columns, places);
            for (var i = 0; i < top; i++)
                weights[i] = x[(places[i] * columns) + column];
            Rows(1, weights, weights);
            for (var i = 0; i < top; i++)
                y[(places[i] * columns) + column] = weights[i];
        }
    }

    /// <summary>The largest number of a row.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static float Largest<V>(ref float x, nint count)
        where V : struct, ILane<V>
    {
        var max = V.Of(float.NegativeInfinity);
        nint i = 0;
        for (; i <= count - V.Count; i += V.Count)
            max = V.Max(max, V.Load(ref Unsafe.Add(ref x, i)));
        if (i < count)
            max = V.Max(max, Simd.Load<V>(ref Unsafe.Add(ref x, i), count - i, float.NegativeInfinity));
        return max.Largest();
    }

    /// <summary>y = exp(x − largest), of a row; returns the sum.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static float Exponentials<V>(ref float x, ref float y, nint count, float largest)
        where V : struct, ILane<V>
    {
        var (shift, sum) = (V.Of(largest), V.Of(0));
        nint i = 0;
        for (; i <= count - V.Count; i += V.Count)
            sum += Exponential(ref Unsafe.Add(ref x, i), ref Unsafe.Add(ref y, i), V.Count, shift);
        if (i < count)
            sum += Exponential(ref Unsafe.Add(ref x, i), ref Unsafe.Add(ref y, i), count - i, shift);
        return sum.Sum();
    }

    // Beyond the row's end: exp(−∞) = 0.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Exponential<V>(ref float x, ref float y, nint left, V shift)
        where V : struct, ILane<V>
    {
        var value = VectorMath.ExpUpToZero(Simd.Load<V>(ref x, left, float.NegativeInfinity) - shift);
        Simd.Store(value, ref y, left);
        return value;
    }

    /// <summary>x·factor in place.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ScaleRow<V>(ref float x, nint count, float factor)
        where V : struct, ILane<V>
    {
        nint i = 0;
        for (; i <= count - V.Count; i += V.Count)
            (V.Load(ref Unsafe.Add(ref x, i)) * V.Of(factor)).Store(ref Unsafe.Add(ref x, i));
        if (i < count)
            Simd.Store(Simd.Load<V>(ref Unsafe.Add(ref x, i), count - i) * V.Of(factor), ref Unsafe.Add(ref x, i), count - i);
    }

    // The rows of a column's largest entries, largest first, by insertion: there are few of them.
    private static void Largest(int rows, ReadOnlySpan<float> x, int stride, Span<int> places)
    {
        var found = 0;
        for (var row = 0; row < rows; row++)
        {
            var value = x[row * stride];
            if (found == places.Length && !Larger(value, x[places[^1] * stride]))
                continue;
            var place = found < places.Length ? found++ : found - 1;
            for (; place > 0 && Larger(value, x[places[place - 1] * stride]); place--)
                places[place] = places[place - 1];
            places[place] = row;
        }
    }

    // What is not a number counts as largest, or it would vanish.
    private static bool Larger(float x, float than) => x > than || (float.IsNaN(x) && !float.IsNaN(than));

    private static int Columns(int rows, ReadOnlySpan<float> buffer)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        if (buffer.IsEmpty || buffer.Length % rows != 0)
            throw new ArgumentException($"{buffer.Length} floats are not {rows} rows", nameof(rows));
        return buffer.Length / rows;
    }

    private ref struct RowsLoop : ILoop
    {
        public int Columns;
        public ReadOnlySpan<float> X;
        public Span<float> Y;

        public readonly void Run<V>()
            where V : struct, ILane<V>
        {
            for (var start = 0; start < this.Y.Length; start += this.Columns)
            {
                ref var x = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.X), start);
                ref var y = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.Y), start);
                var sum = Exponentials<V>(ref x, ref y, this.Columns, Largest<V>(ref x, this.Columns));
                ScaleRow<V>(ref y, this.Columns, 1 / sum);
            }
        }
    }

    private ref struct RowsBackwardLoop : ILoop
    {
        public int Columns;
        public bool Accumulate;
        public ReadOnlySpan<float> Y;
        public ReadOnlySpan<float> DY;
        public Span<float> DX;

        public readonly void Run<V>()
            where V : struct, ILane<V>
        {
            for (nint start = 0; start < this.DX.Length; start += this.Columns)
            {
                ref var y = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.Y), start);
                ref var dY = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.DY), start);
                ref var dX = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.DX), start);
                var sum = V.Of(Loops.RowSum(default(Elementwise.Product), ref y, ref dY, V.Of(0), this.Columns));
                for (nint i = 0; i < this.Columns; i += V.Count)
                {
                    var left = this.Columns - i;
                    var value = Simd.Load<V>(ref Unsafe.Add(ref y, i), left) * (Simd.Load<V>(ref Unsafe.Add(ref dY, i), left) - sum);
                    ref var place = ref Unsafe.Add(ref dX, i);
                    if (this.Accumulate)
                        value += Simd.Load<V>(ref place, left);
                    Simd.Store(value, ref place, left);
                }
            }
        }
    }

    private ref struct ColumnsLoop : ILoop
    {
        public int Rows;
        public int Columns;
        public ReadOnlySpan<float> X;
        public Span<float> Y;

        public readonly void Run<V>()
            where V : struct, ILane<V>
        {
            for (var column = 0; column < this.Columns; column += V.Count)
            {
                nint left = this.Columns - column;
                ref var x = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.X), column);
                ref var y = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.Y), column);
                var end = (nint)this.Rows * this.Columns;
                var (max, sum) = (V.Of(float.NegativeInfinity), V.Of(0));
                for (nint i = 0; i < end; i += this.Columns)
                    max = V.Max(max, Simd.Load<V>(ref Unsafe.Add(ref x, i), left));
                for (nint i = 0; i < end; i += this.Columns)
                {
                    var value = VectorMath.ExpUpToZero(Simd.Load<V>(ref Unsafe.Add(ref x, i), left) - max);
                    sum += value;
                    Simd.Store(value, ref Unsafe.Add(ref y, i), left);
                }
                var factor = V.Of(1) / sum;
                for (nint i = 0; i < end; i += this.Columns)
                    Simd.Store(Simd.Load<V>(ref Unsafe.Add(ref y, i), left) * factor, ref Unsafe.Add(ref y, i), left);
            }
        }
    }

    private ref struct ColumnsBackwardLoop : ILoop
    {
        public int Rows;
        public int Columns;
        public bool Accumulate;
        public ReadOnlySpan<float> Y;
        public ReadOnlySpan<float> DY;
        public Span<float> DX;

        public readonly void Run<V>()
            where V : struct, ILane<V>
        {
            for (var column = 0; column < this.Columns; column += V.Count)
            {
                nint left = this.Columns - column;
                ref var y = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.Y), column);
                ref var dY = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.DY), column);
                ref var dX = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.DX), column);
                var end = (nint)this.Rows * this.Columns;
                var sum = V.Of(0);
                for (nint i = 0; i < end; i += this.Columns)
                    sum = V.MultiplyAdd(Simd.Load<V>(ref Unsafe.Add(ref y, i), left), Simd.Load<V>(ref Unsafe.Add(ref dY, i), left), sum);
                for (nint i = 0; i < end; i += this.Columns)
                {
                    var value = Simd.Load<V>(ref Unsafe.Add(ref y, i), left) * (Simd.Load<V>(ref Unsafe.Add(ref dY, i), left) - sum);
                    ref var place = ref Unsafe.Add(ref dX, i);
                    if (this.Accumulate)
                        value += Simd.Load<V>(ref place, left);
                    Simd.Store(value, ref place, left);
                }
            }
        }
    }
}
