namespace FusionGen.Static;

/// <summary>Functions of one number.</summary>
public enum StaticFunction
{
    /// <summary>x·Φ(x), exact (erf).</summary>
    Gelu,

    /// <summary>x·σ(x).</summary>
    Silu,

    /// <summary>max(x, 0).</summary>
    Relu,

    /// <summary>1/(1+e⁻ˣ).</summary>
    Sigmoid,
}

/// <summary>
/// The operations of static programs: what the compiler's graph means on spans of float32, rows contiguous. Nothing here allocates; sums run
/// in a fixed order.
/// </summary>
public static class StaticOps
{
    /// <summary>y = x·wᵀ + bias + residual.</summary>
    /// <param name="x">(rows, inner).</param>
    /// <param name="weight">(outer, inner).</param>
    /// <param name="bias">(outer); empty for none.</param>
    /// <param name="residual">(rows, outer), possibly y itself; empty for none.</param>
    /// <param name="y">(rows, outer).</param>
    /// <param name="rows">Rows.</param>
    /// <param name="inner">Width of x.</param>
    /// <param name="outer">Width of y.</param>
    public static void Linear(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, ReadOnlySpan<float> residual, Span<float> y, int rows, int inner, int outer)
    {
        Start(residual, bias, y);
        Product(false, true, rows, outer, inner, x, weight, residual.IsEmpty && bias.IsEmpty, y);
    }

    /// <summary>c = a·b + residual, <paramref name="count"/> times; an operand that is shared serves all.</summary>
    public static void MatMul(
        ReadOnlySpan<float> a, bool transposeA, bool sharedA, ReadOnlySpan<float> b, bool transposeB, bool sharedB, ReadOnlySpan<float> residual, Span<float> c, int count, int m, int n, int k)
    {
        Start(residual, default, c);
        if (sharedB && !sharedA && !transposeA)
        {
            // All rows of all images in one product.
            Product(false, transposeB, count * m, n, k, a, b, residual.IsEmpty, c);
            return;
        }
        for (var i = 0; i < count; i++)
        {
            Product(
                transposeA, transposeB, m, n, k,
                sharedA ? a : a.Slice(i * m * k, m * k), sharedB ? b : b.Slice(i * k * n, k * n), residual.IsEmpty, c.Slice(i * m * n, m * n));
        }
    }

    /// <summary>c = Σ a·b over <paramref name="count"/> pairs.</summary>
    public static void MatMulSum(ReadOnlySpan<float> a, bool transposeA, ReadOnlySpan<float> b, bool transposeB, Span<float> c, int count, int m, int n, int k)
    {
        if (transposeA && !transposeB)
        {
            // Σ aᵢᵀbᵢ is one product of all rows.
            Product(true, false, m, n, count * k, a, b, true, c);
            return;
        }
        for (var i = 0; i < count; i++)
            Product(transposeA, transposeB, m, n, k, a.Slice(i * m * k, m * k), b.Slice(i * k * n, k * n), i == 0, c);
    }

    /// <summary>y = a + b; an operand shorter than y repeats.</summary>
    public static void Add(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y)
    {
        for (int i = 0, j = 0, k = 0; i < y.Length; i++)
        {
            y[i] = a[j] + b[k];
            j = j + 1 == a.Length ? 0 : j + 1;
            k = k + 1 == b.Length ? 0 : k + 1;
        }
    }

    /// <summary>y = a ⊙ b; an operand shorter than y repeats.</summary>
    public static void Mul(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y)
    {
        for (int i = 0, j = 0, k = 0; i < y.Length; i++)
        {
            y[i] = a[j] * b[k];
            j = j + 1 == a.Length ? 0 : j + 1;
            k = k + 1 == b.Length ? 0 : k + 1;
        }
    }

    /// <summary>y = a ⊙ b + c; an operand shorter than y repeats.</summary>
    public static void MulAdd(ReadOnlySpan<float> a, ReadOnlySpan<float> b, ReadOnlySpan<float> c, Span<float> y)
    {
        for (int i = 0, j = 0, k = 0, l = 0; i < y.Length; i++)
        {
            y[i] = (a[j] * b[k]) + c[l];
            j = j + 1 == a.Length ? 0 : j + 1;
            k = k + 1 == b.Length ? 0 : k + 1;
            l = l + 1 == c.Length ? 0 : l + 1;
        }
    }

