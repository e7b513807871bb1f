using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FusionGen.Kernels;

/// <summary>
/// A product of matrices without a library, built as BLIS builds it (Van Zee and van de Geijn 2015): blocks of A and B are copied into the order in
/// which they are read, and an innermost loop keeps 6 rows by 2 lanes of C in registers. Sums run over k in a fixed order.
/// </summary>
internal static class PackedProduct
{
    // 6 × 2 accumulators, 2 lanes of B and 1 of A fit the 16 registers of AVX2, and are enough to hide the latency of multiply-add anywhere.
    private const int TileRows = 6;
    private const int TileLanes = 2;

    // A panel of B (Depth × 2 lanes) stays in the first-level cache, a block of A (Rows × Depth) in the second, a block of B in the third.
    private const int Depth = 256;
    private const int Rows = 96;
    private const int Columns = 2048;

    [ThreadStatic]
    private static float[]? scratch;

    /// <summary>C = alpha·A·B + beta·C, unchecked.</summary>
    public static void Multiply(int m, int n, int k, MatrixView a, MatrixView b, Span<float> c, int stride, float alpha, float beta) =>
        Simd.Run(new ProductLoop(m, n, k, a, b, c, stride, alpha, beta));

    private static int RoundUp(int value, int step) => (value + step - 1) / step * step;

    private static Span<float> Scratch(int length)
    {
        if (scratch is null || scratch.Length < length)
            scratch = GC.AllocateUninitializedArray<float>(length);
        return scratch;
    }

