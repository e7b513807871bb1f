using FusionGen.Kernels;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FusionGen.Static;

/// <summary>
/// By libtorch, on a device's memory. Products are in the device's precision, everything that they meet is rounded to it; sums are in float32. Gradients of a composite (attention, activations, layer norm) are
/// libtorch's own of that one operation, whose forward pass is made again: its fused kernels want each other's intermediate results, and a plan of ours would not hold them. Nothing waits
/// for the device, so that a run can be recorded (<see cref="DeviceGraph"/>).
/// </summary>
internal sealed class DeviceOps(DeviceMemory memory, ScalarType precision) : StaticOps, IDisposable
{
    private readonly Dictionary<object, Tensor> constants = [];

    // Of the layer norms, by where their statistics would be: the gradient takes those anew, from the same rows.
    private readonly Dictionary<long, double> epsilons = [];

    /// <inheritdoc/>
    public override void Linear(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, ReadOnlySpan<float> residual, Span<float> y, int rows, int inner, int outer)
    {
        using var scope = NewDisposeScope();
        this.Put(y, functional.linear(this.Factor(x, rows, inner), this.Factor(weight, outer, inner), bias.IsEmpty ? null : this.Factor(bias, outer)), residual);
    }

    /// <inheritdoc/>
    public override void MatMul(
        ReadOnlySpan<float> a, bool transposeA, bool sharedA, ReadOnlySpan<float> b, bool transposeB, bool sharedB, ReadOnlySpan<float> residual, Span<float> c, int count, int m, int n, int k)
    {
        using var scope = NewDisposeScope();
        var right = Turned(sharedB || count == 1 ? this.Matrix(b, transposeB, k, n) : this.Matrices(b, count, transposeB, k, n), transposeB);
        if (sharedB && !sharedA && !transposeA)
        {
            // All rows of all images in one product.
            this.Put(c, matmul(this.Factor(a, (long)count * m, k), right), residual);
            return;
        }
        var left = Turned(sharedA || count == 1 ? this.Matrix(a, transposeA, m, k) : this.Matrices(a, count, transposeA, m, k), transposeA);
        this.Put(c, matmul(left, right), residual);
    }

    /// <inheritdoc/>
    public override void Mix(ReadOnlySpan<float> mix, bool transposed, ReadOnlySpan<float> x, ReadOnlySpan<float> residual, Span<float> y, bool isSparse, int images, int rows, int width)
    {
        using var scope = NewDisposeScope();
        this.Put(y, matmul(Turned(this.Factor(mix, rows, rows), !transposed), this.Factor(x, images, rows, width)), residual);
    }

    /// <inheritdoc/>
    public override void MixGradient(ReadOnlySpan<float> mix, ReadOnlySpan<float> x, ReadOnlySpan<float> dy, Span<float> dMix, bool isSparse, int images, int rows, int width)
    {
        using var scope = NewDisposeScope();
        var gradient = this.SumOfProducts(x, false, dy, true, images, rows, rows, width);
        this.Put(dMix, isSparse ? gradient.flatten() * this.At(mix).ne(0) : gradient);
    }

    /// <inheritdoc/>
    public override void MatMulSum(ReadOnlySpan<float> a, bool transposeA, ReadOnlySpan<float> b, bool transposeB, Span<float> c, int count, int m, int n, int k)
    {
        using var scope = NewDisposeScope();
        this.Put(c, this.SumOfProducts(a, transposeA, b, transposeB, count, m, n, k));
    }

    /// <inheritdoc/>
    public override void Keep(ReadOnlySpan<float> residual, Span<float> y)
    {
        using var scope = NewDisposeScope();
        if (residual.IsEmpty)
            this.At(y).zero_();
        else
            this.At(y).view(-1, residual.Length).copy_(this.At(residual));
    }

    /// <inheritdoc/>
    public override void Add(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y)
    {
        using var scope = NewDisposeScope();
        this.Put(y, this.Spread(a, [a.Length, b.Length, y.Length]) + this.Spread(b, [a.Length, b.Length, y.Length]));
    }

