using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FusionGen.Kernels;

/// <summary>A product of a row or two: every number of B is needed so rarely that it is read where it lies, for copying it would cost more than the product.</summary>
internal static class RowProduct
{
    /// <summary>So many rows are multiplied faster this way.</summary>
    public const int MostRows = 2;

    private const int ShortSum = 32;

    /// <summary>C = alpha·A·B + beta·F + bias, unchecked; as <see cref="PackedProduct.Multiply"/>, of an A that is not transposed.</summary>
    public static void Multiply(
        int m, int n, int k, MatrixView a, MatrixView b, Span<float> c, int stride, float alpha, float beta, ReadOnlySpan<float> bias, ReadOnlySpan<float> from)
    {
        for (var row = 0; row < m; row++)
        {
            Simd.RunOnRegisters(new RowLoop
            {
                K = k,
                A = a.Values[(row * a.Stride)..],
                B = b,
                C = c.Slice(row * stride, n),
                Alpha = alpha,
                Beta = beta,
                Bias = bias,
                From = from.IsEmpty ? c.Slice(row * stride, n) : from.Slice(row * stride, n),
            });
        }
    }

    private ref struct RowLoop : IRegisterLoop
    {
        public int K;
        public ReadOnlySpan<float> A;
        public MatrixView B;
        public Span<float> C;
        public float Alpha;
        public float Beta;
        public ReadOnlySpan<float> Bias;
        public ReadOnlySpan<float> From;

        [SkipLocalsInit]
        public readonly void Run<V, R>()
            where V : struct, ILane<V>, IRegister<R>
        {
            ref var a = ref MemoryMarshal.GetReference(this.A);
            ref var b = ref MemoryMarshal.GetReference(this.B.Values);
            nint stride = this.B.Stride;
            var column = 0;
            if (this.B.Transposed)
            {
                for (; column <= this.C.Length - 4; column += 4)
                    this.Dots<V>(ref a, ref Unsafe.Add(ref b, column * stride), stride, column);
                for (; column < this.C.Length; column++)
                    this.Put(column, Loops.RowSum(default(Elementwise.Product), ref a, ref Unsafe.Add(ref b, column * stride), V.Of(0), this.K));
                return;
            }
            Span<float> room = stackalloc float[4 * Lane16.Count];
            for (; column <= this.C.Length - (4 * V.Count); column += 4 * V.Count)
            {
                this.Sum<Strip4<V, R>>(ref a, ref Unsafe.Add(ref b, column), stride).Store(ref room[0]);
                for (var i = 0; i < 4 * V.Count; i += V.Count)
                    this.Put(column + i, V.Load(ref room[i]));
            }
            for (; column <= this.C.Length - V.Count; column += V.Count)
            {
                this.Sum<Strip1<V, R>>(ref a, ref Unsafe.Add(ref b, column), stride).Store(ref room[0]);
                this.Put(column, V.Load(ref room[0]));
            }
            for (; column < this.C.Length; column++)
            {
                this.Sum<Strip1<Lane1, float>>(ref a, ref Unsafe.Add(ref b, column), stride).Store(ref room[0]);
                this.Put(column, room[0]);
            }
        }

        /// <summary>Sums of columns side by side; of short sums, because a long one's rounding errors grow with it.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        private readonly S Sum<S>(ref float a, ref float b, nint stride)
            where S : struct, IStrip<S>
        {
            var sums = S.Of(0);
            for (nint first = 0; first < this.K; first += ShortSum)
            {
                var part = S.Of(0);
                for (var d = first; d < Math.Min(first + ShortSum, this.K); d++)
                    part.Add(Unsafe.Add(ref a, d), S.Load(ref Unsafe.Add(ref b, d * stride)));
                sums.Add(1, part);
            }
            return sums;
        }

        /// <summary>Four at a time, because one would wait for every addition.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        private readonly void Dots<V>(ref float a, ref float b, nint stride, int column)
            where V : struct, ILane<V>
        {
            ref var b1 = ref Unsafe.Add(ref b, stride);
            ref var b2 = ref Unsafe.Add(ref b1, stride);
            ref var b3 = ref Unsafe.Add(ref b2, stride);
            var (sum, sum1, sum2, sum3) = (V.Of(0), V.Of(0), V.Of(0), V.Of(0));
            nint d = 0;
            for (; d <= this.K - V.Count; d += V.Count)
            {
                var x = V.Load(ref Unsafe.Add(ref a, d));
                sum = V.MultiplyAdd(x, V.Load(ref Unsafe.Add(ref b, d)), sum);
                sum1 = V.MultiplyAdd(x, V.Load(ref Unsafe.Add(ref b1, d)), sum1);
                sum2 = V.MultiplyAdd(x, V.Load(ref Unsafe.Add(ref b2, d)), sum2);
                sum3 = V.MultiplyAdd(x, V.Load(ref Unsafe.Add(ref b3, d)), sum3);
            }
            if (d < this.K)
            {
                var left = this.K - (int)d;
                var x = V.LoadPart(ref Unsafe.Add(ref a, d), left, 0);
                sum = V.MultiplyAdd(x, V.LoadPart(ref Unsafe.Add(ref b, d), left, 0), sum);
                sum1 = V.MultiplyAdd(x, V.LoadPart(ref Unsafe.Add(ref b1, d), left, 0), sum1);
                sum2 = V.MultiplyAdd(x, V.LoadPart(ref Unsafe.Add(ref b2, d), left, 0), sum2);
                sum3 = V.MultiplyAdd(x, V.LoadPart(ref Unsafe.Add(ref b3, d), left, 0), sum3);
            }
            this.Put(column, sum.Sum());
            this.Put(column + 1, sum1.Sum());
            this.Put(column + 2, sum2.Sum());
            this.Put(column + 3, sum3.Sum());
        }

        private readonly void Put(int column, float sum)
        {
            var start = (this.Bias.IsEmpty ? 0 : this.Bias[column]) + (this.Beta == 0 ? 0 : this.Beta * this.From[column]);
            this.C[column] = (this.Alpha * sum) + start;
        }

        private readonly void Put<V>(int column, V sums)
            where V : struct, ILane<V>
        {
            nint left = this.C.Length - column;
            var start = this.Bias.IsEmpty ? V.Of(0) : Simd.Load<V>(ref Unsafe.Add(ref MemoryMarshal.GetReference(this.Bias), column), left);
            if (this.Beta != 0)
                start = V.MultiplyAdd(V.Of(this.Beta), Simd.Load<V>(ref Unsafe.Add(ref MemoryMarshal.GetReference(this.From), column), left), start);
            Simd.Store(V.MultiplyAdd(V.Of(this.Alpha), sums, start), ref Unsafe.Add(ref MemoryMarshal.GetReference(this.C), column), left);
        }
    }
}
