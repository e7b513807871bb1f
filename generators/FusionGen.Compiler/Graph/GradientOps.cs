namespace FusionGen.Compiler.Graph;

/// <summary>The sum over the dimensions that broadcasting had stretched, the batch among them: the gradient of a broadcast.</summary>
public sealed record SumToOp(Shape Target) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        Require(Shape.Broadcast(inputs[0], this.Target) == inputs[0], $"sum: {inputs[0]} to {this.Target}");
        return this.Target;
    }
}

/// <summary>a ⊙ b, summed as <see cref="SumToOp"/> does, in one pass.</summary>
public sealed record MulSumToOp(Shape Target) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        var product = Shape.Broadcast(inputs[0], inputs[1]);
        Require(Shape.Broadcast(product, this.Target) == product, $"sum of products: {product} to {this.Target}");
        return this.Target;
    }
}

/// <summary>Σ over images of a (n·B, m, k) · b (n·B, k, n), either transposed: the gradient of what all images share in a product.</summary>
public sealed record MatMulSumOp(bool TransposeA, bool TransposeB) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        var (a, b) = (inputs[0], inputs[1]);
        Require(a.Rank == 3 && b.Rank == 3 && a[0] == b[0] && a[this.TransposeA ? 1 : 2] == b[this.TransposeB ? 2 : 1], $"sum of products: {a} and {b}");
        return Shape.Of(a[this.TransposeA ? 2 : 1].Size, b[this.TransposeB ? 1 : 2].Size);
    }

    /// <inheritdoc/>
    public override long Macs(IReadOnlyList<Shape> inputs, Shape output) => inputs[0].Elements * output.Last;
}

/// <summary>The same number, or row, in every place that <paramref name="Target"/> adds: the gradient of a sum.</summary>
public sealed record BroadcastToOp(Shape Target) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        Require(Shape.Broadcast(inputs[0], this.Target) == this.Target, $"broadcast: {inputs[0]} to {this.Target}");
        return this.Target;
    }
}

/// <summary>f'(x) ⊙ dy of an <see cref="UnaryOp"/>; inputs x and dy.</summary>
public sealed record UnaryGradientOp(UnaryKind Kind) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => inputs[0];
}

/// <summary>Gradient of <see cref="LayerNormOp"/> with respect to x; inputs x, dy and with <paramref name="Affine"/> γ.</summary>
public sealed record LayerNormGradientOp(double Epsilon, bool Affine) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => inputs[0];
}

/// <summary>Gradient of <see cref="LayerNormOp"/> with respect to γ: the sum of dy ⊙ x̂ over all rows; inputs x and dy.</summary>
public sealed record LayerNormScaleGradientOp(double Epsilon) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => Shape.Of(inputs[0].Last);
}

/// <summary>y ⊙ (dy − Σ y ⊙ dy), the sum along the axis; inputs y and dy. Entries that <see cref="SoftmaxOp.Top"/> left out are 0 and stay so.</summary>
public sealed record SoftmaxGradientOp(int Axis) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => inputs[0];
}

/// <summary>
/// Gradients of <see cref="AttentionOp"/>; inputs those of the attention, then its output and dy. The result is the gradient of qkv; those
/// of the other inputs are its parts (<see cref="PartOp"/>), for all come out of one pass over the probabilities.
/// </summary>
public sealed record AttentionGradientOp(AttentionOp Attention) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => inputs[0];

    /// <inheritdoc/>
    public override long Macs(IReadOnlyList<Shape> inputs, Shape output) => 5 * this.Attention.Macs(inputs, inputs[inputs.Count - 2]) / 2;
}

/// <summary>A further result of the operation that computes the input.</summary>
public sealed record PartOp(int Index, Shape Shape) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => this.Shape;
}

/// <summary>The blocks (n, r, c) on the diagonal of (n·r, n·c).</summary>
public sealed record DiagonalBlocksOp(int Count) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => Shape.Of(this.Count, inputs[0][0].Size / this.Count, inputs[0][1].Size / this.Count);
}

/// <summary>Patches of images (B, 3, side, side) as rows (B, N, 3·p·p), in the order of a convolution's weight.</summary>
public sealed record PatchRowsOp(int Patch) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        var grid = inputs[0][2].Size / this.Patch;
        return Shape.Batched(1, grid * grid, inputs[0][1].Size * this.Patch * this.Patch);
    }
}

/// <summary>Gradient of <see cref="RelativeBiasOp"/>: every place's gradient to the table entry it was read from.</summary>
public sealed record RelativeBiasGradientOp(int Window) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => Shape.Of(((2 * this.Window) - 1) * ((2 * this.Window) - 1), inputs[0][0].Size);
}
