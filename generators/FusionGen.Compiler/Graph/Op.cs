using System.Runtime.CompilerServices;
using System.Text;

namespace FusionGen.Compiler.Graph;

/// <summary>
/// An operation: its shape rule and its cost. The few there are suffice for every backbone and operator; what an operation
/// does is defined by the engines (<c>Emit/EagerCode.cs</c> for modules on libtorch).
/// </summary>
public abstract record Op
{
    /// <summary>Whether the result shares memory with its first input.</summary>
    public virtual bool IsView => false;

    /// <summary>Shape of the result.</summary>
    /// <exception cref="ShapeException">The inputs do not fit.</exception>
    public abstract Shape Infer(IReadOnlyList<Shape> inputs);

    /// <summary>Multiply-adds, in all or of one image.</summary>
    public virtual long Macs(IReadOnlyList<Shape> inputs, Shape output) => 0;

    private protected static void Require(bool holds, [InterpolatedStringHandlerArgument(nameof(holds))] ref Complaint message)
    {
        if (!holds)
            throw new ShapeException(message.ToString());
    }

    /// <summary>What does not hold, put into words only where it does not.</summary>
    [InterpolatedStringHandler]
    private protected readonly ref struct Complaint
    {
        private readonly StringBuilder? text;

        public Complaint(int literals, int holes, bool holds, out bool isWanted) => (this.text, isWanted) = (holds ? null : new StringBuilder(), !holds);

        public void AppendLiteral(string part) => this.text!.Append(part);

        public void AppendFormatted(object part) => this.text!.Append(part);

        public void AppendFormatted(int part) => this.text!.Append(Text.Invariant(part));

        public override string ToString() => this.text!.ToString();
    }
}

/// <summary>What a parameter is to training.</summary>
public enum ParameterRole
{
    /// <summary>Part of the frozen backbone.</summary>
    Frozen,

    /// <summary>Prompts and operator weights.</summary>
    Tuned,

    /// <summary>The classification head.</summary>
    Head,

    /// <summary>α.</summary>
    Architecture,

    /// <summary>An operator's that is set and not tuned.</summary>
    Fixed,
}

/// <summary>Distributions a parameter can start from.</summary>
public enum InitKind
{
    /// <summary>All equal to the scale.</summary>
    Constant,

    /// <summary>Normal with the scale as deviation.</summary>
    Normal,

    /// <summary>Normal cut at two deviations.</summary>
    TruncatedNormal,

    /// <summary>Uniform within ± the scale.</summary>
    Uniform,

    /// <summary>Logits of concat: noise in the first <c>Prompts</c> rows, the scale on the diagonal of the rest.</summary>
    Identity,
}

/// <summary>Where a parameter starts.</summary>
public sealed record Init(InitKind Kind, double Scale, int Prompts = 0)
{
    /// <summary>Mean of a normal distribution.</summary>
    public double Mean { get; init; }

    /// <summary>All zero.</summary>
    public static Init Zero { get; } = new(InitKind.Constant, 0);

    /// <summary>All one.</summary>
    public static Init One { get; } = new(InitKind.Constant, 1);

    /// <summary>Xavier uniform: ± √(6 / (fan-in + fan-out)).</summary>
    public static Init Xavier(int fanIn, int fanOut) => new(InitKind.Uniform, Math.Sqrt(6.0 / (fanIn + fanOut)));

    /// <summary>Default of PyTorch's linear layer, weight and bias alike: uniform ± 1/√fan-in.</summary>
    public static Init Linear(int fanIn) => new(InitKind.Uniform, 1 / Math.Sqrt(fanIn));
}

/// <summary>A parameter of the network.</summary>
public sealed record ParameterOp(string Name, ParameterRole Role, Init Init, Shape Shape) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => this.Shape;
}

/// <summary>What the network is given: normalised images (B, 3, side, side).</summary>
public sealed record InputOp(string Name, Shape Shape) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => this.Shape;
}

/// <summary>π of a layer's candidates, or ln π.</summary>
public sealed record MixtureOp(int Layer, int Candidates, bool Log) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => Shape.Of(this.Candidates);
}

