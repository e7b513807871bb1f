using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>The gradient of every operation, as graph: one rule each.</summary>
internal static class Gradients
{
    /// <summary>What an operation hands on to one of its inputs; null where only the input's shape matters.</summary>
    /// <param name="graph">Where the gradient is built.</param>
    /// <param name="y">The operation's result.</param>
    /// <param name="x">What it was computed from.</param>
    /// <param name="dy">Its gradient.</param>
    /// <param name="i">Which input.</param>
    public static Value? Of(GraphBuilder graph, Value y, IReadOnlyList<Value> x, Value dy, int i)
    {
        // Where nothing else wants dy, only what it sums up to is wanted (METHOD §6.1, S8).
        Value SumTo(Shape shape) => y.Inputs.Count(input => input.IsTracked) == 1 ? SumFirst(graph, dy, shape) : graph.SumTo(dy, shape);
        return y.Op switch
        {
            LinearOp => i switch
            {
                0 => dy.Shape.Rank == 1 ? graph.Reshape(graph.MatMul(Matrices(graph, dy), x[1]), x[0].Shape) : graph.MatMul(dy, x[1]),
                1 => Product(graph, Matrices(graph, dy), Matrices(graph, x[0]), true, false, x[1].Shape),
                _ => SumTo(x[2].Shape),
            },
            MatMulOp op => MatMul(graph, op, x, dy, i),
            AddOp => SumTo(x[i].Shape),
            MulOp => graph.MulSumTo(dy, x[1 - i], x[i].Shape),
            MulAddOp => i == 2 ? SumTo(x[2].Shape) : graph.MulSumTo(dy, x[1 - i], x[i].Shape),
            ScaleOp op => graph.Scale(dy, op.Factor),
            UnaryOp op => graph.Add(new UnaryGradientOp(op.Kind), x[0], dy),
            LayerNormOp op => i switch
            {
                0 => op.Affine ? graph.Add(new LayerNormGradientOp(op.Epsilon, true), x[0], dy, x[1]) : graph.Add(new LayerNormGradientOp(op.Epsilon, false), x[0], dy),
                1 => graph.Add(new LayerNormScaleGradientOp(op.Epsilon), x[0], dy),
                _ => SumTo(x[2].Shape),
            },
            SoftmaxOp op => graph.Add(new SoftmaxGradientOp(op.Axis), y, dy),
            AttentionOp op => Part(graph, graph.Add(new AttentionGradientOp(op), [.. x, y, dy]), i, x[i].Shape),
            RowAttentionOp op => Part(graph, graph.Add(new RowAttentionGradientOp(op), [.. x, y, dy]), i, x[i].Shape),
            HeadProductOp op when i == 0 => graph.Add(new HeadProductOp(op.Heads, !op.Transposed), dy, x[1]),
            BlockDiagonalOp => graph.Add(new DiagonalBlocksOp(x[0].Shape[0].Size), dy),
            ConcatOp op => graph.Slice(dy, op.Axis, x.Take(i).Sum(before => before.Shape[op.Axis].Size), x[i].Shape[op.Axis].Size),
            SliceOp op => graph.Embed(dy, op.Axis, op.Start, x[0].Shape[op.Axis].Size),
            EmbedOp op => graph.Slice(dy, op.Axis, op.Start, x[0].Shape[op.Axis].Size),
            ReadoutsOp => graph.Select(dy, 1, i),
            SelectOp op => graph.Embed(graph.Reshape(dy, x[0].Shape.With(op.Axis, 1)), op.Axis, op.Index, x[0].Shape[op.Axis].Size),
            ReshapeOp => graph.Reshape(dy, x[0].Shape),
            PermuteOp op => graph.Permute(dy, [.. Enumerable.Range(0, op.Order.Count).Select(axis => op.Order.ToList().IndexOf(axis))]),
            DropoutMaskOp => null,
            ExpandOp => i == 0 ? SumTo(x[0].Shape) : null,
            PatchEmbedOp op when i == 1 => graph.Reshape(graph.Add(new MatMulSumOp(true, false), dy, graph.Add(new PatchRowsOp(op.Patch), x[0])), x[1].Shape),
            PatchEmbedOp when i == 2 => graph.SumTo(dy, x[2].Shape),
            MeanOp op => Mean(graph, op, x[0].Shape, dy),
            MixOp op => i == 0 ? graph.Add(new MixGradientOp(), x[0], x[1], dy) : graph.Add(op with { Transposed = !op.Transposed }, x[0], dy),
            BroadcastToOp => SumTo(x[0].Shape),
            RelativeBiasOp op => graph.Add(new RelativeBiasGradientOp(op.Window), dy),
            RollOp op => graph.Roll(dy, -op.Shift),
            PadOp => graph.Slice(graph.Slice(dy, 1, 0, x[0].Shape[1].Size), 2, 0, x[0].Shape[2].Size),
            _ => throw new InvalidOperationException($"no gradient of {y.Op} with respect to input {Text.Invariant(i)}"),
        };
    }

