namespace FusionGen.Compiler.Graph;

/// <summary>mᵀ·x, or m·x, with a matrix (T, T) that all images share, x (B, T, d), skipping zeros once the mixture is a vertex.</summary>
/// <param name="Transposed">Whether m is multiplied as it is stored, not transposed.</param>
/// <param name="Top">Entries of a column that are not zero; 0 while all may be.</param>
public sealed record MixOp(bool Transposed, int Top) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        Require(inputs[0].Rank == 2 && inputs[0][0] == inputs[0][1] && inputs[1].Rank == 3 && inputs[1][1] == inputs[0][0], $"mix: {inputs[0]} and {inputs[1]}");
        return inputs[1];
    }

    /// <inheritdoc/>
    public override long Macs(IReadOnlyList<Shape> inputs, Shape output) => output.Elements * (this.Top == 0 ? inputs[0].Last : this.Top);
}

/// <summary>Gradient of <see cref="MixOp"/> with respect to m where m is not zero, summed over the images; inputs m, x and dy.</summary>
public sealed record MixGradientOp : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => inputs[0];

    /// <inheritdoc/>
    public override long Macs(IReadOnlyList<Shape> inputs, Shape output) => inputs[1].Elements * inputs[0].Last;
}