    /// <summary>y = the sum of x's stretches of y's length.</summary>
    public static void SumTo(ReadOnlySpan<float> x, Span<float> y)
    {
        y.Clear();
        for (int i = 0, j = 0; i < x.Length; i++)
        {
            y[j] += x[i];
            j = j + 1 == y.Length ? 0 : j + 1;
        }
    }

    /// <summary>y = the sum of the stretches of y's length of a ⊙ b, where the shorter repeats.</summary>
    public static void MulSumTo(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y)
    {
        y.Clear();
        var length = Math.Max(a.Length, b.Length);
        for (int i = 0, j = 0, k = 0, l = 0; i < length; i++)
        {
            y[l] += a[j] * b[k];
            j = j + 1 == a.Length ? 0 : j + 1;
            k = k + 1 == b.Length ? 0 : k + 1;
            l = l + 1 == y.Length ? 0 : l + 1;
        }
    }

    /// <summary>y = x times a number.</summary>
    public static void Scale(ReadOnlySpan<float> x, float factor, Span<float> y)
    {
        for (var i = 0; i < y.Length; i++)
            y[i] = x[i] * factor;
    }

    /// <summary>y = f(x).</summary>
    public static void Apply(StaticFunction function, ReadOnlySpan<float> x, Span<float> y)
    {
        for (var i = 0; i < y.Length; i++)
        {
            var v = x[i];
            y[i] = function switch
            {
                StaticFunction.Gelu => 0.5f * v * (1 + Erf(v * 0.70710678f)),
                StaticFunction.Silu => v / (1 + MathF.Exp(-v)),
                StaticFunction.Relu => MathF.Max(v, 0),
                _ => 1 / (1 + MathF.Exp(-v)),
            };
        }
    }

    /// <summary>dx = f′(x) ⊙ dy.</summary>
    public static void ApplyGradient(StaticFunction function, ReadOnlySpan<float> x, ReadOnlySpan<float> dy, Span<float> dx)
    {
        for (var i = 0; i < dx.Length; i++)
        {
            var v = x[i];
            var sigmoid = function is StaticFunction.Silu or StaticFunction.Sigmoid ? 1 / (1 + MathF.Exp(-v)) : 0;
            dx[i] = dy[i] * function switch
            {
                StaticFunction.Gelu => (0.5f * (1 + Erf(v * 0.70710678f))) + (v * 0.39894228f * MathF.Exp(-0.5f * v * v)),
                StaticFunction.Silu => sigmoid * (1 + (v * (1 - sigmoid))),
                StaticFunction.Relu => v > 0 ? 1 : 0,
                _ => sigmoid * (1 - sigmoid),
            };
        }
    }

    /// <summary>Layer norm of rows; saves every row's mean and reciprocal deviation.</summary>
    public static void LayerNorm(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, Span<float> y, Span<float> statistics, int width, float epsilon)
    {
        for (var row = 0; row < x.Length / width; row++)
        {
            var from = x.Slice(row * width, width);
            var to = y.Slice(row * width, width);
            float mean = 0, square = 0;
            foreach (var v in from)
                mean += v;
            mean /= width;
            foreach (var v in from)
                square += (v - mean) * (v - mean);
            var scale = 1 / MathF.Sqrt((square / width) + epsilon);
            for (var i = 0; i < width; i++)
            {
                var v = (from[i] - mean) * scale;
                to[i] = weight.IsEmpty ? v : (v * weight[i]) + bias[i];
            }
            if (!statistics.IsEmpty)
                (statistics[2 * row], statistics[(2 * row) + 1]) = (mean, scale);
        }
    }

    /// <summary>dx of layer norm, plus residual.</summary>
    public static void LayerNormGradient(
        ReadOnlySpan<float> x, ReadOnlySpan<float> dy, ReadOnlySpan<float> weight, ReadOnlySpan<float> statistics, ReadOnlySpan<float> residual, Span<float> dx, int width)
    {
        for (var row = 0; row < x.Length / width; row++)
        {
            var from = x.Slice(row * width, width);
            var up = dy.Slice(row * width, width);
            var to = dx.Slice(row * width, width);
            var (mean, scale) = (statistics[2 * row], statistics[(2 * row) + 1]);
            float sum = 0, product = 0;
            for (var i = 0; i < width; i++)
            {
                var g = weight.IsEmpty ? up[i] : up[i] * weight[i];
                sum += g;
                product += g * (from[i] - mean) * scale;
            }
            sum /= width;
            product /= width;
            for (var i = 0; i < width; i++)
            {
                var g = weight.IsEmpty ? up[i] : up[i] * weight[i];
                var v = scale * (g - sum - ((from[i] - mean) * scale * product));
                to[i] = residual.IsEmpty ? v : residual[(row * width) + i] + v;
            }
        }
    }