    /// <inheritdoc/>
    public override void Mul(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y)
    {
        using var scope = NewDisposeScope();
        this.Put(y, this.Product(a, b, y.Length));
    }

    /// <inheritdoc/>
    public override void MulAdd(ReadOnlySpan<float> a, ReadOnlySpan<float> b, ReadOnlySpan<float> c, Span<float> y)
    {
        using var scope = NewDisposeScope();
        ReadOnlySpan<int> lengths = [a.Length, b.Length, c.Length, y.Length];
        this.Put(y, this.Spread(c, lengths).addcmul(this.Spread(a, lengths), this.Spread(b, lengths), 1));
    }

    /// <inheritdoc/>
    public override void SumTo(ReadOnlySpan<float> x, Span<float> y)
    {
        using var scope = NewDisposeScope();
        this.Put(y, Sum(this.At(x).view(-1, y.Length)));
    }

    /// <inheritdoc/>
    public override void MulSumTo(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y)
    {
        using var scope = NewDisposeScope();
        this.Put(y, Sum(this.Product(a, b, y.Length).reshape(-1, y.Length)));
    }

    /// <inheritdoc/>
    public override void Scale(ReadOnlySpan<float> x, float factor, float offset, Span<float> y)
    {
        using var scope = NewDisposeScope();
        this.Put(y, (this.At(x) * factor) + offset);
    }

    /// <inheritdoc/>
    public override void Apply(Activation function, ReadOnlySpan<float> x, Span<float> y)
    {
        using var scope = NewDisposeScope();
        this.Put(y, Applied(function, this.At(x)));
    }

    /// <inheritdoc/>
    public override void ApplyGradient(Activation function, ReadOnlySpan<float> x, ReadOnlySpan<float> dy, Span<float> dx)
    {
        using var scope = NewDisposeScope();
        var input = Leaf(this.At(x));
        this.Put(dx, Gradients(() => Applied(function, input), this.At(dy), input)[0]);
    }

    /// <inheritdoc/>
    public override void LayerNorm(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, Span<float> y, Span<float> statistics, int width, float epsilon)
    {
        using var scope = NewDisposeScope();
        if (!statistics.IsEmpty)
            this.epsilons[DeviceMemory.AddressOf(statistics)] = epsilon;
        this.Put(y, this.Normalised(this.Rows(x, width), weight, bias, width, epsilon));
    }

    /// <inheritdoc/>
    public override void LayerNormGradient(
        ReadOnlySpan<float> x, ReadOnlySpan<float> dy, ReadOnlySpan<float> weight, ReadOnlySpan<float> statistics, ReadOnlySpan<float> residual, Span<float> dx, int width)
    {
        using var scope = NewDisposeScope();
        var input = Leaf(this.Rows(x, width));
        var factor = weight.IsEmpty ? null : this.At(weight).to(input.dtype);
        var epsilon = this.epsilons[DeviceMemory.AddressOf(statistics)];
        this.Put(dx, Gradients(() => functional.layer_norm(input, [width], factor, eps: epsilon), this.Rows(dy, width), input)[0], residual);
    }

    /// <inheritdoc/>
    public override void LayerNormScaleGradient(ReadOnlySpan<float> x, ReadOnlySpan<float> dy, ReadOnlySpan<float> statistics, Span<float> dWeight, int width)
    {
        using var scope = NewDisposeScope();
        this.Put(dWeight, Sum(this.Normalised(this.Rows(x, width), default, default, width, this.epsilons[DeviceMemory.AddressOf(statistics)]) * this.Rows(dy, width)));
    }

    /// <inheritdoc/>
    public override void Softmax(ReadOnlySpan<float> x, Span<float> y, int size, int inner, int top)
    {
        using var scope = NewDisposeScope();
        var logits = this.At(x).view(-1, size, inner);
        this.Put(y, top == 0 ? logits.softmax(1) : FusionOps.TopSoftmax(logits, Math.Min(top, size), 1));
    }