    private readonly ref struct ProductLoop(int m, int n, int k, MatrixView a, MatrixView b, Span<float> c, int stride, float alpha, float beta) : ILoop
    {
        private readonly int m = m;
        private readonly int n = n;
        private readonly int k = k;
        private readonly MatrixView a = a;
        private readonly MatrixView b = b;
        private readonly Span<float> c = c;
        private readonly int stride = stride;
        private readonly float alpha = alpha;
        private readonly float beta = beta;

        public void Run<V>()
            where V : struct, ILane<V>
        {
            if (this.k == 0 || this.alpha == 0)
            {
                this.Scale(this.beta);
                return;
            }
            var tileColumns = TileLanes * V.Count;
            var rows = Math.Min(Rows, RoundUp(this.m, TileRows));
            var columns = Math.Min(Columns, RoundUp(this.n, tileColumns));
            var depth = Math.Min(Depth, this.k);
            var packed = Scratch((rows + columns) * depth);
            var packedA = packed[..(rows * depth)];
            var packedB = packed[(rows * depth)..];
            for (var column = 0; column < this.n; column += columns)
            {
                var blockColumns = Math.Min(columns, this.n - column);
                for (var step = 0; step < this.k; step += depth)
                {
                    var blockDepth = Math.Min(depth, this.k - step);
                    // What C held counts once; later parts of the sum over k are added.
                    var beta = step == 0 ? this.beta : 1;
                    Pack(this.b, !this.b.Transposed, column, blockColumns, step, blockDepth, tileColumns, packedB);
                    for (var row = 0; row < this.m; row += rows)
                    {
                        var blockRows = Math.Min(rows, this.m - row);
                        Pack(this.a, this.a.Transposed, row, blockRows, step, blockDepth, TileRows, packedA);
                        this.Block<V>(row, blockRows, column, blockColumns, blockDepth, packedA, packedB, beta);
                    }
                }
            }
        }

        /// <summary>
        /// Copies a block, <paramref name="count"/> wide by <paramref name="depth"/> deep, as panels of <paramref name="panel"/>: all of a panel's
        /// entries of one depth stand together. The last panel is filled up with zeros.
        /// </summary>
        /// <param name="together">Whether entries of one depth are neighbours in memory.</param>
        private static void Pack(MatrixView matrix, bool together, int first, int count, int step, int depth, int panel, Span<float> packed)
        {
            ref var source = ref Unsafe.Add(
                ref MemoryMarshal.GetReference(matrix.Values), together ? ((nint)step * matrix.Stride) + first : ((nint)first * matrix.Stride) + step);
            for (var start = 0; start < count; start += panel)
            {
                var width = Math.Min(panel, count - start);
                var target = packed.Slice(start * depth, panel * depth);
                if (width < panel)
                    target.Clear();
                if (together)
                {
                    for (var d = 0; d < depth; d++)
                        MemoryMarshal.CreateReadOnlySpan(ref Unsafe.Add(ref source, ((nint)d * matrix.Stride) + start), width).CopyTo(target[(d * panel)..]);
                }
                else
                {
                    PackTransposed(ref Unsafe.Add(ref source, (nint)start * matrix.Stride), matrix.Stride, width, depth, panel, ref target[0]);
                }
            }
        }

        private static void PackTransposed(ref float source, nint stride, int width, int depth, nint panel, ref float target)
        {
            // Four rows at a time: their writes fall into the same lines of the cache.
            var i = 0;
            for (; i <= width - 4; i += 4)
            {
                ref var row0 = ref Unsafe.Add(ref source, i * stride);
                ref var row1 = ref Unsafe.Add(ref row0, stride);
                ref var row2 = ref Unsafe.Add(ref row1, stride);
                ref var row3 = ref Unsafe.Add(ref row2, stride);
                ref var place = ref Unsafe.Add(ref target, i);
                for (nint d = 0; d < depth; d++)
                {
                    place = Unsafe.Add(ref row0, d);
                    Unsafe.Add(ref place, 1) = Unsafe.Add(ref row1, d);
                    Unsafe.Add(ref place, 2) = Unsafe.Add(ref row2, d);
                    Unsafe.Add(ref place, 3) = Unsafe.Add(ref row3, d);
                    place = ref Unsafe.Add(ref place, panel);
                }
            }
            for (; i < width; i++)
            {
                ref var row = ref Unsafe.Add(ref source, i * stride);
                for (nint d = 0; d < depth; d++)
                    Unsafe.Add(ref target, (d * panel) + i) = Unsafe.Add(ref row, d);
            }
        }

        private void Block<V>(int row, int rows, int column, int columns, int depth, ReadOnlySpan<float> packedA, ReadOnlySpan<float> packedB, float beta)
            where V : struct, ILane<V>
        {
            var tileColumns = TileLanes * V.Count;
            ref var a = ref MemoryMarshal.GetReference(packedA);
            ref var b = ref MemoryMarshal.GetReference(packedB);
            ref var c = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.c), ((nint)row * this.stride) + column);
            Span<float> edge = stackalloc float[TileRows * TileLanes * 16];
            for (var j = 0; j < columns; j += tileColumns)
            {
                for (var i = 0; i < rows; i += TileRows)
                {
                    ref var panelA = ref Unsafe.Add(ref a, (nint)i * depth);
                    ref var panelB = ref Unsafe.Add(ref b, (nint)j * depth);
                    ref var tile = ref Unsafe.Add(ref c, ((nint)i * this.stride) + j);
                    if (rows - i >= TileRows && columns - j >= tileColumns)
                    {
                        Tile<V>(ref panelA, ref panelB, depth, ref tile, this.stride, this.alpha, beta);
                    }
                    else
                    {
                        Tile<V>(ref panelA, ref panelB, depth, ref edge[0], tileColumns, this.alpha, 0);
                        Merge(edge, tileColumns, Math.Min(TileRows, rows - i), Math.Min(tileColumns, columns - j), ref tile, this.stride, beta);
                    }
                }
            }
        }

        private static void Merge(ReadOnlySpan<float> edge, int edgeStride, int rows, int columns, ref float tile, nint stride, float beta)
        {
            for (var i = 0; i < rows; i++)
            {
                for (var j = 0; j < columns; j++)
                {
                    ref var place = ref Unsafe.Add(ref tile, (i * stride) + j);
                    var value = edge[(i * edgeStride) + j];
                    place = beta == 0 ? value : (beta * place) + value;
                }
            }
        }

        private static void Tile<V>(ref float a, ref float b, int depth, ref float c, nint stride, float alpha, float beta)
            where V : struct, ILane<V>
        {
            // Twelve named accumulators, because only locals live in registers.
            var (c00, c01, c10, c11, c20, c21) = (V.Of(0), V.Of(0), V.Of(0), V.Of(0), V.Of(0), V.Of(0));
            var (c30, c31, c40, c41, c50, c51) = (V.Of(0), V.Of(0), V.Of(0), V.Of(0), V.Of(0), V.Of(0));
            for (var d = 0; d < depth; d++)
            {
                var b0 = V.Load(ref b);
                var b1 = V.Load(ref Unsafe.Add(ref b, V.Count));
                var x = V.Of(a);
                c00 = V.MultiplyAdd(x, b0, c00);
                c01 = V.MultiplyAdd(x, b1, c01);
                x = V.Of(Unsafe.Add(ref a, 1));
                c10 = V.MultiplyAdd(x, b0, c10);
                c11 = V.MultiplyAdd(x, b1, c11);
                x = V.Of(Unsafe.Add(ref a, 2));
                c20 = V.MultiplyAdd(x, b0, c20);
                c21 = V.MultiplyAdd(x, b1, c21);
                x = V.Of(Unsafe.Add(ref a, 3));
                c30 = V.MultiplyAdd(x, b0, c30);
                c31 = V.MultiplyAdd(x, b1, c31);
                x = V.Of(Unsafe.Add(ref a, 4));
                c40 = V.MultiplyAdd(x, b0, c40);
                c41 = V.MultiplyAdd(x, b1, c41);
                x = V.Of(Unsafe.Add(ref a, 5));
                c50 = V.MultiplyAdd(x, b0, c50);
                c51 = V.MultiplyAdd(x, b1, c51);
                a = ref Unsafe.Add(ref a, TileRows);
                b = ref Unsafe.Add(ref b, TileLanes * V.Count);
            }
            Put(c00, c01, ref c, alpha, beta);
            Put(c10, c11, ref Unsafe.Add(ref c, stride), alpha, beta);
            Put(c20, c21, ref Unsafe.Add(ref c, 2 * stride), alpha, beta);
            Put(c30, c31, ref Unsafe.Add(ref c, 3 * stride), alpha, beta);
            Put(c40, c41, ref Unsafe.Add(ref c, 4 * stride), alpha, beta);
            Put(c50, c51, ref Unsafe.Add(ref c, 5 * stride), alpha, beta);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Put<V>(V left, V right, ref float target, float alpha, float beta)
            where V : struct, ILane<V>
        {
            ref var next = ref Unsafe.Add(ref target, V.Count);
            left *= V.Of(alpha);
            right *= V.Of(alpha);
            if (beta != 0)
            {
                left = V.MultiplyAdd(V.Of(beta), V.Load(ref target), left);
                right = V.MultiplyAdd(V.Of(beta), V.Load(ref next), right);
            }
            left.Store(ref target);
            right.Store(ref next);
        }

        private void Scale(float factor)
        {
            for (var i = 0; i < this.m; i++)
            {
                var row = this.c.Slice(i * this.stride, this.n);
                if (factor == 0)
                    row.Clear();
                else
                    Elementwise.Scale(row, factor, row);
            }
        }
    }
}