    /// <summary>Softmax along an axis of <paramref name="size"/> entries, <paramref name="inner"/> apart; over the largest <paramref name="top"/> of them if that is not 0.</summary>
    public static void Softmax(ReadOnlySpan<float> x, Span<float> y, int size, int inner, int top)
    {
        for (var start = 0; start < x.Length; start += size * inner)
        {
            for (var column = start; column < start + inner; column++)
            {
                var least = top == 0 || top >= size ? float.NegativeInfinity : Largest(x, column, size, inner, top);
                var largest = float.NegativeInfinity;
                for (var i = 0; i < size; i++)
                    largest = MathF.Max(largest, x[column + (i * inner)]);
                var sum = 0f;
                for (var i = 0; i < size; i++)
                {
                    var v = x[column + (i * inner)];
                    sum += y[column + (i * inner)] = v < least ? 0 : MathF.Exp(v - largest);
                }
                for (var i = 0; i < size; i++)
                    y[column + (i * inner)] /= sum;
            }
        }
    }

    /// <summary>y ⊙ (dy − Σ y ⊙ dy), the sum along the axis.</summary>
    public static void SoftmaxGradient(ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx, int size, int inner)
    {
        for (var start = 0; start < y.Length; start += size * inner)
        {
            for (var column = start; column < start + inner; column++)
            {
                var sum = 0f;
                for (var i = 0; i < size; i++)
                    sum += y[column + (i * inner)] * dy[column + (i * inner)];
                for (var i = 0; i < size; i++)
                    dx[column + (i * inner)] = y[column + (i * inner)] * (dy[column + (i * inner)] - sum);
            }
        }
    }

    /// <summary>Multi-head self-attention of fused projections.</summary>
    /// <param name="qkv">(B, T, 3d).</param>
    /// <param name="prefix">Further keys and values (P, 2d); empty for none.</param>
    /// <param name="logWeight">Added to the prefix's logits; empty for 0.</param>
    /// <param name="bias">Added to the logits of tokens: (H, T, T) or (n, H or 1, T, T); empty for none.</param>
    /// <param name="y">(B, T, d).</param>
    /// <param name="normalisers">(B, H, T): logarithms of the softmax's sums; empty if nobody needs them.</param>
    /// <param name="scratch">T·(T+P) numbers.</param>
    /// <param name="images">B.</param>
    /// <param name="rows">T.</param>
    /// <param name="width">d.</param>
    /// <param name="heads">H.</param>
    public static void Attention(
        ReadOnlySpan<float> qkv, ReadOnlySpan<float> prefix, ReadOnlySpan<float> logWeight, ReadOnlySpan<float> bias, Span<float> y, Span<float> normalisers,
        Span<float> scratch, int images, int rows, int width, int heads)
    {
        var (head, prefixRows) = (width / heads, prefix.Length / (2 * width));
        var columns = rows + prefixRows;
        for (var image = 0; image < images; image++)
        {
            for (var h = 0; h < heads; h++)
            {
                var p = scratch[..(rows * columns)];
                Logits(qkv, prefix, logWeight, bias, p, image, h, rows, width, heads);
                for (var i = 0; i < rows; i++)
                {
                    var line = p.Slice(i * columns, columns);
                    var (largest, sum) = (float.NegativeInfinity, 0f);
                    foreach (var v in line)
                        largest = MathF.Max(largest, v);
                    for (var j = 0; j < columns; j++)
                        sum += line[j] = MathF.Exp(line[j] - largest);
                    for (var j = 0; j < columns; j++)
                        line[j] /= sum;
                    if (!normalisers.IsEmpty)
                        normalisers[(((image * heads) + h) * rows) + i] = largest + MathF.Log(sum);
                    var to = y.Slice((((image * rows) + i) * width) + (h * head), head);
                    to.Clear();
                    for (var j = 0; j < columns; j++)
                    {
                        var value = j < rows ? qkv.Slice((((image * rows) + j) * 3 * width) + (2 * width) + (h * head), head) : prefix.Slice(((j - rows) * 2 * width) + width + (h * head), head);
                        for (var c = 0; c < head; c++)
                            to[c] += line[j] * value[c];
                    }
                }
            }
        }
    }

