using FusionGen.Kernels;

namespace FusionGen.Static;

/// <summary>By this library's own kernels, on spans of the machine's memory. Nothing here allocates; sums run in a fixed order.</summary>
internal sealed class HostOps : StaticOps
{
    /// <summary>They have nothing of their own.</summary>
    public static HostOps Instance { get; } = new();

    /// <inheritdoc/>
    public override void Linear(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, ReadOnlySpan<float> residual, Span<float> y, int rows, int inner, int outer)
    {
        Product(false, true, rows, outer, inner, x, weight, residual, y, bias);
    }

    /// <inheritdoc/>
    public override void MatMul(
        ReadOnlySpan<float> a, bool transposeA, bool sharedA, ReadOnlySpan<float> b, bool transposeB, bool sharedB, ReadOnlySpan<float> residual, Span<float> c, int count, int m, int n, int k)
    {
        if (sharedB && !sharedA && !transposeA)
        {
            // All rows of all images in one product.
            Product(false, transposeB, count * m, n, k, a, b, residual, c);
            return;
        }
        for (var i = 0; i < count; i++)
        {
            var place = new Range(i * m * n, (i + 1) * m * n);
            Product(
                transposeA, transposeB, m, n, k,
                sharedA ? a : a.Slice(i * m * k, m * k), sharedB ? b : b.Slice(i * k * n, k * n), residual.IsEmpty ? default : residual[place], c[place]);
        }
    }

    /// <inheritdoc/>
    public override void Mix(ReadOnlySpan<float> mix, bool transposed, ReadOnlySpan<float> x, ReadOnlySpan<float> residual, Span<float> y, bool isSparse, int images, int rows, int width)
    {
        for (var image = 0; image < images; image++)
        {
            var place = new Range(image * rows * width, (image + 1) * rows * width);
            var from = residual.Length < y.Length ? residual : residual[place];
            var to = y[place];
            if (!isSparse)
            {
                Product(!transposed, false, rows, width, rows, mix, x[place], from, to);
                continue;
            }
            if (from.IsEmpty)
                to.Clear();
            else if (!from.Overlaps(to))
                from.CopyTo(to);
            SparseMix.Multiply(rows, width, mix, transposed, x[place], to);
        }
    }

    /// <inheritdoc/>
    public override void MixGradient(ReadOnlySpan<float> mix, ReadOnlySpan<float> x, ReadOnlySpan<float> dy, Span<float> dMix, bool isSparse, int images, int rows, int width)
    {
        if (isSparse)
            SparseMix.Backward(rows, width, mix, x, dy, dMix);
        else
            MatMulSum(x, false, dy, true, dMix, images, rows, rows, width);
    }

    /// <inheritdoc/>
    public override void MatMulSum(ReadOnlySpan<float> a, bool transposeA, ReadOnlySpan<float> b, bool transposeB, Span<float> c, int count, int m, int n, int k)
    {
        if (transposeA && !transposeB)
        {
            // Σ aᵢᵀbᵢ is one product of all rows.
            Product(true, false, m, n, count * k, a, b, default, c);
            return;
        }
        for (var i = 0; i < count; i++)
            Product(transposeA, transposeB, m, n, k, a.Slice(i * m * k, m * k), b.Slice(i * k * n, k * n), i == 0 ? default : c, c);
    }

    /// <inheritdoc/>
    public override void Keep(ReadOnlySpan<float> residual, Span<float> y)
    {
        if (residual.IsEmpty)
            y.Clear();
        else if (!residual.Overlaps(y))
        {
            for (var at = 0; at < y.Length; at += residual.Length)
                residual.CopyTo(y[at..]);
        }
    }

    /// <inheritdoc/>
    public override void Add(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y) => Elementwise.Add(Longer(a, b), Shorter(a, b), y);

    /// <inheritdoc/>
    public override void Mul(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y) => Elementwise.Multiply(Longer(a, b), Shorter(a, b), y);

    /// <inheritdoc/>
    public override void MulAdd(ReadOnlySpan<float> a, ReadOnlySpan<float> b, ReadOnlySpan<float> c, Span<float> y) => Elementwise.MultiplyAdd(Longer(a, b), Shorter(a, b), c, y);

    /// <inheritdoc/>
    public override void SumTo(ReadOnlySpan<float> x, Span<float> y)
    {
        y.Clear();
        Elementwise.SumInto(x, y);
    }

