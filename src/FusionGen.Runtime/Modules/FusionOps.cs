using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace FusionGen;

/// <summary>The operations of generated code that are more than one call of TorchSharp. Differentiable to any order.</summary>
public static class FusionOps
{
    /// <summary>Multi-head self-attention of fused projections.</summary>
    /// <param name="qkv">(B, T, 3d): queries, keys and values side by side, heads contiguous.</param>
    /// <param name="heads">H.</param>
    /// <param name="rows">How many of the first rows ask; 0 for all.</param>
    /// <param name="bias">Added to the logits: (H, T, T), or (n, H, T, T) of which image k takes entry k mod n; null for none.</param>
    /// <param name="prefixes">Further keys and values, (P, 2d) for all images or (B, P, 2d), with a number added to their logits; null for 0.</param>
    /// <returns>(B, T or rows, d).</returns>
    public static Tensor Attention(Tensor qkv, int heads, int rows = 0, Tensor? bias = null, params ReadOnlySpan<(Tensor KeysValues, Tensor? LogWeight)> prefixes)
    {
        ArgumentNullException.ThrowIfNull(qkv);
        using var scope = NewDisposeScope();
        var (batch, tokens, width) = (qkv.shape[0], qkv.shape[1], qkv.shape[2] / 3);
        var head = width / heads;
        var split = qkv.reshape(batch, tokens, 3, heads, head).permute(2, 0, 3, 1, 4);
        var asking = rows == 0 ? split.select(0, 0) : split.select(0, 0).narrow(2, 0, rows);
        var queries = asking * (1 / Math.Sqrt(head));
        var (keys, values) = (split.select(0, 1), split.select(0, 2));
        var logits = matmul(queries, keys.transpose(-2, -1));
        if (bias is not null)
            logits = AddBias(logits, rows == 0 ? bias : bias.narrow(-2, 0, rows));
        foreach (var (keysValues, logWeight) in prefixes)
        {
            // At a vertex without it, a prefix is not there at all: rows of no weight would change the order of sums.
            if (logWeight is { requires_grad: false } && double.IsNegativeInfinity(logWeight.to(ScalarType.Float64).item<double>()))
                continue;
            // (2, B or 1, H, P, e).
            var prefix = keysValues.reshape(keysValues.ndim == 2 ? 1 : batch, -1, 2, heads, head).permute(2, 0, 3, 1, 4);
            var prefixLogits = matmul(queries, prefix.select(0, 0).transpose(-2, -1));
            logits = cat([logits, logWeight is null ? prefixLogits : prefixLogits + logWeight], -1);
            values = cat([values, prefix.select(0, 1).expand(batch, -1, -1, -1)], 2);
        }
        return matmul(logits.softmax(-1), values).transpose(1, 2).reshape(batch, rows == 0 ? tokens : rows, width).MoveToOuterDisposeScope();
    }

    /// <summary>Softmax along an axis over the <paramref name="top"/> largest entries; the others are 0.</summary>
    public static Tensor TopSoftmax(Tensor logits, int top, int axis)
    {
        ArgumentNullException.ThrowIfNull(logits);
        using var scope = NewDisposeScope();
        var (largest, places) = logits.topk(top, axis);
        return zeros_like(logits).scatter(axis, places, largest.softmax(axis)).MoveToOuterDisposeScope();
    }

    /// <summary>(n, r, c) → (n·r, n·c) with the blocks on the diagonal.</summary>
    public static Tensor BlockDiagonal(Tensor blocks)
    {
        ArgumentNullException.ThrowIfNull(blocks);
        using var scope = NewDisposeScope();
        var (count, rows, columns) = (blocks.shape[0], blocks.shape[1], blocks.shape[2]);
        var diagonal = eye(count, count, dtype: blocks.dtype, device: blocks.device).reshape(count, 1, count, 1);
        return (blocks.unsqueeze(2) * diagonal).reshape(count * rows, count * columns).MoveToOuterDisposeScope();
    }

    /// <summary>A row (1, 1, d) for every image: (B, 1, d), B taken from <paramref name="like"/>.</summary>
    public static Tensor Expand(Tensor row, Tensor like)
    {
        ArgumentNullException.ThrowIfNull(row);
        ArgumentNullException.ThrowIfNull(like);
        return row.expand(like.shape[0], -1, -1);
    }