/// <summary>x (…, in) · weightᵀ (out, in) + bias (out).</summary>
public sealed record LinearOp(bool Bias) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        Require(inputs[1].Rank == 2 && inputs[0].Last == inputs[1].Last, $"linear: {inputs[0]} and weight {inputs[1]}");
        return inputs[0].With(-1, inputs[1][0].Size);
    }

    /// <inheritdoc/>
    public override long Macs(IReadOnlyList<Shape> inputs, Shape output) => output.Elements * inputs[0].Last;
}

/// <summary>a (…, m, k) · b (…, k, n), either transposed in its last two dimensions; broadcast over the others.</summary>
public sealed record MatMulOp(bool TransposeA, bool TransposeB) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        var (a, b) = (inputs[0], inputs[1]);
        var (m, ka) = this.TransposeA ? (a[-1], a[-2]) : (a[-2], a[-1]);
        var (kb, n) = this.TransposeB ? (b[-1], b[-2]) : (b[-2], b[-1]);
        Require(ka == kb, $"matmul: {a} and {b}");
        var (outerA, outerB) = (a.Take(a.Rank - 2), b.Take(b.Rank - 2));
        var outer = outerB.Rank == 0 ? outerA : outerA.Rank == 0 ? outerB : Shape.Broadcast(outerA, outerB);
        return outer.Take(outer.Rank, m, n);
    }

    /// <inheritdoc/>
    public override long Macs(IReadOnlyList<Shape> inputs, Shape output) => output.Elements * inputs[0][this.TransposeA ? -2 : -1].Size;
}

/// <summary>a + b, broadcast; more than two, or one, of equal shapes where gradients from several parts of a network meet.</summary>
public sealed record AddOp : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => inputs.Count == 2 ? Shape.Broadcast(inputs[0], inputs[1]) : inputs[0];
}

/// <summary>a ⊙ b, broadcast.</summary>
public sealed record MulOp : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => Shape.Broadcast(inputs[0], inputs[1]);
}

/// <summary>a ⊙ b + c, broadcast, in one pass.</summary>
public sealed record MulAddOp : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => Shape.Broadcast(Shape.Broadcast(inputs[0], inputs[1]), inputs[2]);
}

/// <summary>x times a constant, plus a constant.</summary>
public sealed record ScaleOp(double Factor, double Offset = 0) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => inputs[0];
}

/// <summary>Functions of one number.</summary>
public enum UnaryKind
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

/// <summary>A function of every element.</summary>
public sealed record UnaryOp(UnaryKind Kind) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => inputs[0];
}

/// <summary>Layer norm over the last dimension; inputs x, and with <paramref name="Affine"/> also γ and β.</summary>
public sealed record LayerNormOp(double Epsilon, bool Affine) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        Require(!this.Affine || inputs[1].Last == inputs[0].Last, $"layer norm: {inputs[0]} and a weight of another width");
        return inputs[0];
    }
}

/// <summary>Softmax along an axis; with <paramref name="Top"/>, over the largest entries only, the others zero.</summary>
/// <param name="Axis">The axis.</param>
/// <param name="Top">Entries kept; 0 for all.</param>
/// <param name="WhenDiscrete">Keep all of them until the mixture is a vertex.</param>
public sealed record SoftmaxOp(int Axis, int Top = 0, bool WhenDiscrete = false) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => inputs[0];
}