    /// <summary>Gradients of <see cref="Attention"/>; <paramref name="dPrefix"/>, <paramref name="dLogWeight"/> and <paramref name="dBias"/> are summed over the images.</summary>
    public static void AttentionGradient(
        ReadOnlySpan<float> qkv, ReadOnlySpan<float> prefix, ReadOnlySpan<float> logWeight, ReadOnlySpan<float> bias, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, ReadOnlySpan<float> normalisers,
        Span<float> dQkv, Span<float> dPrefix, Span<float> dLogWeight, Span<float> dBias, Span<float> scratch, int images, int rows, int width, int heads)
    {
        var (head, prefixRows) = (width / heads, prefix.Length / (2 * width));
        var columns = rows + prefixRows;
        var scale = 1 / MathF.Sqrt(head);
        dQkv.Clear();
        dPrefix.Clear();
        dLogWeight.Clear();
        dBias.Clear();
        for (var image = 0; image < images; image++)
        {
            for (var h = 0; h < heads; h++)
            {
                var p = scratch[..(rows * columns)];
                Logits(qkv, prefix, logWeight, bias, p, image, h, rows, width, heads);
                for (var i = 0; i < rows; i++)
                {
                    var line = p.Slice(i * columns, columns);
                    var normaliser = normalisers[(((image * heads) + h) * rows) + i];
                    var at = (((image * rows) + i) * width) + (h * head);
                    var up = dy.Slice(at, head);
                    var down = y.Slice(at, head);
                    var delta = 0f;
                    for (var c = 0; c < head; c++)
                        delta += up[c] * down[c];
                    var query = (((image * rows) + i) * 3 * width) + (h * head);
                    for (var j = 0; j < columns; j++)
                    {
                        var probability = MathF.Exp(line[j] - normaliser);
                        var own = j < rows;
                        var (key, value) = own
                            ? ((((image * rows) + j) * 3 * width) + width + (h * head), (((image * rows) + j) * 3 * width) + (2 * width) + (h * head))
                            : (((j - rows) * 2 * width) + (h * head), ((j - rows) * 2 * width) + width + (h * head));
                        var source = own ? qkv : prefix;
                        var target = own ? dQkv : dPrefix;
                        var dp = 0f;
                        for (var c = 0; c < head; c++)
                            dp += up[c] * source[value + c];
                        var ds = probability * (dp - delta);
                        if (own && !dBias.IsEmpty)
                            dBias[BiasAt(dBias.Length, image, h, rows, heads) + (i * rows) + j] += ds;
                        else if (!own && !dLogWeight.IsEmpty)
                            dLogWeight[0] += ds;
                        ds *= scale;
                        for (var c = 0; c < head; c++)
                        {
                            dQkv[query + c] += ds * source[key + c];
                            if (target.IsEmpty)
                                continue;
                            target[key + c] += ds * qkv[query + c];
                            target[value + c] += probability * up[c];
                        }
                    }
                }
            }
        }
    }

    /// <summary>(n, r, c) → (n·r, n·c) with the blocks on the diagonal.</summary>
    public static void BlockDiagonal(ReadOnlySpan<float> x, Span<float> y, int count, int rows, int columns)
    {
        y.Clear();
        for (var i = 0; i < count * rows; i++)
            x.Slice(i * columns, columns).CopyTo(y[((i * count * columns) + (i / rows * columns))..]);
    }

    /// <summary>The blocks (n, r, c) on the diagonal of (n·r, n·c).</summary>
    public static void DiagonalBlocks(ReadOnlySpan<float> x, Span<float> y, int count, int rows, int columns)
    {
        for (var i = 0; i < count * rows; i++)
            x.Slice((i * count * columns) + (i / rows * columns), columns).CopyTo(y[(i * columns)..]);
    }