    /// <inheritdoc/>
    public override void SoftmaxGradient(ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx, int size, int inner)
    {
        using var scope = NewDisposeScope();
        var (shares, gradient) = (this.At(y).view(-1, size, inner), this.At(dy).view(-1, size, inner));
        this.Put(dx, shares * (gradient - (shares * gradient).sum(1, keepdim: true)));
    }

    /// <inheritdoc/>
    public override void Attention(
        ReadOnlySpan<float> qkv, ReadOnlySpan<float> prefix, ReadOnlySpan<float> logWeight, ReadOnlySpan<float> bias, Span<float> y, Span<float> saved,
        Span<float> scratch, int images, int rows, int width, int heads, int asking, int prefixRows)
    {
        using var scope = NewDisposeScope();
        this.Put(y, Attended(this.Inputs(qkv, prefix, logWeight, bias, images, rows, width, heads, prefixRows), heads, asking));
    }

    /// <inheritdoc/>
    public override void AttentionGradient(
        ReadOnlySpan<float> qkv, ReadOnlySpan<float> prefix, ReadOnlySpan<float> logWeight, ReadOnlySpan<float> bias, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, ReadOnlySpan<float> saved,
        Span<float> dQkv, Span<float> dPrefix, Span<float> dLogWeight, Span<float> dBias, Span<float> scratch, int images, int rows, int width, int heads, int asking, int prefixRows)
    {
        using var scope = NewDisposeScope();
        var inputs = this.Inputs(qkv, prefix, logWeight, bias, images, rows, width, heads, prefixRows);
        var wanted = new List<Tensor>();
        Tensor? Wanted(Tensor? input, bool isWanted)
        {
            if (input is null || !isWanted)
                return input;
            wanted.Add(Leaf(input));
            return wanted[^1];
        }
        inputs = new(Wanted(inputs.Qkv, !dQkv.IsEmpty)!, Wanted(inputs.Prefix, !dPrefix.IsEmpty), Wanted(inputs.LogWeight, !dLogWeight.IsEmpty), Wanted(inputs.Bias, !dBias.IsEmpty));
        var gradients = Gradients(() => Attended(inputs, heads, asking), this.Factor(dy, images, asking, width), [.. wanted]);
        var next = 0;
        if (!dQkv.IsEmpty)
            this.Put(dQkv, gradients[next++]);
        if (!dPrefix.IsEmpty)
            this.Put(dPrefix, gradients[next++]);
        if (!dLogWeight.IsEmpty)
            this.Put(dLogWeight, gradients[next++]);
        if (!dBias.IsEmpty)
            this.Put(dBias, gradients[next]);
    }

    /// <inheritdoc/>
    public override void HeadProduct(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, Span<float> y, bool transposed, int images, int heads, int inner, int outer)
    {
        using var scope = NewDisposeScope();
        var entries = this.Factor(x, images, heads, transposed ? outer : inner).transpose(0, 1);
        this.Put(y, matmul(entries, Turned(this.Factor(weight, heads, inner, outer), transposed)).transpose(0, 1));
    }

    /// <inheritdoc/>
    public override void RowAttention(
        ReadOnlySpan<float> rows, ReadOnlySpan<float> queries, ReadOnlySpan<float> prefix, ReadOnlySpan<float> logWeight, Span<float> y, Span<float> probabilities,
        int images, int tokens, int width, int heads, int prefixRows)
    {
        using var scope = NewDisposeScope();
        var (asking, own, further) = (this.Factor(queries, images, heads, width), this.Factor(rows, images, tokens, width), this.Further(prefix, images, width, prefixRows));
        var logits = matmul(asking, Turned(own, true));
        if (further is not null)
        {
            var others = matmul(asking, Turned(further, true));
            logits = cat([logits, logWeight.IsEmpty ? others : others + this.At(logWeight)], -1);
        }
        var shares = logits.to(ScalarType.Float32).softmax(-1);
        this.Put(probabilities, shares);
        this.Put(y, Weighed(shares.to(precision), own, further, tokens));
    }