    /// <inheritdoc/>
    public override void MulSumTo(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y)
    {
        y.Clear();
        Elementwise.SumProductInto(Longer(a, b), Shorter(a, b), y);
    }

    /// <inheritdoc/>
    public override void Scale(ReadOnlySpan<float> x, float factor, float offset, Span<float> y)
    {
        Elementwise.Scale(x, factor, y);
        if (offset == 0)
            return;
        foreach (ref var number in y)
            number += offset;
    }

    /// <inheritdoc/>
    public override void Apply(Activation function, ReadOnlySpan<float> x, Span<float> y)
    {
        var partition = new ActivationPartition { Function = function, X = x, Y = y };
        // An exponential and what goes with it costs about as much as 32 multiply-adds of a product.
        Share(ref partition, 32L * x.Length, default);
    }

    /// <inheritdoc/>
    public override void ApplyGradient(Activation function, ReadOnlySpan<float> x, ReadOnlySpan<float> dy, Span<float> dx) => Activations.Backward(function, x, default, dy, dx);

    /// <inheritdoc/>
    public override void LayerNorm(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, Span<float> y, Span<float> statistics, int width, float epsilon)
    {
        var partition = new LayerNormPartition { Rows = x.Length / width, Width = width, Epsilon = epsilon, X = x, Weight = weight, Bias = bias, Y = y, Statistics = statistics };
        // Memory is what it waits for, as long as for about so many multiply-adds of a product.
        Share(ref partition, 16L * x.Length, default);
    }

    /// <inheritdoc/>
    public override void LayerNormGradient(
        ReadOnlySpan<float> x, ReadOnlySpan<float> dy, ReadOnlySpan<float> weight, ReadOnlySpan<float> statistics, ReadOnlySpan<float> residual, Span<float> dx, int width)
    {
        var rows = x.Length / width;
        if (!residual.IsEmpty && !residual.Overlaps(dx))
            residual.CopyTo(dx);
        Kernels.LayerNorm.Backward(rows, x, statistics[..rows], statistics[rows..], weight, dy, dx, accumulate: !residual.IsEmpty);
    }

    /// <inheritdoc/>
    public override void LayerNormScaleGradient(ReadOnlySpan<float> x, ReadOnlySpan<float> dy, ReadOnlySpan<float> statistics, Span<float> dWeight, int width)
    {
        var rows = x.Length / width;
        dWeight.Clear();
        Kernels.LayerNorm.BackwardParameters(rows, x, statistics[..rows], statistics[rows..], dy, dWeight, default);
    }

    /// <inheritdoc/>
    public override void Softmax(ReadOnlySpan<float> x, Span<float> y, int size, int inner, int top)
    {
        if (inner == 1 && top == 0)
        {
            Kernels.Softmax.Rows(x.Length / size, x, y);
            return;
        }
        for (var at = 0; at < x.Length; at += size * inner)
        {
            var from = x.Slice(at, size * inner);
            var to = y.Slice(at, size * inner);
            if (top == 0)
                Kernels.Softmax.ColumnsForward(size, from, to);
            else
                Kernels.Softmax.TopColumns(size, from, Math.Min(top, size), to);
        }
    }

    /// <inheritdoc/>
    public override void SoftmaxGradient(ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx, int size, int inner)
    {
        if (inner == 1)
        {
            Kernels.Softmax.RowsBackward(y.Length / size, y, dy, dx);
            return;
        }
        for (var at = 0; at < y.Length; at += size * inner)
            Kernels.Softmax.ColumnsBackward(size, y.Slice(at, size * inner), dy.Slice(at, size * inner), dx.Slice(at, size * inner));
    }

    /// <inheritdoc/>
    public override void Attention(
        ReadOnlySpan<float> qkv, ReadOnlySpan<float> prefix, ReadOnlySpan<float> logWeight, ReadOnlySpan<float> bias, Span<float> y, Span<float> saved,
        Span<float> scratch, int images, int rows, int width, int heads, int asking, int prefixRows)
    {
        var partition = new AttentionPartition
        {
            Shape = new(images, rows, width, heads, prefixRows, asking),
            Inputs = new(qkv, prefix, logWeight, bias),
            Output = y,
            Saved = saved,
        };
        Share(ref partition, 2L * images * partition.Shape.Queries * partition.Shape.Keys * width, scratch);
    }

