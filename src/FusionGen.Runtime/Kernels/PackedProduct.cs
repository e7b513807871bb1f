using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace FusionGen.Kernels;

/// <summary>
/// A product of matrices without a library. An innermost loop keeps a tile of C, 6 rows by some lanes, in registers, as BLIS does (Van Zee and
/// van de Geijn 2015); but only B is copied, a panel of as many columns as a tile has at a time, which stays in the first-level cache until all
/// rows of A have met it: rows of A are read where they lie. Sums run over k in a fixed order. A row or two are <see cref="RowProduct"/>'s.
/// </summary>
internal static class PackedProduct
{
    private const int TileRows = 6;

    // 32 KiB: a panel stays in the first-level cache beside the rows of A that meet it. Or half as many more.
    private const int PanelFloats = 8192;

    // A block of C, and the rows of A that it takes at a step, stay in the second-level cache. So many rows, or half as many more or fewer.
    private const int BlockRows = 384;
    private const int BlockColumns = 256;

    private const int LargestLane = 16;

    // 24 accumulators and a row of B want 32 registers; where there are 16, half as many keep the multiply-adds busy.
    private static readonly bool HasManyRegisters = Vector512.IsHardwareAccelerated || AdvSimd.IsSupported;

    /// <summary>C = alpha·A·B + beta·F + bias, unchecked.</summary>
    /// <param name="m">Rows of A and C.</param>
    /// <param name="n">Columns of B and C.</param>
    /// <param name="k">Columns of A and rows of B.</param>
    /// <param name="a">(m, k), as the product sees it.</param>
    /// <param name="b">(k, n), as the product sees it.</param>
    /// <param name="c">(m, n).</param>
    /// <param name="stride">Floats between two rows of C, and of F.</param>
    /// <param name="alpha">Factor of the product.</param>
    /// <param name="beta">Factor of F.</param>
    /// <param name="bias">(n), added to every row; empty for none.</param>
    /// <param name="from">F; empty for what C holds.</param>
    public static void Multiply(
        int m, int n, int k, MatrixView a, MatrixView b, Span<float> c, int stride, float alpha, float beta, ReadOnlySpan<float> bias = default, ReadOnlySpan<float> from = default)
    {
        if (m <= RowProduct.MostRows && !a.Transposed)
        {
            RowProduct.Multiply(m, n, k, a, b, c, stride, alpha, beta, bias, from);
            return;
        }
        Simd.RunOnRegisters(new ProductLoop
        {
            M = m,
            N = n,
            K = k,
            A = a,
            B = b,
            C = c,
            Stride = stride,
            Alpha = alpha,
            Beta = beta,
            Bias = bias,
            From = from.IsEmpty ? c : from,
        });
    }