    /// <inheritdoc/>
    public override void RowAttentionGradient(
        ReadOnlySpan<float> rows, ReadOnlySpan<float> queries, ReadOnlySpan<float> prefix, ReadOnlySpan<float> dy, ReadOnlySpan<float> probabilities,
        Span<float> dRows, Span<float> dQueries, Span<float> dPrefix, Span<float> dLogWeight, Span<float> scratch, int images, int tokens, int width, int heads, int prefixRows)
    {
        using var scope = NewDisposeScope();
        var (asking, own, further) = (this.Factor(queries, images, heads, width), this.Factor(rows, images, tokens, width), this.Further(prefix, images, width, prefixRows));
        var (gradient, shares) = (this.Factor(dy, images, heads, width), this.Factor(probabilities, images, heads, tokens + prefixRows));
        var dShares = matmul(gradient, Turned(own, true));
        if (further is not null)
            dShares = cat([dShares, matmul(gradient, Turned(further, true))], -1);
        var dLogits = shares * (dShares - (shares * dShares).sum(-1, keepdim: true));
        Tensor Of(Tensor both, bool isPrefix) => isPrefix ? both.narrow(-1, tokens, prefixRows) : both.narrow(-1, 0, tokens);
        Tensor OfRows(bool isPrefix) => matmul(Turned(Of(dLogits, isPrefix), true), asking) + matmul(Turned(Of(shares, isPrefix), true), gradient);
        if (!dRows.IsEmpty)
            this.Put(dRows, OfRows(false));
        if (!dQueries.IsEmpty)
            this.Put(dQueries, Weighed(dLogits, own, further, tokens));
        if (!dPrefix.IsEmpty)
            this.Put(dPrefix, dPrefix.Length == prefixRows * width ? Sum(OfRows(true)) : OfRows(true));
        if (!dLogWeight.IsEmpty)
            this.Put(dLogWeight, Sum(Of(dLogits, true).reshape(-1, dLogWeight.Length)));
    }

    /// <inheritdoc/>
    public override void BlockDiagonal(ReadOnlySpan<float> x, Span<float> y, int count, int rows, int columns)
    {
        using var scope = NewDisposeScope();
        this.Put(y, FusionOps.BlockDiagonal(this.At(x).view(count, rows, columns)));
    }

    /// <inheritdoc/>
    public override void DiagonalBlocks(ReadOnlySpan<float> x, Span<float> y, int count, int rows, int columns)
    {
        using var scope = NewDisposeScope();
        this.Put(y, this.At(x).view(count, rows, count, columns).diagonal(0, 0, 2).permute(2, 0, 1));
    }

    /// <inheritdoc/>
    public override void Copy(ReadOnlySpan<float> source, int start, ReadOnlySpan<int> from, Span<float> target, int place, ReadOnlySpan<int> to, ReadOnlySpan<int> sizes, bool add)
    {
        using var scope = NewDisposeScope();
        var (shape, summed) = (Long(sizes), new List<long>());
        var numbers = memory.Of(source, start, [.. shape], Long(from));
        for (var axis = 0; axis < sizes.Length; axis++)
        {
            if (to[axis] != 0 || sizes[axis] == 1)
                continue;
            summed.Add(axis);
            shape[axis] = 1;
        }
        if (summed.Count > 0)
            numbers = numbers.sum([.. summed], keepdim: true, ScalarType.Float32);
        var written = memory.Of(target, place, shape, Long(to));
        if (add)
            written.add_(numbers.to(written.dtype));
        else
            written.copy_(numbers);
    }

