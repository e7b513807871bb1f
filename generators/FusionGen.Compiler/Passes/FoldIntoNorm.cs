using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>
/// A gain and a shift right after a layer norm become its own (METHOD §6.2): g ⊙ LN(x; γ, β) + t = LN(x; g ⊙ γ, g ⊙ β + t), so that <c>add</c> and <c>affine</c>
/// cost nothing for an image. What of the shift differs from row to row stays a summand.
/// </summary>
/// <param name="evenIfRead">Whether to do so where others read the norm's result too: a second norm then takes the place of the affine pass.</param>
public sealed class FoldIntoNorm(bool evenIfRead) : Pass
{
    /// <inheritdoc/>
    public override string Name => "fold affine into norm";

    /// <inheritdoc/>
    public override string Doc => "a gain and a shift after a layer norm become the norm's own";

    /// <inheritdoc/>
    public override string Needs => "an add or affine operator";

    /// <inheritdoc/>
    internal override Value? Rewrite(Rewriter rewriter, Value value) =>
        value.Op is MulAddOp or MulOp or AddOp && value.Shape.IsPerSample && Source(value.Inputs[0]) is { Op: LayerNormOp { Affine: true } op } norm ? this.Fold(rewriter, value, norm, op) : null;

    private Value? Fold(Rewriter rewriter, Value value, Value norm, LayerNormOp op)
    {
        var graph = rewriter.Graph;
        var (gain, shift) = value.Op switch
        {
            MulAddOp => (value.Inputs[1], value.Inputs[2]),
            MulOp => (value.Inputs[1], null),
            AddOp => ((Value?)null, value.Inputs[1]),
            _ => (null, null),
        };
        var shifts = Summands(shift).ToArray();
        if (gain is { Shape.Rank: > 1 } || shift is { Shape.IsPerSample: true } || (gain is null && shifts.All(summand => summand.Shape.Rank > 1)))
            return null;
        if (!evenIfRead && !Moves(value.Inputs[0]).Append(norm).All(rewriter.IsReadOnce))
            return rewriter.Refuse(this, "other candidates of the layer read the normalised tokens too");
        Value? bias = norm.Inputs[2], rest = null;
        if (gain is not null)
            bias = graph.Mul(bias, gain);
        foreach (var summand in shifts)
        {
            if (summand.Shape.Rank > 1)
                rest = rest is null ? summand : graph.Sum(rest, summand);
            else
                bias = graph.Sum(bias, summand);
        }
        var folded = Moves(value.Inputs[0]).Reverse().Aggregate(graph.LayerNorm(norm.Inputs[0], op.Epsilon, gain is null ? norm.Inputs[1] : graph.Mul(norm.Inputs[1], gain), bias), (moved, move) => graph.Add(move.Op, moved));
        return rest is null ? folded : graph.Sum(folded, rest);
    }

    /// <summary>What only puts rows elsewhere, as Swin's windows do, last move first: gain and shift are the same for all rows, so they may come before.</summary>
    private static IEnumerable<Value> Moves(Value value)
    {
        for (; IsMove(value); value = value.Inputs[0])
            yield return value;
    }

    private static Value Source(Value value) => Moves(value).LastOrDefault()?.Inputs[0] ?? value;

    private static bool IsMove(Value value) => value.Op switch
    {
        RollOp => true,
        ReshapeOp => value.Shape.Last == value.Inputs[0].Shape.Last,
        PermuteOp permute => permute.Order[permute.Order.Count - 1] == permute.Order.Count - 1,
        _ => false,
    };

    private static IEnumerable<Value> Summands(Value? shift) => shift switch
    {
        null => [],
        { Op: AddOp, Shape.Rank: > 1 } => shift.Inputs.SelectMany(Summands),
        _ => [shift],
    };
}