    /// <summary>Patches of images (B, C, S, S) through a convolution as large as its stride, weight (d, C, p, p): rows (B, (S/p)², d), row-major.</summary>
    public static Tensor PatchEmbed(Tensor images, Tensor weight, Tensor bias, int patch)
    {
        ArgumentNullException.ThrowIfNull(images);
        ArgumentNullException.ThrowIfNull(weight);
        using var scope = NewDisposeScope();
        return functional.linear(PatchRows(images, patch), weight.reshape(weight.shape[0], -1), bias).MoveToOuterDisposeScope();
    }

    /// <summary>Patches of images (B, C, S, S) as rows (B, (S/p)², C·p·p), row-major.</summary>
    internal static Tensor PatchRows(Tensor images, int patch)
    {
        var (batch, channels, grid) = (images.shape[0], images.shape[1], images.shape[2] / patch);
        return images.reshape(batch, channels, grid, patch, grid, patch).permute(0, 2, 4, 1, 3, 5).reshape(batch, grid * grid, channels * patch * patch);
    }

    /// <summary>Swin's relative position bias: table ((2w−1)², H) → (H, w², w²), entry (i, j) by the offset of places i and j in a window.</summary>
    public static Tensor RelativeBias(Tensor table, int window)
    {
        ArgumentNullException.ThrowIfNull(table);
        using var scope = NewDisposeScope();
        var area = window * window;
        var offsets = new long[area * area];
        for (var i = 0; i < area; i++)
        {
            for (var j = 0; j < area; j++)
                offsets[(i * area) + j] = (((i / window) - (j / window) + window - 1) * ((2 * window) - 1)) + (i % window) - (j % window) + window - 1;
        }
        var places = tensor(offsets, [offsets.Length], device: table.device);
        return table.index_select(0, places).reshape(area, area, table.shape[1]).permute(2, 0, 1).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Swin's mask of shifted windows, (n, 1, w², w²): 0 between places of a window that were neighbours before the shift, −100 otherwise.
    /// </summary>
    public static Tensor WindowMask(int rows, int columns, int window, int shift, Tensor like)
    {
        ArgumentNullException.ThrowIfNull(like);
        int Region(int place, int size) => place < size - window ? 0 : place < size - shift ? 1 : 2;
        var (across, area) = (columns / window, window * window);
        var mask = new float[rows / window * across * area * area];
        for (var n = 0; n < rows / window * across; n++)
        {
            int RegionOf(int place) => (3 * Region((n / across * window) + (place / window), rows)) + Region((n % across * window) + (place % window), columns);
            for (var i = 0; i < area; i++)
            {
                for (var j = 0; j < area; j++)
                    mask[(((n * area) + i) * area) + j] = RegionOf(i) == RegionOf(j) ? 0 : -100;
            }
        }
        using var values = tensor(mask, [mask.Length / (area * area), 1, area, area]);
        return values.to(like.dtype, like.device);
    }

    /// <summary>What lets the class token see all tokens and a patch its 3×3 neighbours, (H, T, T): 0 or −10⁹; padded, ln of how many neighbours a patch lacks in one more column.</summary>
    public static Tensor NeighbourBias(int side, int heads, bool padded, Tensor like)
    {
        ArgumentNullException.ThrowIfNull(like);
        var tokens = 1 + (side * side) + (padded ? 1 : 0);
        var bias = new double[heads * tokens * tokens];
        for (var i = 0; i < bias.Length; i++)
            bias[i] = Static.StaticOps.NeighbourBias(i, side, padded);
        using var values = tensor(bias, [heads, tokens, tokens]);
        return values.to(like.dtype, like.device);
    }

    /// <summary>The entries of an axis among zeros: from <paramref name="start"/> on of <paramref name="size"/>.</summary>
    public static Tensor Embed(Tensor x, int axis, long start, long size)
    {
        ArgumentNullException.ThrowIfNull(x);
        // functional.pad counts dimensions from the last.
        var pads = new long[2 * (x.ndim - axis)];
        (pads[^2], pads[^1]) = (start, size - start - x.shape[axis]);
        return functional.pad(x, pads);
    }

    /// <summary>Zero rows and columns after the end of dimensions 1 and 2 of (B, h, w, d).</summary>
    public static Tensor Pad(Tensor x, long rows, long columns)
    {
        ArgumentNullException.ThrowIfNull(x);
        return functional.pad(x, [0L, 0, 0, columns, 0, rows]);
    }

    // Entry k mod n of the bias belongs to image k: Swin's windows of one image follow each other.
    private static Tensor AddBias(Tensor logits, Tensor bias)
    {
        if (bias.ndim == 3)
            return logits + bias;
        var shape = logits.shape;
        return (logits.reshape(-1, bias.shape[0], shape[1], shape[2], shape[3]) + bias).reshape(shape);
    }
}