    /// <inheritdoc/>
    public override void DropoutMask(in StaticFrame frame, uint site, float rate, bool perImage, Span<float> mask)
    {
        using var scope = NewDisposeScope();
        // Counters decide, on the host: the same numbers wherever a run goes on.
        var factors = new float[mask.Length];
        HostOps.Instance.DropoutMask(frame, site, rate, perImage, factors);
        this.Put(mask, tensor(factors));
    }

    /// <inheritdoc/>
    public override void Roll(ReadOnlySpan<float> x, Span<float> y, int shift, int rows, int columns, int width)
    {
        using var scope = NewDisposeScope();
        this.Put(y, this.At(x).view(-1, rows, columns, width).roll([shift, shift], [1, 2]));
    }

    /// <inheritdoc/>
    public override void PatchRows(ReadOnlySpan<float> images, Span<float> rows, int patch, int channels, int side)
    {
        using var scope = NewDisposeScope();
        this.Put(rows, FusionOps.PatchRows(this.At(images).view(-1, channels, side, side), patch));
    }

    /// <inheritdoc/>
    public override void Mean(ReadOnlySpan<float> x, Span<float> y, int size, int inner, int start)
    {
        using var scope = NewDisposeScope();
        this.Put(y, this.At(x).view(-1, size, inner).narrow(1, start, size - start).mean([1]));
    }

    /// <inheritdoc/>
    public override void RelativeBias(ReadOnlySpan<float> table, Span<float> bias, int window)
    {
        using var scope = NewDisposeScope();
        this.Put(bias, matmul(this.Reading(window), this.TableOf(table, window)).t());
    }

    /// <inheritdoc/>
    public override void RelativeBiasGradient(ReadOnlySpan<float> dBias, Span<float> dTable, int window)
    {
        using var scope = NewDisposeScope();
        this.Put(dTable, matmul(this.Reading(window).t(), this.At(dBias).to(ScalarType.Float32).view(-1, window * window * window * window).t()));
    }

    /// <inheritdoc/>
    public override void WindowMask(Span<float> mask, int rows, int columns, int window, int shift)
    {
        using var scope = NewDisposeScope();
        this.Put(mask, this.Constant((nameof(this.WindowMask), rows, columns, window, shift), [mask.Length], numbers => HostOps.Instance.WindowMask(numbers, rows, columns, window, shift)));
    }

