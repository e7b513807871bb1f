using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Emit;

/// <summary>What each operation is on TorchSharp's API: one C# expression.</summary>
internal static class EagerCode
{
    /// <summary>The expression of an operation on named inputs.</summary>
    /// <param name="value">The value.</param>
    /// <param name="x">Names of its inputs.</param>
    /// <param name="isSupernet">Whether a mixture decides what is discrete; otherwise everything is.</param>
    public static string Expression(Value value, IReadOnlyList<string> x, bool isSupernet) => value.Op switch
    {
        LinearOp => $"functional.linear({string.Join(", ", x)})",
        MatMulOp op => $"matmul({Transposed(x[0], op.TransposeA)}, {Transposed(x[1], op.TransposeB)})",
        AddOp => $"{x[0]} + {x[1]}",
        MulOp => $"{x[0]} * {x[1]}",
        MulAddOp => $"{x[2]}.addcmul({x[0]}, {x[1]}, 1)",
        ScaleOp op => $"{x[0]} * {Names.Literal(op.Factor)}{(op.Offset == 0 ? "" : $" + {Names.Literal(op.Offset)}")}",
        UnaryOp { Kind: UnaryKind.Gelu } => $"functional.gelu({x[0]})",
        UnaryOp op => $"{x[0]}.{op.Kind.ToString().ToLowerInvariant()}()",
        LayerNormOp op => $"functional.layer_norm({x[0]}, [{Text.Invariant(value.Shape.Last)}]{(op.Affine ? $", {x[1]}, {x[2]}" : "")}, eps: {Names.Literal(op.Epsilon)})",
        SoftmaxOp op => Softmax(op, x[0], isSupernet),
        AttentionOp op => Attention(op, x),
        BlockDiagonalOp => $"FusionOps.BlockDiagonal({x[0]})",
        ConcatOp op => $"cat([{string.Join(", ", x)}], {Text.Invariant(op.Axis)})",
        SliceOp op => $"{x[0]}.narrow({Text.Invariant(op.Axis)}, {Text.Invariant(op.Start)}, {Text.Invariant(op.Length)})",
        EmbedOp op => $"FusionOps.Embed({x[0]}, {Text.Invariant(op.Axis)}, {Text.Invariant(op.Start)}, {Text.Invariant(op.Size)})",
        SelectOp op => $"{x[0]}.select({Text.Invariant(op.Axis)}, {Text.Invariant(op.Index)})",
        ReshapeOp op => $"{x[0]}.reshape({string.Join(", ", op.Target.Dims.Select(dim => dim.Batch ? "-1" : Text.Invariant(dim.Size)))})",
        PermuteOp op => $"{x[0]}.permute({string.Join(", ", op.Order.Select(axis => Text.Invariant(axis)))})",
        ExpandOp => $"FusionOps.Expand({x[0]}, {x[1]})",
        DropoutMaskOp op => $"this.DropoutMask({(x.Count == 0 ? "w[0]" : x[0])}, {Text.Invariant(op.Number)}u, {Names.Literal(op.Rate)}, {string.Join(", ", op.Shape.Dims.Select(dim => dim.Batch ? "-1" : Text.Invariant(dim.Size)))})",
        PatchEmbedOp op => $"FusionOps.PatchEmbed({x[0]}, {x[1]}, {x[2]}, {Text.Invariant(op.Patch)})",
        BroadcastToOp op => $"{x[0]}.expand({string.Join(", ", op.Target.Dims.Select(dim => dim.Batch ? "-1" : Text.Invariant(dim.Size)))})",
        MeanOp op => $"{x[0]}.mean([{Text.Invariant(op.Axis)}])",
        RelativeBiasOp op => $"FusionOps.RelativeBias({x[0]}, {Text.Invariant(op.Window)})",
        WindowMaskOp op => $"FusionOps.WindowMask({Text.Invariant(op.Rows)}, {Text.Invariant(op.Columns)}, {Text.Invariant(op.Window)}, {Text.Invariant(op.Shift)}, w[0])",
        NeighbourBiasOp op => $"FusionOps.NeighbourBias({Text.Invariant(op.Side)}, {Text.Invariant(op.Heads)}, {(op.Padded ? "true" : "false")}, w[0])",
        ReadoutsOp => $"stack([{string.Join(", ", x)}], 1)",
        RollOp op => $"{x[0]}.roll([{Text.Invariant(op.Shift)}, {Text.Invariant(op.Shift)}], [1, 2])",
        PadOp op => $"FusionOps.Pad({x[0]}, {Text.Invariant(op.Rows)}, {Text.Invariant(op.Columns)})",
        _ => throw new InvalidOperationException($"no eager code for {value.Op}"),
    };

    private static string Transposed(string x, bool transpose) => transpose ? $"{x}.transpose(-2, -1)" : x;

    private static string Softmax(SoftmaxOp op, string x, bool isSupernet)
    {
        var axis = Text.Invariant(op.Axis);
        if (op.Top == 0)
            return $"{x}.softmax({axis})";
        var top = $"FusionOps.TopSoftmax({x}, {Text.Invariant(op.Top)}, {axis})";
        return op.WhenDiscrete && isSupernet ? $"mixture.IsDiscrete ? {top} : {x}.softmax({axis})" : top;
    }

    private static string Attention(AttentionOp op, IReadOnlyList<string> x)
    {
        var prefixes = new List<string>();
        var next = 1;
        foreach (var weighed in op.Prefixes)
        {
            prefixes.Add($"({x[next]}, {(weighed ? x[next + 1] : "null")})");
            next += weighed ? 2 : 1;
        }
        var bias = op.Bias ? x[next] : prefixes.Count > 0 ? "null" : "";
        return $"FusionOps.Attention({string.Join(", ", new[] { x[0], Text.Invariant(op.Heads), Text.Invariant(op.Rows), bias }.Concat(prefixes).Where(part => part.Length > 0))})";
    }
}