    /// <summary>Moves elements along strides; with <paramref name="add"/> adds them to what is there.</summary>
    public static void Copy(
        ReadOnlySpan<float> source, int start, ReadOnlySpan<int> from, Span<float> target, int place, ReadOnlySpan<int> to, ReadOnlySpan<int> sizes, bool add)
    {
        if (sizes.Length > 1)
        {
            for (var i = 0; i < sizes[0]; i++)
                Copy(source, start + (i * from[0]), from[1..], target, place + (i * to[0]), to[1..], sizes[1..], add);
            return;
        }
        var size = sizes.IsEmpty ? 1 : sizes[0];
        var (step, stride) = sizes.IsEmpty ? (1, 1) : (from[0], to[0]);
        if (step == 1 && stride == 1 && !add)
        {
            source.Slice(start, size).CopyTo(target[place..]);
            return;
        }
        for (var i = 0; i < size; i++)
        {
            ref var element = ref target[place + (i * stride)];
            var value = source[start + (i * step)];
            element = add ? element + value : value;
        }
    }

    /// <summary>Cyclic shift of the rows and columns of (n, rows, columns, width).</summary>
    public static void Roll(ReadOnlySpan<float> x, Span<float> y, int shift, int rows, int columns, int width)
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

    /// <summary>Patches of images (B, C, S, S) as rows (B, N, C·p·p).</summary>
    public static void PatchRows(ReadOnlySpan<float> images, Span<float> rows, int patch, int channels, int side)
    {
        var grid = side / patch;
        var at = 0;
        for (var image = 0; image < images.Length / (channels * side * side); image++)
        {
            for (var place = 0; place < grid * grid; place++)
            {
                var corner = (image * channels * side * side) + (place / grid * patch * side) + (place % grid * patch);
                for (var line = 0; line < channels * patch; line++, at += patch)
                    images.Slice(corner + (line / patch * side * side) + (line % patch * side), patch).CopyTo(rows[at..]);
            }
        }
    }

    /// <summary>Mean along an axis of <paramref name="size"/> entries, <paramref name="inner"/> apart.</summary>
    public static void Mean(ReadOnlySpan<float> x, Span<float> y, int size, int inner)
    {
        for (var outer = 0; outer < y.Length / inner; outer++)
        {
            var to = y.Slice(outer * inner, inner);
            to.Clear();
            for (var i = 0; i < size; i++)
            {
                var from = x.Slice(((outer * size) + i) * inner, inner);
                for (var c = 0; c < inner; c++)
                    to[c] += from[c] / size;
            }
        }
    }

    /// <summary>Swin's relative position bias: table ((2w−1)², H) → (H, w², w²).</summary>
    public static void RelativeBias(ReadOnlySpan<float> table, Span<float> bias, int window)
    {
        var places = window * window;
        var heads = bias.Length / (places * places);
        for (var h = 0; h < heads; h++)
        {
            for (var i = 0; i < places * places; i++)
                bias[(h * places * places) + i] = table[(Offset(window, i / places, i % places) * heads) + h];
        }
    }

    /// <summary>Every place's gradient to the table entry it was read from.</summary>
    public static void RelativeBiasGradient(ReadOnlySpan<float> dBias, Span<float> dTable, int window)
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

    /// <summary>Swin's mask of shifted windows, (n, 1, w², w²): −100 between places that lie side by side only because of the shift.</summary>
    public static void WindowMask(Span<float> mask, int rows, int columns, int window, int shift)
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

    /// <summary>Sum of cross-entropies of logits (B, classes); leaves their gradient times <paramref name="scale"/>.</summary>
    public static double CrossEntropy(ReadOnlySpan<float> logits, ReadOnlySpan<long> labels, Span<float> gradient, float scale)
    {
        var classes = logits.Length / labels.Length;
        var loss = 0.0;
        for (var image = 0; image < labels.Length; image++)
        {
            var from = logits.Slice(image * classes, classes);
            var to = gradient.Slice(image * classes, classes);
            var (largest, sum) = (float.NegativeInfinity, 0f);
            foreach (var v in from)
                largest = MathF.Max(largest, v);
            for (var i = 0; i < classes; i++)
                sum += to[i] = MathF.Exp(from[i] - largest);
            var label = (int)labels[image];
            loss += MathF.Log(sum) + largest - from[label];
            for (var i = 0; i < classes; i++)
                to[i] = scale * ((to[i] / sum) - (i == label ? 1 : 0));
        }
        return loss;
    }