/// <summary>
/// Multi-head self-attention of fused projections qkv (B, T, 3d) → (B, T, d). Further inputs, in this order, as the flags say:
/// for each prefix its keys and values, (P, 2d) for all images or (B, P, 2d), and, where it is weighed, what is added to its logits, a number or one for each row; then a bias (heads, T, T)
/// or (n, heads, T, T) added to the logits, image k taking entry k mod n.
/// </summary>
/// <param name="Heads">Number of heads.</param>
/// <param name="Prefixes">For each prefix whether it is weighed.</param>
/// <param name="Bias">Whether the logits have a bias.</param>
/// <param name="Rows">How many of the first rows ask: (B, Rows, d) comes out; 0 for all T.</param>
public sealed record AttentionOp(int Heads, EquatableArray<bool> Prefixes, bool Bias, int Rows = 0) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        var width = inputs[0].Last / 3;
        Require(inputs[0].Rank == 3 && inputs[0].Last % 3 == 0 && width % this.Heads == 0, $"attention: {inputs[0]} with {this.Heads} heads");
        Require(this.Rows >= 0 && this.Rows <= inputs[0][1].Size, $"attention: {this.Rows} rows of {inputs[0]} ask");
        return inputs[0].With(-1, width).With(1, this.Rows == 0 ? inputs[0][1].Size : this.Rows);
    }

    /// <inheritdoc/>
    public override long Macs(IReadOnlyList<Shape> inputs, Shape output) => 2 * output.Elements * this.Keys(inputs);

    /// <summary>T and the rows of every prefix.</summary>
    public int Keys(IReadOnlyList<Shape> inputs)
    {
        var keys = inputs[0][1].Size;
        var next = 1;
        foreach (var weighed in this.Prefixes)
        {
            keys += inputs[next][-2].Size;
            next += weighed ? 2 : 1;
        }
        return keys;
    }
}

/// <summary>x (n, r, c) → (n·r, n·c) with the n blocks on the diagonal.</summary>
public sealed record BlockDiagonalOp : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => Shape.Of(inputs[0][0].Size * inputs[0][1].Size, inputs[0][0].Size * inputs[0][2].Size);
}

/// <summary>Joins along an axis.</summary>
public sealed record ConcatOp(int Axis) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        Require(inputs.All(s => s.With(this.Axis, 0) == inputs[0].With(this.Axis, 0)), $"concat: {string.Join(" and ", inputs)} along {this.Axis}");
        return inputs[0].With(this.Axis, inputs.Sum(s => s[this.Axis].Size));
    }
}

/// <summary><paramref name="Length"/> entries of an axis from <paramref name="Start"/>.</summary>
public sealed record SliceOp(int Axis, int Start, int Length) : Op
{
    /// <inheritdoc/>
    public override bool IsView => true;

    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        Require(this.Start + this.Length <= inputs[0][this.Axis].Size, $"slice: {this.Start}+{this.Length} of {inputs[0]} along {this.Axis}");
        return inputs[0].With(this.Axis, this.Length);
    }
}

/// <summary>Places the input along an axis of zeros: a slice turned round.</summary>
public sealed record EmbedOp(int Axis, int Start, int Size) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        Require(this.Start + inputs[0][this.Axis].Size <= this.Size, $"embed: {inputs[0]} at {this.Start} of {this.Size} along {this.Axis}");
        return inputs[0].With(this.Axis, this.Size);
    }
}

/// <summary>One entry of an axis, which disappears.</summary>
public sealed record SelectOp(int Axis, int Index) : Op
{
    /// <inheritdoc/>
    public override bool IsView => true;

    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        Require(this.Index < inputs[0][this.Axis].Size, $"select: {this.Index} of {inputs[0]} along {this.Axis}");
        return inputs[0].Without(this.Axis);
    }
}

/// <summary>The same elements in another shape; dimensions of <paramref name="Target"/> may be multiples of the batch.</summary>
public sealed record ReshapeOp(Shape Target) : Op
{
    /// <inheritdoc/>
    public override bool IsView => true;

    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        Require(inputs[0].Elements == this.Target.Elements && inputs[0].IsPerSample == this.Target.IsPerSample, $"reshape: {inputs[0]} to {this.Target}");
        return this.Target;
    }
}

/// <summary>Reorders dimensions.</summary>
public sealed record PermuteOp(EquatableArray<int> Order) : Op
{
    /// <inheritdoc/>
    public override bool IsView => true;

    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => new(this.Order.Select(axis => inputs[0][axis]).ToEquatableArray());
}

/// <summary>A row (1, 1, d) for every image of a second input: (B, 1, d).</summary>
public sealed record ExpandOp : Op
{
    /// <inheritdoc/>
    public override bool IsView => true;

    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => Shape.Batched(1, [.. inputs[0].Dims.Skip(1).Select(dim => dim.Size)]);
}