    /// <inheritdoc/>
    public override void AttentionGradient(
        ReadOnlySpan<float> qkv, ReadOnlySpan<float> prefix, ReadOnlySpan<float> logWeight, ReadOnlySpan<float> bias, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, ReadOnlySpan<float> saved,
        Span<float> dQkv, Span<float> dPrefix, Span<float> dLogWeight, Span<float> dBias, Span<float> scratch, int images, int rows, int width, int heads, int asking, int prefixRows)
    {
        dPrefix.Clear();
        dLogWeight.Clear();
        dBias.Clear();
        Kernels.Attention.Backward(
            new AttentionShape(images, rows, width, heads, prefixRows, asking), new AttentionInputs(qkv, prefix, logWeight, bias),
            saved, y, dy, new AttentionGradients(dQkv, dPrefix, dLogWeight, dBias), scratch);
    }

    /// <inheritdoc/>
    public override void HeadProduct(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, Span<float> y, bool transposed, int images, int heads, int inner, int outer)
    {
        var (from, to) = transposed ? (outer, inner) : (inner, outer);
        for (var head = 0; head < heads; head++)
        {
            Gemm.Multiply(
                images, to, from, new MatrixView(x[(head * from)..], heads * from), new MatrixView(weight[(head * inner * outer)..], outer, transposed), y[(head * to)..], heads * to);
        }
    }

    /// <inheritdoc/>
    public override void RowAttention(
        ReadOnlySpan<float> rows, ReadOnlySpan<float> queries, ReadOnlySpan<float> prefix, ReadOnlySpan<float> logWeight, Span<float> y, Span<float> probabilities,
        int images, int tokens, int width, int heads, int prefixRows) => Kernels.RowAttention.Forward(new(images, tokens, width, heads, prefixRows), rows, queries, prefix, logWeight, y, probabilities);

    /// <inheritdoc/>
    public override void RowAttentionGradient(
        ReadOnlySpan<float> rows, ReadOnlySpan<float> queries, ReadOnlySpan<float> prefix, ReadOnlySpan<float> dy, ReadOnlySpan<float> probabilities,
        Span<float> dRows, Span<float> dQueries, Span<float> dPrefix, Span<float> dLogWeight, Span<float> scratch, int images, int tokens, int width, int heads, int prefixRows)
    {
        dPrefix.Clear();
        dLogWeight.Clear();
        Kernels.RowAttention.Backward(new(images, tokens, width, heads, prefixRows), rows, queries, prefix, probabilities, dy, dRows, dQueries, dPrefix, dLogWeight, scratch);
    }

    /// <inheritdoc/>
    public override void BlockDiagonal(ReadOnlySpan<float> x, Span<float> y, int count, int rows, int columns)
    {
        y.Clear();
        for (var i = 0; i < count * rows; i++)
            x.Slice(i * columns, columns).CopyTo(y[((i * count * columns) + (i / rows * columns))..]);
    }

    /// <inheritdoc/>
    public override void DiagonalBlocks(ReadOnlySpan<float> x, Span<float> y, int count, int rows, int columns)
    {
        for (var i = 0; i < count * rows; i++)
            x.Slice((i * count * columns) + (i / rows * columns), columns).CopyTo(y[(i * columns)..]);
    }

    /// <inheritdoc/>
    public override void Copy(
        ReadOnlySpan<float> source, int start, ReadOnlySpan<int> from, Span<float> target, int place, ReadOnlySpan<int> to, ReadOnlySpan<int> sizes, bool add) =>
        StridedCopy.Copy(sizes, source[start..], from, target[place..], to, add);

    /// <inheritdoc/>
    public override void DropoutMask(in StaticFrame frame, uint site, float rate, bool perImage, Span<float> mask)
    {
        if (frame.Dropout is not { } step)
        {
            mask.Fill(1);
            return;
        }
        var length = perImage ? mask.Length / frame.B : mask.Length;
        for (var i = 0; i * length < mask.Length; i++)
            step.Fill(mask.Slice(i * length, length), site, perImage ? frame.First + i : 0, rate);
    }