    /// <inheritdoc/>
    public override void NeighbourBias(Span<float> bias, int side, int heads, bool padded)
    {
        using var scope = NewDisposeScope();
        this.Put(bias, this.Constant((nameof(this.NeighbourBias), side, heads, padded), [bias.Length], numbers => HostOps.Instance.NeighbourBias(numbers, side, heads, padded)));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var constant in this.constants.Values)
            constant.Dispose();
    }

    private static long[] Long(ReadOnlySpan<int> numbers)
    {
        var result = new long[numbers.Length];
        for (var i = 0; i < result.Length; i++)
            result[i] = numbers[i];
        return result;
    }

    private static Tensor Turned(Tensor matrices, bool transpose) => transpose ? matrices.transpose(-2, -1) : matrices;

    private static Tensor Sum(Tensor x) => x.sum(0, type: ScalarType.Float32);

    private static Tensor Leaf(Tensor x) => x.detach().requires_grad_();

    /// <summary>Gradients of one operation, for the leaves among its inputs.</summary>
    private static IList<Tensor> Gradients(Func<Tensor> operation, Tensor dy, params Tensor[] inputs)
    {
        using var guard = enable_grad();
        var y = operation();
        return autograd.grad([y], inputs, [dy.to(y.dtype).reshape(y.shape)]);
    }

    private static Tensor Applied(Activation function, Tensor x) => function switch
    {
        Activation.Gelu => functional.gelu(x),
        Activation.Silu => x.silu(),
        Activation.Relu => x.relu(),
        _ => x.sigmoid(),
    };

    /// <summary>Rows weighed by shares (B, H, T + P): those of the image, then those of the prefix.</summary>
    private static Tensor Weighed(Tensor shares, Tensor own, Tensor? further, int tokens) =>
        further is null ? matmul(shares, own) : matmul(shares.narrow(-1, 0, tokens), own) + matmul(shares.narrow(-1, tokens, shares.shape[2] - tokens), further);

    private static Tensor Attended(AttentionTensors x, int heads, int asking)
    {
        var (batch, tokens, width) = (x.Qkv.shape[0], x.Qkv.shape[1], x.Qkv.shape[2] / 3);
        var head = width / heads;
        var split = x.Qkv.view(batch, tokens, 3, heads, head).permute(2, 0, 3, 1, 4);
        var (queries, keys, values) = (split.select(0, 0).narrow(2, 0, asking), split.select(0, 1), split.select(0, 2));
        var prefixRows = 0L;
        if (x.Prefix is { } prefix)
        {
            prefixRows = prefix.shape[1];
            var further = prefix.view(prefix.shape[0], prefixRows, 2, heads, head).permute(2, 0, 3, 1, 4).expand(-1, batch, -1, -1, -1);
            keys = cat([keys, further.select(0, 0)], 2);
            values = cat([values, further.select(0, 1)], 2);
        }
        // What is added to the logits, (B or 1, H or 1, asking, T + P).
        Tensor? added = null;
        if (x.Bias is { } bias)
        {
            added = bias.narrow(-2, 0, asking);
            if (added.shape[0] > 1)
                added = added.repeat(batch / added.shape[0], 1, 1, 1);
        }
        if (prefixRows > 0 && (added is not null || x.LogWeight is not null))
        {
            Tensor Zeros(long columns) => zeros([1, 1, asking, columns], dtype: x.Qkv.dtype, device: x.Qkv.device);
            var own = added ?? Zeros(tokens);
            var others = x.LogWeight is { } weight ? weight.to(x.Qkv.dtype).expand(1, 1, asking, prefixRows) : Zeros(prefixRows);
            added = cat([own, others.expand(own.shape[0], own.shape[1], -1, -1)], -1);
        }
        return functional.scaled_dot_product_attention(queries, keys, values, added).transpose(1, 2).reshape(batch, asking, width);
    }

    private AttentionTensors Inputs(
        ReadOnlySpan<float> qkv, ReadOnlySpan<float> prefix, ReadOnlySpan<float> logWeight, ReadOnlySpan<float> bias, int images, int rows, int width, int heads, int prefixRows) => new(
        this.Factor(qkv, images, rows, 3 * width),
        this.Further(prefix, images, 2 * width, prefixRows),
        logWeight.IsEmpty || prefixRows == 0 ? null : this.At(logWeight),
        bias.IsEmpty ? null : this.Factor(bias, -1, heads, rows, rows));

    /// <summary>Rows that all images share, (1, P, width), or of each, (B, P, width).</summary>
    private Tensor? Further(ReadOnlySpan<float> prefix, int images, int width, int prefixRows) =>
        prefixRows == 0 ? null : this.Factor(prefix, prefix.Length == prefixRows * width ? 1 : images, prefixRows, width);

    private Tensor Normalised(Tensor rows, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, int width, double epsilon) =>
        functional.layer_norm(rows, [width], weight.IsEmpty ? null : this.At(weight).to(rows.dtype), bias.IsEmpty ? null : this.At(bias).to(rows.dtype), epsilon);

    private Tensor SumOfProducts(ReadOnlySpan<float> a, bool transposeA, ReadOnlySpan<float> b, bool transposeB, int count, int m, int n, int k)
    {
        // Σ aᵢ·bᵢ is one product: all of aᵢ side by side, all of bᵢ one below the other.
        var left = transposeA ? this.Factor(a, (long)count * k, m).t() : this.Factor(a, count, m, k).transpose(0, 1).reshape(m, (long)count * k);
        var right = transposeB ? this.Factor(b, count, n, k).transpose(1, 2).reshape((long)count * k, n) : this.Factor(b, (long)count * k, n);
        return matmul(left, right);
    }

    private Tensor Matrix(ReadOnlySpan<float> x, bool transposed, int rows, int columns) => transposed ? this.Factor(x, columns, rows) : this.Factor(x, rows, columns);

    private Tensor Matrices(ReadOnlySpan<float> x, int count, bool transposed, int rows, int columns) => transposed ? this.Factor(x, count, columns, rows) : this.Factor(x, count, rows, columns);

    /// <summary>(w⁴, (2w−1)²): a one where a pair of places in a window reads an entry of the table. As a product, what is read and what is added up again comes in a fixed order.</summary>
    private Tensor Reading(int window)
    {
        var (entries, pairs) = (((2 * window) - 1) * ((2 * window) - 1), window * window * window * window);
        return this.Constant((nameof(this.Reading), window), [pairs, entries], ones =>
        {
            var (table, read) = (new float[entries], new float[pairs]);
            for (var entry = 0; entry < entries; entry++)
                table[entry] = entry;
            HostOps.Instance.RelativeBias(table, read, window);
            for (var pair = 0; pair < pairs; pair++)
                ones[(pair * entries) + (int)read[pair]] = 1;
        });
    }

    private Tensor TableOf(ReadOnlySpan<float> table, int window) => this.At(table).to(ScalarType.Float32).view(((2 * window) - 1) * ((2 * window) - 1), -1);

    /// <summary>Numbers that the host fills in once.</summary>
    private Tensor Constant(object key, long[] shape, Action<float[]> fill)
    {
        if (this.constants.TryGetValue(key, out var constant))
            return constant;
        var numbers = new float[shape.Aggregate(1L, (product, size) => product * size)];
        fill(numbers);
        this.constants.Add(key, constant = tensor(numbers, shape).to(memory.Device).DetachFromDisposeScope());
        return constant;
    }

    private Tensor Rows(ReadOnlySpan<float> x, int width) => this.At(x).view(-1, width);

    private Tensor At(ReadOnlySpan<float> x) => memory.Of(x);

    /// <summary>An operand of a product.</summary>
    private Tensor Factor(ReadOnlySpan<float> x, params ReadOnlySpan<long> shape) => memory.Of(x).to(precision).view(shape.ToArray());

    private Tensor Product(ReadOnlySpan<float> a, ReadOnlySpan<float> b, int length) => this.Spread(a, [a.Length, b.Length, length]) * this.Spread(b, [a.Length, b.Length, length]);

    /// <summary>An operand that repeats, in the shape that the lengths of all operands, each a multiple of the next shorter, give together.</summary>
    private Tensor Spread(ReadOnlySpan<float> x, ReadOnlySpan<int> lengths)
    {
        var ascending = lengths.ToArray().Distinct().Order().ToArray();
        var shape = new long[ascending.Length];
        for (var i = 0; i < shape.Length; i++)
            shape[^(i + 1)] = ascending[i] > x.Length ? 1 : i == 0 ? ascending[0] : ascending[i] / ascending[i - 1];
        return this.At(x).view(shape);
    }

    private void Put(Span<float> place, Tensor value, ReadOnlySpan<float> residual = default)
    {
        var target = this.At(place);
        var flat = value.reshape(-1);
        if (residual.IsEmpty)
            target.copy_(flat);
        else if (residual.Length == place.Length)
            target.copy_(flat + this.At(residual));
        else
            target.view(-1, residual.Length).copy_(flat.view(-1, residual.Length) + this.At(residual));
    }

    /// <summary>What attention reads.</summary>
    /// <param name="Qkv">(B, T, 3d).</param>
    /// <param name="Prefix">(1 or B, P, 2d).</param>
    /// <param name="LogWeight">(1 or P).</param>
    /// <param name="Bias">(1 or n, H, T, T).</param>
    private sealed record AttentionTensors(Tensor Qkv, Tensor? Prefix, Tensor? LogWeight, Tensor? Bias);
}