/// <summary>
/// Dropout's factors: 0 at a rate, 1/(1 − rate) elsewhere, drawn for a training step by its seed and number, the site and, where they differ from image to image, the image's
/// place in the batch; all 1 outside of training. The input says how many images there are; none where all share one mask.
/// </summary>
/// <param name="Site">What is dropped.</param>
/// <param name="Rate">How likely.</param>
/// <param name="Shape">Shape of the factors.</param>
public sealed record DropoutMaskOp(string Site, double Rate, Shape Shape) : Op
{
    /// <summary>The site as a number (FNV-1a).</summary>
    public uint Number => this.Site.Aggregate(2166136261, (hash, letter) => unchecked((hash ^ letter) * 16777619));

    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        Require(this.Shape.IsPerSample == (inputs.Count == 1) && (inputs.Count == 0 || inputs[0][0] == this.Shape[0]), $"dropout: {this.Shape} for {string.Join(" and ", inputs)}");
        return this.Shape;
    }
}

/// <summary>Patches of images (B, 3, side, side) through a convolution as large as its stride, weight (d, 3, p, p): rows (B, N, d).</summary>
public sealed record PatchEmbedOp(int Patch) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        var grid = inputs[0][2].Size / this.Patch;
        return Shape.Batched(1, grid * grid, inputs[1][0].Size);
    }

    /// <inheritdoc/>
    public override long Macs(IReadOnlyList<Shape> inputs, Shape output) => output.Elements * 3 * this.Patch * this.Patch;
}

/// <summary>Mean along an axis, which disappears, of its entries from <paramref name="Start"/> on.</summary>
public sealed record MeanOp(int Axis, int Start = 0) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => inputs[0].Without(this.Axis);
}

/// <summary>Swin's relative position bias: table ((2w−1)², H) → (H, w², w²), by the offset of two places in a window.</summary>
public sealed record RelativeBiasOp(int Window) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        Require(inputs[0][0].Size == ((2 * this.Window) - 1) * ((2 * this.Window) - 1), $"relative bias: {inputs[0]} for a window of {this.Window}");
        return Shape.Of(inputs[0].Last, this.Window * this.Window, this.Window * this.Window);
    }
}

/// <summary>
/// Swin's mask of shifted windows, (n, 1, w², w²): −100 between places of a window that lie side by side only because of the shift.
/// </summary>
public sealed record WindowMaskOp(int Rows, int Columns, int Window, int Shift) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) =>
        Shape.Of(this.Rows / this.Window * (this.Columns / this.Window), 1, this.Window * this.Window, this.Window * this.Window);
}

/// <summary>
/// What lets the class token see all tokens, and a patch its neighbourhood of 3×3 patches: (H, T, T), 0 where a row sees a column and −10⁹ where it does
/// not. Padded, there is one more token, of zeros, that a patch at the border sees once for every neighbour it lacks: ln of how many.
/// </summary>
public sealed record NeighbourBiasOp(int Side, int Heads, bool Padded) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        var tokens = 1 + (this.Side * this.Side) + (this.Padded ? 1 : 0);
        return Shape.Of(this.Heads, tokens, tokens);
    }
}

/// <summary>
/// What the head reads (B, n, d) of several streams (B, d): the first is the prediction's, and the loss is the sum of all streams' cross-entropies,
/// each times its entry of <paramref name="Losses"/>.
/// </summary>
public sealed record ReadoutsOp(EquatableArray<double> Losses) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs)
    {
        Require(inputs.Count == this.Losses.Count && inputs.All(input => input == inputs[0]), $"readouts: {string.Join(" and ", inputs)}");
        return Shape.Batched(1, inputs.Count, inputs[0].Last);
    }
}

/// <summary>Cyclic shift of dimensions 1 and 2.</summary>
public sealed record RollOp(int Shift) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) => inputs[0];
}

/// <summary>Zero rows after the end of dimensions 1 and 2.</summary>
public sealed record PadOp(int Rows, int Columns) : Op
{
    /// <inheritdoc/>
    public override Shape Infer(IReadOnlyList<Shape> inputs) =>
        inputs[0].With(1, inputs[0][1].Size + this.Rows).With(2, inputs[0][2].Size + this.Columns);
}