    /// <summary>What a product is added to.</summary>
    private static void Start(ReadOnlySpan<float> residual, ReadOnlySpan<float> bias, Span<float> y)
    {
        if (!residual.IsEmpty && !bias.IsEmpty)
            Add(residual, bias, y);
        else if (!residual.IsEmpty && !residual.Overlaps(y))
            residual.CopyTo(y);
        else if (residual.IsEmpty && !bias.IsEmpty)
            Repeat(bias, y);
    }

    private static void Repeat(ReadOnlySpan<float> row, Span<float> y)
    {
        for (var i = 0; i < y.Length; i += row.Length)
            row.CopyTo(y[i..]);
    }

    private static void Product(bool transposeA, bool transposeB, int m, int n, int k, ReadOnlySpan<float> a, ReadOnlySpan<float> b, bool overwrite, Span<float> c)
    {
        for (var i = 0; i < m; i++)
        {
            for (var j = 0; j < n; j++)
            {
                var sum = 0f;
                for (var l = 0; l < k; l++)
                    sum += a[transposeA ? (l * m) + i : (i * k) + l] * b[transposeB ? (j * k) + l : (l * n) + j];
                ref var element = ref c[(i * n) + j];
                element = overwrite ? sum : element + sum;
            }
        }
    }

    private static void Logits(
        ReadOnlySpan<float> qkv, ReadOnlySpan<float> prefix, ReadOnlySpan<float> logWeight, ReadOnlySpan<float> bias, Span<float> logits, int image, int h, int rows, int width, int heads)
    {
        var (head, columns) = (width / heads, rows + (prefix.Length / (2 * width)));
        var scale = 1 / MathF.Sqrt(head);
        for (var i = 0; i < rows; i++)
        {
            var query = qkv.Slice((((image * rows) + i) * 3 * width) + (h * head), head);
            for (var j = 0; j < columns; j++)
            {
                var key = j < rows ? qkv.Slice((((image * rows) + j) * 3 * width) + width + (h * head), head) : prefix.Slice(((j - rows) * 2 * width) + (h * head), head);
                var sum = 0f;
                for (var c = 0; c < head; c++)
                    sum += query[c] * key[c];
                sum *= scale;
                if (j < rows && !bias.IsEmpty)
                    sum += bias[BiasAt(bias.Length, image, h, rows, heads) + (i * rows) + j];
                else if (j >= rows && !logWeight.IsEmpty)
                    sum += logWeight[0];
                logits[(i * columns) + j] = sum;
            }
        }
    }

    /// <summary>Where the bias of an image and head starts.</summary>
    private static int BiasAt(int length, int image, int h, int rows, int heads)
    {
        var size = rows * rows;
        return length / size <= heads ? h * size : (((image % (length / (heads * size))) * heads) + h) * size;
    }

    private static int Offset(int window, int i, int j)
    {
        var side = (2 * window) - 1;
        return (((i / window) - (j / window) + window - 1) * side) + (i % window) - (j % window) + window - 1;
    }

    /// <summary>The entry that <paramref name="top"/> of a column are not smaller than.</summary>
    private static float Largest(ReadOnlySpan<float> x, int column, int size, int inner, int top)
    {
        var least = float.PositiveInfinity;
        for (var taken = 0; taken < top;)
        {
            var next = float.NegativeInfinity;
            var count = 0;
            for (var i = 0; i < size; i++)
            {
                var v = x[column + (i * inner)];
                if (v < least && v > next)
                    (next, count) = (v, 1);
                else if (v == next)
                    count++;
            }
            least = next;
            taken += Math.Max(1, count);
        }
        return least;
    }

    /// <summary>The error function, to 1.2e-7 (Press et al., Numerical Recipes, §6.2: a Chebyshev fit of erfc).</summary>
    private static float Erf(float x)
    {
        ReadOnlySpan<double> fit = [0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223];
        var a = Math.Abs((double)x);
        var t = 1 / (1 + (0.5 * a));
        var sum = 0.0;
        foreach (var coefficient in fit)
            sum = (sum * t) + coefficient;
        var r = t * Math.Exp(sum - (a * a));
        return (float)(x >= 0 ? 1 - r : r - 1);
    }
}
