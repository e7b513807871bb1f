using FusionGen.Kernels;

namespace FusionGen.Static;

/// <summary>
/// The operations of static programs: what the compiler's graph means on float32 numbers, rows contiguous. A program hands spans from its frame to them and never looks into
/// one itself: whose memory they are in is a matter between the frame and these operations.
/// </summary>
public abstract class StaticOps
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
    public abstract void Linear(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, ReadOnlySpan<float> residual, Span<float> y, int rows, int inner, int outer);

    /// <summary>c = a·b + residual, <paramref name="count"/> times; an operand that is shared serves all.</summary>
    public abstract void MatMul(
        ReadOnlySpan<float> a, bool transposeA, bool sharedA, ReadOnlySpan<float> b, bool transposeB, bool sharedB, ReadOnlySpan<float> residual, Span<float> c, int count, int m, int n, int k);

    /// <summary>y = mᵀ·x, or m·x where transposed, + residual, which may be one for all, of every image; where few entries of m are not zero, by rows.</summary>
    public abstract void Mix(ReadOnlySpan<float> mix, bool transposed, ReadOnlySpan<float> x, ReadOnlySpan<float> residual, Span<float> y, bool isSparse, int images, int rows, int width);

    /// <summary>Gradient of <see cref="Mix"/> with respect to m, summed over the images; where few entries of m are not zero, of those alone.</summary>
    public abstract void MixGradient(ReadOnlySpan<float> mix, ReadOnlySpan<float> x, ReadOnlySpan<float> dy, Span<float> dMix, bool isSparse, int images, int rows, int width);

    /// <summary>c = Σ a·b over <paramref name="count"/> pairs.</summary>
    public abstract void MatMulSum(ReadOnlySpan<float> a, bool transposeA, ReadOnlySpan<float> b, bool transposeB, Span<float> c, int count, int m, int n, int k);

    /// <summary>y = residual + 0: what is left of an operation whose result is zero. A residual shorter than y repeats; an empty one is none.</summary>
    public abstract void Keep(ReadOnlySpan<float> residual, Span<float> y);

    /// <summary>y = a + b; an operand shorter than y repeats.</summary>
    public abstract void Add(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y);

    /// <summary>y = a ⊙ b; an operand shorter than y repeats.</summary>
    public abstract void Mul(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y);

    /// <summary>y = a ⊙ b + c; an operand shorter than y repeats.</summary>
    public abstract void MulAdd(ReadOnlySpan<float> a, ReadOnlySpan<float> b, ReadOnlySpan<float> c, Span<float> y);

    /// <summary>y = the sum of x's stretches of y's length.</summary>
    public abstract void SumTo(ReadOnlySpan<float> x, Span<float> y);

    /// <summary>y = the sum of the stretches of y's length of a ⊙ b, where the shorter repeats.</summary>
    public abstract void MulSumTo(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> y);

    /// <summary>y = x times a number, plus a number.</summary>
    public abstract void Scale(ReadOnlySpan<float> x, float factor, float offset, Span<float> y);

    /// <summary>y = f(x).</summary>
    public abstract void Apply(Activation function, ReadOnlySpan<float> x, Span<float> y);

    /// <summary>dx = f′(x) ⊙ dy.</summary>
    public abstract void ApplyGradient(Activation function, ReadOnlySpan<float> x, ReadOnlySpan<float> dy, Span<float> dx);

    /// <summary>Layer norm of rows; saves every row's mean, then every row's reciprocal deviation.</summary>
    public abstract void LayerNorm(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, Span<float> y, Span<float> statistics, int width, float epsilon);

    /// <summary>dx of layer norm, plus residual.</summary>
    public abstract void LayerNormGradient(
        ReadOnlySpan<float> x, ReadOnlySpan<float> dy, ReadOnlySpan<float> weight, ReadOnlySpan<float> statistics, ReadOnlySpan<float> residual, Span<float> dx, int width);

    /// <summary>Σ dy ⊙ x̂ over all rows: the gradient of a layer norm's γ.</summary>
    public abstract void LayerNormScaleGradient(ReadOnlySpan<float> x, ReadOnlySpan<float> dy, ReadOnlySpan<float> statistics, Span<float> dWeight, int width);

    /// <summary>Softmax along an axis of <paramref name="size"/> entries, <paramref name="inner"/> apart; over the largest <paramref name="top"/> of them if that is not 0.</summary>
    public abstract void Softmax(ReadOnlySpan<float> x, Span<float> y, int size, int inner, int top);

    /// <summary>y ⊙ (dy − Σ y ⊙ dy), the sum along the axis.</summary>
    public abstract void SoftmaxGradient(ReadOnlySpan<float> y, ReadOnlySpan<float> dy, Span<float> dx, int size, int inner);

    /// <summary>Multi-head self-attention of fused projections.</summary>
    /// <param name="qkv">(B, T, 3d).</param>
    /// <param name="prefix">Further keys and values, (P, 2d) or (B, P, 2d); empty for none.</param>
    /// <param name="logWeight">Added to the prefix's logits, a number or (P); empty for 0.</param>
    /// <param name="bias">Added to the logits of tokens: (H, T, T) or (n, H, T, T); empty for none.</param>
    /// <param name="y">(B, asking, d).</param>
    /// <param name="saved">For the gradient: (B, H, asking) logarithms of the softmax's sums; or (B, H, asking) of their reciprocals, then (B, H, asking, T+P) exponentials; empty if nobody needs them.</param>
    /// <param name="scratch">asking·(T+P) numbers.</param>
    /// <param name="images">B.</param>
    /// <param name="rows">T.</param>
    /// <param name="width">d.</param>
    /// <param name="heads">H.</param>
    /// <param name="asking">How many of the first rows ask.</param>
    /// <param name="prefixRows">P.</param>
    public abstract void Attention(
        ReadOnlySpan<float> qkv, ReadOnlySpan<float> prefix, ReadOnlySpan<float> logWeight, ReadOnlySpan<float> bias, Span<float> y, Span<float> saved,
        Span<float> scratch, int images, int rows, int width, int heads, int asking, int prefixRows);

    /// <summary>Gradients of <see cref="Attention"/>; what all images share is summed over them.</summary>
    public abstract void AttentionGradient(
        ReadOnlySpan<float> qkv, ReadOnlySpan<float> prefix, ReadOnlySpan<float> logWeight, ReadOnlySpan<float> bias, ReadOnlySpan<float> y, ReadOnlySpan<float> dy, ReadOnlySpan<float> saved,
        Span<float> dQkv, Span<float> dPrefix, Span<float> dLogWeight, Span<float> dBias, Span<float> scratch, int images, int rows, int width, int heads, int asking, int prefixRows);

    /// <summary>Every head's entries times its own rows of a weight.</summary>
    /// <param name="x">(B, H·inner); transposed, (B, H, outer).</param>
    /// <param name="weight">(H·inner, outer).</param>
    /// <param name="y">(B, H, outer); transposed, (B, H·inner).</param>
    /// <param name="transposed">Which way.</param>
    /// <param name="images">B.</param>
    /// <param name="heads">H.</param>
    /// <param name="inner">Rows of a head.</param>
    /// <param name="outer">Width of the weight.</param>
    public abstract void HeadProduct(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, Span<float> y, bool transposed, int images, int heads, int inner, int outer);

    /// <summary>Attention whose keys and values are rows themselves; <paramref name="probabilities"/> (B, H, T+P) are left for the gradient.</summary>
    public abstract void RowAttention(
        ReadOnlySpan<float> rows, ReadOnlySpan<float> queries, ReadOnlySpan<float> prefix, ReadOnlySpan<float> logWeight, Span<float> y, Span<float> probabilities,
        int images, int tokens, int width, int heads, int prefixRows);

    /// <summary>Gradients of <see cref="RowAttention"/>; what all images share is summed over them.</summary>
    public abstract void RowAttentionGradient(
        ReadOnlySpan<float> rows, ReadOnlySpan<float> queries, ReadOnlySpan<float> prefix, ReadOnlySpan<float> dy, ReadOnlySpan<float> probabilities,
        Span<float> dRows, Span<float> dQueries, Span<float> dPrefix, Span<float> dLogWeight, Span<float> scratch, int images, int tokens, int width, int heads, int prefixRows);

    /// <summary>(n, r, c) → (n·r, n·c) with the blocks on the diagonal.</summary>
    public abstract void BlockDiagonal(ReadOnlySpan<float> x, Span<float> y, int count, int rows, int columns);

    /// <summary>The blocks (n, r, c) on the diagonal of (n·r, n·c).</summary>
    public abstract void DiagonalBlocks(ReadOnlySpan<float> x, Span<float> y, int count, int rows, int columns);

    /// <summary>Moves elements along strides; with <paramref name="add"/> adds them to what is there.</summary>
    public abstract void Copy(
        ReadOnlySpan<float> source, int start, ReadOnlySpan<int> from, Span<float> target, int place, ReadOnlySpan<int> to, ReadOnlySpan<int> sizes, bool add);

    /// <summary>Dropout's factors of a step: of each image, or one mask that all share.</summary>
    public abstract void DropoutMask(in StaticFrame frame, uint site, float rate, bool perImage, Span<float> mask);

    /// <summary>Cyclic shift of the rows and columns of (n, rows, columns, width).</summary>
    public abstract void Roll(ReadOnlySpan<float> x, Span<float> y, int shift, int rows, int columns, int width);

    /// <summary>Patches of images (B, C, S, S) as rows (B, N, C·p·p).</summary>
    public abstract void PatchRows(ReadOnlySpan<float> images, Span<float> rows, int patch, int channels, int side);

    /// <summary>Mean along an axis of <paramref name="size"/> entries, <paramref name="inner"/> apart, from <paramref name="start"/> on.</summary>
    public abstract void Mean(ReadOnlySpan<float> x, Span<float> y, int size, int inner, int start);

    /// <summary>Swin's relative position bias: table ((2w−1)², H) → (H, w², w²).</summary>
    public abstract void RelativeBias(ReadOnlySpan<float> table, Span<float> bias, int window);

    /// <summary>Every place's gradient to the table entry it was read from.</summary>
    public abstract void RelativeBiasGradient(ReadOnlySpan<float> dBias, Span<float> dTable, int window);

    /// <summary>Swin's mask of shifted windows, (n, 1, w², w²): −100 between places that lie side by side only because of the shift.</summary>
    public abstract void WindowMask(Span<float> mask, int rows, int columns, int window, int shift);

    /// <summary>Added to logits (H, T, T): row 0 sees all tokens, a patch its 3×3 neighbours; padded, one more token once for every neighbour that a patch lacks.</summary>
    public abstract void NeighbourBias(Span<float> bias, int side, int heads, bool padded);

    /// <summary>An entry of <see cref="NeighbourBias(Span{float}, int, int, bool)"/>.</summary>
    internal static double NeighbourBias(int index, int side, bool padded)
    {
        const double Unseen = -1e9;
        var patches = side * side;
        var tokens = 1 + patches + (padded ? 1 : 0);
        var (row, column) = (index / tokens % tokens, index % tokens);
        if (row == 0 || row > patches || column == 0)
            return (row == 0 || row > patches) && column <= patches ? 0 : Unseen;
        var (y, x) = Math.DivRem(row - 1, side);
        if (column <= patches)
            return Math.Max(Math.Abs(y - ((column - 1) / side)), Math.Abs(x - ((column - 1) % side))) <= 1 ? 0 : Unseen;
        var seen = Within(y) * Within(x);
        return seen == 9 ? Unseen : Math.Log(9 - seen);

        int Within(int at) => 1 + (at > 0 ? 1 : 0) + (at < side - 1 ? 1 : 0);
    }
}