    /// <summary>Σ aᵢ·W is (Σ aᵢ)·W: rows of a product that are all added up are added up before it.</summary>
    private static Value SumFirst(GraphBuilder graph, Value dy, Shape shape)
    {
        if (dy is not { Op: MatMulOp { TransposeA: false } product, Shape.Rank: > 2 } || dy.Inputs[1].Shape is not { Rank: 2, IsPerSample: false } || shape.IsPerSample || shape.Elements != dy.Shape.Last)
            return graph.SumTo(dy, shape);
        var sum = graph.SumTo(dy.Inputs[0], Shape.Of(1, dy.Inputs[0].Shape.Last));
        return graph.Reshape(graph.MatMul(sum, dy.Inputs[1], false, product.TransposeB), shape);
    }

    /// <summary>C = A·B: dA = dC·Bᵀ and dB = Aᵀ·dC, with A and B as they are stored.</summary>
    private static Value MatMul(GraphBuilder graph, MatMulOp op, IReadOnlyList<Value> x, Value dy, int i)
    {
        var (ta, tb) = (op.TransposeA, op.TransposeB);
        return (i, i == 0 ? ta : tb) switch
        {
            (0, false) => Product(graph, dy, x[1], false, !tb, x[0].Shape),
            (0, true) => Product(graph, x[1], dy, tb, true, x[0].Shape),
            (_, false) => Product(graph, x[0], dy, !ta, false, x[1].Shape),
            (_, true) => Product(graph, dy, x[0], true, ta, x[1].Shape),
        };
    }

    /// <summary>a·b in the shape of what it is the gradient of: summed over the images where that has no batch.</summary>
    private static Value Product(GraphBuilder graph, Value a, Value b, bool transposeA, bool transposeB, Shape target)
    {
        if (!target.IsPerSample && a.Shape.IsPerSample && b.Shape.IsPerSample)
            return graph.Reshape(graph.Add(new MatMulSumOp(transposeA, transposeB), a, b), target);
        var product = graph.MatMul(a, b, transposeA, transposeB);
        return graph.SumTo(product, target);
    }

    /// <summary>Rows as one matrix per image, or as one matrix where there is no batch.</summary>
    private static Value Matrices(GraphBuilder graph, Value x)
    {
        var rows = (int)(x.Shape.Elements / x.Shape.Last);
        if (!x.Shape.IsPerSample)
            return graph.Reshape(x, Shape.Of(rows, x.Shape.Last));
        return x.Shape.Rank == 3 ? x : graph.Reshape(x, Shape.Batched(1, rows, x.Shape.Last));
    }

    private static Value Mean(GraphBuilder graph, MeanOp op, Shape shape, Value dy)
    {
        var size = shape[op.Axis].Size;
        var spread = graph.BroadcastTo(graph.Reshape(dy, shape.With(op.Axis, 1)), shape.With(op.Axis, size - op.Start));
        var scaled = graph.Scale(spread, 1.0 / (size - op.Start));
        return op.Start == 0 ? scaled : graph.Embed(scaled, op.Axis, op.Start, size);
    }

    /// <summary>The gradient of an input out of one pass that gives them all.</summary>
    private static Value Part(GraphBuilder graph, Value gradients, int i, Shape shape) => i == 0 ? gradients : graph.Add(new PartOp(i, shape), gradients);
}