    private ref struct ProductLoop : IRegisterLoop
    {
        public int M;
        public int N;
        public int K;
        public MatrixView A;
        public MatrixView B;
        public Span<float> C;
        public int Stride;
        public float Alpha;
        public float Beta;
        public ReadOnlySpan<float> Bias;
        public ReadOnlySpan<float> From;

        [SkipLocalsInit]
        public readonly void Run<V, R>()
            where V : struct, ILane<V>, IRegister<R>
        {
            // One more line, because panels start on a line's border.
            Span<float> room = stackalloc float[(PanelFloats * 3 / 2) + LargestLane];
            ref var place = ref Aligned(room);
            var most = HasManyRegisters ? 4 : 2;
            var depth = PanelFloats / (most * V.Count);
            // An empty sum is one step of nothing.
            var steps = Math.Max(1, (this.K + (depth / 2) - 1) / depth);
            // Even blocks: a short last one would pack all of B for a few rows. Even panels: one of a single lane would wait for its sums.
            var blocks = Math.Max(1, (this.M + (BlockRows / 2)) / BlockRows);
            var height = ((this.M + (blocks * TileRows) - 1) / (blocks * TileRows)) * TileRows;
            var lanes = (this.N + V.Count - 1) / V.Count;
            var panels = (lanes + most - 1) / most;
            var together = BlockColumns / (most * V.Count);
            for (var top = 0; top < this.M; top += height)
            {
                var bottom = Math.Min(top + height, this.M);
                for (var left = 0; left < panels; left += together)
                {
                    var right = Math.Min(left + together, panels);
                    for (var step = 0; step < steps; step++)
                    {
                        // Even steps: a short last one would be all overhead.
                        var (first, end) = (Part(this.K, step, steps), Part(this.K, step + 1, steps));
                        for (var panel = left; panel < right; panel++)
                        {
                            var (column, after) = (Part(lanes, panel, panels) * V.Count, Math.Min(Part(lanes, panel + 1, panels) * V.Count, this.N));
                            // While a panel is multiplied by, the next one comes nearer.
                            var next = panel + 1 < right ? (after, first) : step + 1 < steps ? (Part(lanes, left, panels) * V.Count, end) : (after, 0);
                            this.Panel<V, R>(top, bottom, column, after - column, first, end - first, next, ref place);
                        }
                    }
                }
            }
        }

        private static int Part(int count, int part, int parts) => (int)((long)count * part / parts);

        private readonly void Panel<V, R>(int top, int bottom, int column, int columns, int first, int depth, (int Column, int First) next, ref float panel)
            where V : struct, ILane<V>, IRegister<R>
        {
            switch ((columns + V.Count - 1) / V.Count)
            {
                case 4:
                    this.Sweep<V, Strip4<V, R>>(top, bottom, column, columns, first, depth, next, ref panel);
                    break;
                case 3:
                    this.Sweep<V, Strip3<V, R>>(top, bottom, column, columns, first, depth, next, ref panel);
                    break;
                case 2:
                    this.Sweep<V, Strip2<V, R>>(top, bottom, column, columns, first, depth, next, ref panel);
                    break;
                default:
                    this.Sweep<V, Strip1<V, R>>(top, bottom, column, columns, first, depth, next, ref panel);
                    break;
            }
        }

        private static unsafe ref float Aligned(Span<float> room)
        {
            // The stack does not move.
            var start = (nint)Unsafe.AsPointer(ref room[0]);
            return ref Unsafe.AddByteOffset(ref room[0], -start & ((LargestLane * sizeof(float)) - 1));
        }

        /// <summary>Copies a part of B, filled up with zeros to as many columns as a tile has: rows of it stand together.</summary>
        private readonly void Pack<V, S>(int column, nint columns, nint first, nint depth, ref float panel)
            where V : struct, ILane<V>
            where S : struct, IStrip<S>
        {
            ref var source = ref MemoryMarshal.GetReference(this.B.Values);
            nint stride = this.B.Stride;
            if (this.B.Transposed)
            {
                if (columns < S.Count)
                    MemoryMarshal.CreateSpan(ref panel, (int)depth * S.Count).Clear();
                Transpose(ref Unsafe.Add(ref source, (column * stride) + first), stride, columns, depth, S.Count, ref panel);
                return;
            }
            source = ref Unsafe.Add(ref source, (first * stride) + column);
            nint d = 0;
            // Four rows on their way at once.
            for (; columns == S.Count && d <= depth - 4; d += 4)
            {
                var row0 = S.Load(ref source);
                var row1 = S.Load(ref Unsafe.Add(ref source, stride));
                var row2 = S.Load(ref Unsafe.Add(ref source, 2 * stride));
                var row3 = S.Load(ref Unsafe.Add(ref source, 3 * stride));
                row0.Store(ref panel);
                row1.Store(ref Unsafe.Add(ref panel, S.Count));
                row2.Store(ref Unsafe.Add(ref panel, 2 * S.Count));
                row3.Store(ref Unsafe.Add(ref panel, 3 * S.Count));
                source = ref Unsafe.Add(ref source, 4 * stride);
                panel = ref Unsafe.Add(ref panel, 4 * S.Count);
            }
            for (; d < depth; d++)
            {
                for (nint i = 0; i < S.Count; i += V.Count)
                    Simd.Load<V>(ref Unsafe.Add(ref source, i), columns - i).Store(ref Unsafe.Add(ref panel, i));
                source = ref Unsafe.Add(ref source, stride);
                panel = ref Unsafe.Add(ref panel, S.Count);
            }
        }

        /// <summary>Asks for the share of a part of B that falls to a tile of so many.</summary>
        private readonly unsafe void Fetch((int Column, int First) part, int columns, int depth, int row, int rows)
        {
            if (!Sse.IsSupported || part.Column >= this.N)
                return;
            var (top, left, count, length) = this.B.Transposed ? (part.Column, part.First, columns, depth) : (part.First, part.Column, depth, columns);
            var end = Math.Min(count * (row + TileRows) / rows, count);
            for (var i = count * row / rows; i < end; i++)
            {
                // An address that is wrong, as the collector may make it, costs nothing but the request.
                var line = (float*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(this.B.Values)) + ((nint)(top + i) * this.B.Stride) + left;
                for (var at = 0; at < length; at += 16)
                    Sse.Prefetch1(line + at);
            }
        }

        private static void Transpose(ref float source, nint stride, nint columns, nint depth, nint width, ref float panel)
        {
            var fourfold = Sse.IsSupported || AdvSimd.Arm64.IsSupported ? depth & ~3 : 0;
            nint i = 0;
            // Whole lines of the caches: they are written once.
            for (; Avx512F.IsSupported && depth == fourfold && i <= columns - 16; i += 16)
            {
                for (nint d = 0; d < depth; d += 4)
                    TurnSixteen(ref Unsafe.Add(ref source, (i * stride) + d), stride, ref Unsafe.Add(ref panel, (d * width) + i), width);
            }
            for (; Avx.IsSupported && depth == fourfold && i <= columns - 8; i += 8)
            {
                for (nint d = 0; d < depth; d += 4)
                    TurnEight(ref Unsafe.Add(ref source, (i * stride) + d), stride, ref Unsafe.Add(ref panel, (d * width) + i), width);
            }
            for (; i <= columns - 4; i += 4)
            {
                ref var row0 = ref Unsafe.Add(ref source, i * stride);
                ref var row1 = ref Unsafe.Add(ref row0, stride);
                ref var row2 = ref Unsafe.Add(ref row1, stride);
                ref var row3 = ref Unsafe.Add(ref row2, stride);
                ref var place = ref Unsafe.Add(ref panel, i);
                nint d = 0;
                for (; d < fourfold; d += 4)
                {
                    Turn(
                        Vector128.LoadUnsafe(ref Unsafe.Add(ref row0, d)), Vector128.LoadUnsafe(ref Unsafe.Add(ref row1, d)),
                        Vector128.LoadUnsafe(ref Unsafe.Add(ref row2, d)), Vector128.LoadUnsafe(ref Unsafe.Add(ref row3, d)), ref place, width);
                    place = ref Unsafe.Add(ref place, 4 * width);
                }
                for (; d < depth; d++)
                {
                    place = Unsafe.Add(ref row0, d);
                    Unsafe.Add(ref place, 1) = Unsafe.Add(ref row1, d);
                    Unsafe.Add(ref place, 2) = Unsafe.Add(ref row2, d);
                    Unsafe.Add(ref place, 3) = Unsafe.Add(ref row3, d);
                    place = ref Unsafe.Add(ref place, width);
                }
            }
            for (; i < columns; i++)
            {
                ref var row = ref Unsafe.Add(ref source, i * stride);
                for (nint d = 0; d < depth; d++)
                    Unsafe.Add(ref panel, (d * width) + i) = Unsafe.Add(ref row, d);
            }
        }

        /// <summary>Writes the first four numbers of sixteen rows as four rows of sixteen.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void TurnSixteen(ref float source, nint stride, ref float target, nint width)
        {
            // Every fourth row, so that numbers have to move only within a quarter.
            var a = Quarters(ref source, 4 * stride);
            var b = Quarters(ref Unsafe.Add(ref source, stride), 4 * stride);
            var c = Quarters(ref Unsafe.Add(ref source, 2 * stride), 4 * stride);
            var d = Quarters(ref Unsafe.Add(ref source, 3 * stride), 4 * stride);
            var (ab, cd) = (Avx512F.UnpackLow(a, b).AsDouble(), Avx512F.UnpackLow(c, d).AsDouble());
            var (ab2, cd2) = (Avx512F.UnpackHigh(a, b).AsDouble(), Avx512F.UnpackHigh(c, d).AsDouble());
            Avx512F.UnpackLow(ab, cd).AsSingle().StoreUnsafe(ref target);
            Avx512F.UnpackHigh(ab, cd).AsSingle().StoreUnsafe(ref Unsafe.Add(ref target, width));
            Avx512F.UnpackLow(ab2, cd2).AsSingle().StoreUnsafe(ref Unsafe.Add(ref target, 2 * width));
            Avx512F.UnpackHigh(ab2, cd2).AsSingle().StoreUnsafe(ref Unsafe.Add(ref target, 3 * width));
        }

        /// <summary>Writes the first four numbers of eight rows as four rows of eight.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void TurnEight(ref float source, nint stride, ref float target, nint width)
        {
            var a = Halves(ref source, 4 * stride);
            var b = Halves(ref Unsafe.Add(ref source, stride), 4 * stride);
            var c = Halves(ref Unsafe.Add(ref source, 2 * stride), 4 * stride);
            var d = Halves(ref Unsafe.Add(ref source, 3 * stride), 4 * stride);
            var (ab, cd) = (Avx.UnpackLow(a, b).AsDouble(), Avx.UnpackLow(c, d).AsDouble());
            var (ab2, cd2) = (Avx.UnpackHigh(a, b).AsDouble(), Avx.UnpackHigh(c, d).AsDouble());
            Avx.UnpackLow(ab, cd).AsSingle().StoreUnsafe(ref target);
            Avx.UnpackHigh(ab, cd).AsSingle().StoreUnsafe(ref Unsafe.Add(ref target, width));
            Avx.UnpackLow(ab2, cd2).AsSingle().StoreUnsafe(ref Unsafe.Add(ref target, 2 * width));
            Avx.UnpackHigh(ab2, cd2).AsSingle().StoreUnsafe(ref Unsafe.Add(ref target, 3 * width));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<float> Halves(ref float source, nint stride) =>
            Vector256.Create(Vector128.LoadUnsafe(ref source), Vector128.LoadUnsafe(ref Unsafe.Add(ref source, stride)));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector512<float> Quarters(ref float source, nint stride) =>
            Vector512.Create(Halves(ref source, stride), Halves(ref Unsafe.Add(ref source, 2 * stride), stride));

        /// <summary>Writes four rows as columns.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Turn(Vector128<float> a, Vector128<float> b, Vector128<float> c, Vector128<float> d, ref float target, nint width)
        {
            if (Sse.IsSupported)
            {
                var (ab, cd) = (Sse.UnpackLow(a, b), Sse.UnpackLow(c, d));
                var (ab2, cd2) = (Sse.UnpackHigh(a, b), Sse.UnpackHigh(c, d));
                Sse.MoveLowToHigh(ab, cd).StoreUnsafe(ref target);
                Sse.MoveHighToLow(cd, ab).StoreUnsafe(ref Unsafe.Add(ref target, width));
                Sse.MoveLowToHigh(ab2, cd2).StoreUnsafe(ref Unsafe.Add(ref target, 2 * width));
                Sse.MoveHighToLow(cd2, ab2).StoreUnsafe(ref Unsafe.Add(ref target, 3 * width));
            }
            else
            {
                // a0 c0 a1 c1 and b0 d0 b1 d1 zip to a0 b0 c0 d0 and a1 b1 c1 d1.
                var (ac, bd) = (AdvSimd.Arm64.ZipLow(a, c), AdvSimd.Arm64.ZipLow(b, d));
                var (ac2, bd2) = (AdvSimd.Arm64.ZipHigh(a, c), AdvSimd.Arm64.ZipHigh(b, d));
                AdvSimd.Arm64.ZipLow(ac, bd).StoreUnsafe(ref target);
                AdvSimd.Arm64.ZipHigh(ac, bd).StoreUnsafe(ref Unsafe.Add(ref target, width));
                AdvSimd.Arm64.ZipLow(ac2, bd2).StoreUnsafe(ref Unsafe.Add(ref target, 2 * width));
                AdvSimd.Arm64.ZipHigh(ac2, bd2).StoreUnsafe(ref Unsafe.Add(ref target, 3 * width));
            }
        }

        /// <summary>Packs a panel, and multiplies all rows of A by it.</summary>
        [SkipLocalsInit]
        private readonly void Sweep<V, S>(int top, int bottom, int column, nint columns, nint first, nint depth, (int Column, int First) next, ref float panel)
            where V : struct, ILane<V>
            where S : struct, IStrip<S>
        {
            this.Pack<V, S>(column, columns, first, depth, ref panel);
            // A row of the bias and a tile.
            Span<float> room = stackalloc float[(1 + TileRows) * 4 * LargestLane];
            ref var edge = ref room[0];
            nint stride = this.Stride;
            var (rowStep, depthStep) = this.A.Transposed ? (1, (nint)this.A.Stride) : (this.A.Stride, 1);
            ref var a = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.A.Values), first * depthStep);
            ref var c = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.C), column);
            // What the product is added to counts once; later parts of the sum over k are added to the first.
            var isStart = first == 0;
            var beta = isStart ? this.Beta : 1;
            ref var from = ref isStart ? ref Unsafe.Add(ref MemoryMarshal.GetReference(this.From), column) : ref c;
            ref var bias = ref isStart && !this.Bias.IsEmpty ? ref Unsafe.Add(ref MemoryMarshal.GetReference(this.Bias), column) : ref Unsafe.NullRef<float>();
            scoped ref var beginning = ref Unsafe.NullRef<float>();
            if (!Unsafe.IsNullRef(ref bias) && this.Alpha == 1)
            {
                // Sums begin with the bias, and nobody has to add it.
                beginning = ref edge;
                MemoryMarshal.CreateReadOnlySpan(ref bias, (int)columns).CopyTo(room);
                bias = ref Unsafe.NullRef<float>();
                edge = ref Unsafe.Add(ref edge, S.Count);
            }
            var isFresh = beta == 0 && Unsafe.IsNullRef(ref bias);
            var isReady = beta == 1 && Unsafe.IsNullRef(ref bias) && Unsafe.AreSame(ref from, ref c);
            for (nint row = top; row < bottom; row += TileRows)
            {
                var rows = Math.Min(TileRows, bottom - row);
                this.Fetch(next, (int)columns, (int)depth, (int)(row - top), bottom - top);
                ref var x = ref Unsafe.Add(ref a, row * rowStep);
                ref var start = ref Unsafe.Add(ref from, row * stride);
                ref var target = ref Unsafe.Add(ref c, row * stride);
                // What is not a whole tile of C becomes one elsewhere.
                var isWhole = rows == TileRows && columns == S.Count;
                scoped ref var tile = ref isWhole ? ref target : ref edge;
                var tileStride = isWhole ? stride : S.Count;
                if (isFresh)
                {
                    Tile<S, Write>(ref x, rows, rowStep, depthStep, ref panel, depth, ref beginning, ref tile, tileStride, this.Alpha);
                }
                else
                {
                    for (nint i = 0; i < rows && !(isReady && isWhole); i++)
                        Begin<V>(columns, beta, ref Unsafe.Add(ref start, i * stride), ref bias, ref Unsafe.Add(ref tile, i * tileStride));
                    Tile<S, Add>(ref x, rows, rowStep, depthStep, ref panel, depth, ref beginning, ref tile, tileStride, this.Alpha);
                }
                for (nint i = 0; i < rows && !isWhole; i++)
                    MemoryMarshal.CreateReadOnlySpan(ref Unsafe.Add(ref edge, i * S.Count), (int)columns).CopyTo(MemoryMarshal.CreateSpan(ref Unsafe.Add(ref target, i * stride), (int)columns));
            }
        }

        /// <summary>A row of target = beta·from + bias, where the bias may be missing.</summary>
        private static void Begin<V>(nint columns, float beta, ref float from, ref float bias, ref float target)
            where V : struct, ILane<V>
        {
            for (nint i = 0; i < columns; i += V.Count)
            {
                var left = columns - i;
                var value = Unsafe.IsNullRef(ref bias) ? V.Of(0) : Simd.Load<V>(ref Unsafe.Add(ref bias, i), left);
                if (beta != 0)
                    value = V.MultiplyAdd(V.Of(beta), Simd.Load<V>(ref Unsafe.Add(ref from, i), left), value);
                Simd.Store(value, ref Unsafe.Add(ref target, i), left);
            }
        }

        // Six named sums, because only locals live in registers. Rows that are not there are the last one again.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Tile<S, TEnd>(ref float a, nint rows, nint rowStep, nint depthStep, ref float panel, nint depth, ref float beginning, ref float target, nint stride, float factor)
            where S : struct, IStrip<S>
            where TEnd : struct, IEnd
        {
            ref var a1 = ref Unsafe.Add(ref a, Math.Min(1, rows - 1) * rowStep);
            ref var a2 = ref Unsafe.Add(ref a, Math.Min(2, rows - 1) * rowStep);
            ref var a3 = ref Unsafe.Add(ref a, Math.Min(3, rows - 1) * rowStep);
            ref var a4 = ref Unsafe.Add(ref a, Math.Min(4, rows - 1) * rowStep);
            ref var a5 = ref Unsafe.Add(ref a, Math.Min(5, rows - 1) * rowStep);
            var (c0, c1, c2, c3, c4, c5) = (S.Of(0), S.Of(0), S.Of(0), S.Of(0), S.Of(0), S.Of(0));
            if (!Unsafe.IsNullRef(ref beginning))
            {
                c0 = S.Load(ref beginning);
                (c1, c2, c3, c4, c5) = (c0, c0, c0, c0, c0);
            }
            nint at = 0;
            // Two steps at a time: counting takes slots of the multiply-adds.
            for (; depth > 1; depth -= 2)
            {
                Step(S.Load(ref panel), at, ref a, ref a1, ref a2, ref a3, ref a4, ref a5, ref c0, ref c1, ref c2, ref c3, ref c4, ref c5);
                at += depthStep;
                panel = ref Unsafe.Add(ref panel, S.Count);
                Step(S.Load(ref panel), at, ref a, ref a1, ref a2, ref a3, ref a4, ref a5, ref c0, ref c1, ref c2, ref c3, ref c4, ref c5);
                at += depthStep;
                panel = ref Unsafe.Add(ref panel, S.Count);
            }
            if (depth > 0)
                Step(S.Load(ref panel), at, ref a, ref a1, ref a2, ref a3, ref a4, ref a5, ref c0, ref c1, ref c2, ref c3, ref c4, ref c5);
            TEnd.Put(c0, factor, ref target);
            TEnd.Put(c1, factor, ref Unsafe.Add(ref target, stride));
            TEnd.Put(c2, factor, ref Unsafe.Add(ref target, 2 * stride));
            TEnd.Put(c3, factor, ref Unsafe.Add(ref target, 3 * stride));
            TEnd.Put(c4, factor, ref Unsafe.Add(ref target, 4 * stride));
            TEnd.Put(c5, factor, ref Unsafe.Add(ref target, 5 * stride));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Step<S>(
            S b, nint at, ref float a, ref float a1, ref float a2, ref float a3, ref float a4, ref float a5, ref S c0, ref S c1, ref S c2, ref S c3, ref S c4, ref S c5)
            where S : struct, IStrip<S>
        {
            c0.Add(Unsafe.Add(ref a, at), b);
            c1.Add(Unsafe.Add(ref a1, at), b);
            c2.Add(Unsafe.Add(ref a2, at), b);
            c3.Add(Unsafe.Add(ref a3, at), b);
            c4.Add(Unsafe.Add(ref a4, at), b);
            c5.Add(Unsafe.Add(ref a5, at), b);
        }
    }

    /// <summary>What becomes of the sums of a tile.</summary>
    private interface IEnd
    {
        static abstract void Put<S>(S sums, float factor, ref float target)
            where S : struct, IStrip<S>;
    }

    private readonly struct Write : IEnd
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Put<S>(S sums, float factor, ref float target)
            where S : struct, IStrip<S>
        {
            var result = S.Of(0);
            result.Add(factor, sums);
            result.Store(ref target);
        }
    }

    // Added last: sums that began with a large number, as a residual may be, would be rounded like it at every step.
    private readonly struct Add : IEnd
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Put<S>(S sums, float factor, ref float target)
            where S : struct, IStrip<S>
        {
            var result = S.Load(ref target);
            result.Add(factor, sums);
            result.Store(ref target);
        }
    }
}