    /// <inheritdoc/>
    public override void Roll(ReadOnlySpan<float> x, Span<float> y, int shift, int rows, int columns, int width)
    {
        for (var image = 0; image < x.Length / (rows * columns * width); image++)
        {
            for (var row = 0; row < rows; row++)
            {
                for (var column = 0; column < columns; column++)
                {
                    var (toRow, toColumn) = (Modulo(row + shift, rows), Modulo(column + shift, columns));
                    x.Slice(((((image * rows) + row) * columns) + column) * width, width).CopyTo(y[(((((image * rows) + toRow) * columns) + toColumn) * width)..]);
                }
            }
        }

        static int Modulo(int a, int b) => ((a % b) + b) % b;
    }

    /// <inheritdoc/>
    public override void PatchRows(ReadOnlySpan<float> images, Span<float> rows, int patch, int channels, int side) => PatchEmbed.Gather(images, channels, side, patch, rows);

    /// <inheritdoc/>
    public override void Mean(ReadOnlySpan<float> x, Span<float> y, int size, int inner, int start)
    {
        y.Clear();
        for (var outer = 0; outer < y.Length / inner; outer++)
            Elementwise.SumInto(x[(((outer * size) + start) * inner)..((outer + 1) * size * inner)], y.Slice(outer * inner, inner));
        Elementwise.Scale(y, 1f / (size - start), y);
    }

    /// <inheritdoc/>
    public override void RelativeBias(ReadOnlySpan<float> table, Span<float> bias, int window)
    {
        var places = window * window;
        var heads = bias.Length / (places * places);
        for (var h = 0; h < heads; h++)
        {
            for (var i = 0; i < places * places; i++)
                bias[(h * places * places) + i] = table[(Offset(window, i / places, i % places) * heads) + h];
        }
    }

    /// <inheritdoc/>
    public override void RelativeBiasGradient(ReadOnlySpan<float> dBias, Span<float> dTable, int window)
    {
        var places = window * window;
        var heads = dBias.Length / (places * places);
        dTable.Clear();
        for (var h = 0; h < heads; h++)
        {
            for (var i = 0; i < places * places; i++)
                dTable[(Offset(window, i / places, i % places) * heads) + h] += dBias[(h * places * places) + i];
        }
    }

    /// <inheritdoc/>
    public override void WindowMask(Span<float> mask, int rows, int columns, int window, int shift)
    {
        var (across, places) = (columns / window, window * window);
        for (var i = 0; i < mask.Length; i++)
        {
            var (at, one, other) = (i / (places * places), i / places % places, i % places);
            mask[i] = Region(at, one) == Region(at, other) ? 0 : -100;
        }

        int Region(int at, int place) =>
            (Part((at / across * window) + (place / window), rows) * 3) + Part((at % across * window) + (place % window), columns);

        int Part(int at, int size) => at < size - window ? 0 : at < size - shift ? 1 : 2;
    }

    /// <inheritdoc/>
    public override void NeighbourBias(Span<float> bias, int side, int heads, bool padded)
    {
        for (var i = 0; i < bias.Length; i++)
            bias[i] = (float)NeighbourBias(i, side, padded);
    }

    private static ReadOnlySpan<float> Longer(ReadOnlySpan<float> a, ReadOnlySpan<float> b) => a.Length >= b.Length ? a : b;

    private static ReadOnlySpan<float> Shorter(ReadOnlySpan<float> a, ReadOnlySpan<float> b) => a.Length >= b.Length ? b : a;

    private static void Product(
        bool transposeA, bool transposeB, int m, int n, int k, ReadOnlySpan<float> a, ReadOnlySpan<float> b, ReadOnlySpan<float> residual, Span<float> c, ReadOnlySpan<float> bias = default)
    {
        var partition = new ProductPartition
        {
            M = m,
            N = n,
            K = k,
            A = new(a, transposeA ? m : k, transposeA),
            B = b,
            TransposeB = transposeB,
            Residual = residual,
            Bias = bias,
            C = c,
        };
        Share(ref partition, (long)m * n * k, default);
    }

    /// <summary>Does an operation, with the team's help where it is worth it.</summary>
    private static void Share<T>(scoped ref T operation, long multiplyAdds, Span<float> scratch)
        where T : struct, IPartition, allows ref struct
    {
        if (Partitions.IsWorthwhile(multiplyAdds))
            Team.Run(ref operation, scratch);
        else
            operation.Run(0, 1, scratch);
    }

    private static int Offset(int window, int i, int j)
    {
        var side = (2 * window) - 1;
        return (((i / window) - (j / window) + window - 1) * side) + (i % window) - (j % window) + window - 1;
    }
}
