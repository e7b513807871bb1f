namespace FusionGen.Compiler.Graph;

/// <summary>
/// A product of every head with its own rows of a weight (d, w): x (B, 1, d) → (B, heads, w), head h's entries times its d/heads rows; or
/// transposed, (B, heads, w) → (B, 1, d), the rows times what head h holds. Each is the other's gradient.
/// </summary>
public sealed record HeadProductOp(int Heads, bool Transposed) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        var (x, weight) = (inputs[0], inputs[1]);
        Require(x.Rank == 3 && weight.Rank == 2 && x[1].Size == (this.Transposed ? this.Heads : 1) && x.Last == weight[this.Transposed ? 1 : 0].Size, $"product of {this.Heads} heads: {x} and weight {weight}");
        return this.Transposed ? x.With(1, 1).With(2, weight[0].Size) : x.With(1, this.Heads).With(2, weight.Last);
    }

    /// <inheritdoc/>
    public override long Macs(IReadOnlyList<Shape> inputs, Shape output) => inputs[1].Elements;
}

/// <summary>
/// Attention of one asking row a head whose keys and values are the rows themselves, in all their channels: rows (B, T, d) and queries
/// (B, heads, d), scaled, → (B, heads, d). Further inputs, as the flags say: more rows, (P, d) for all images or (B, P, d), and what is added to their
/// logits, a number or one for each row.
/// </summary>
public sealed record RowAttentionOp(bool Prefix, bool Weighed) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        Require(inputs[0].Last == inputs[1].Last && (!this.Prefix || inputs[2].Last == inputs[0].Last), $"attention of rows: {string.Join(" and ", inputs)}");
        return inputs[1];
    }

    /// <inheritdoc/>
    public override long Macs(IReadOnlyList<Shape> inputs, Shape output) => 2 * output.Elements * this.Keys(inputs);

    /// <summary>T + P.</summary>
    public int Keys(IReadOnlyList<Shape> inputs) => inputs[0][1].Size + (this.Prefix ? inputs[2][-2].Size : 0);
}

/// <summary>Gradients of <see cref="RowAttentionOp"/>; inputs those of the attention, then its output and dy. The result is the rows' gradient; those of the other inputs are its parts.</summary>
public sealed record RowAttentionGradientOp(RowAttentionOp Attention) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => inputs[0];

    /// <inheritdoc/>
    public override long Macs(IReadOnlyList<Shape> inputs, Shape output) => 2 * this.Attention.Macs(inputs, inputs[1]);
}
