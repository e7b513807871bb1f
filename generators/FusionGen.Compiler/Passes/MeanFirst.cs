using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>
/// A mean over rows goes before the linear layers and sums it is taken of (METHOD §6.3): mean(W h_i + b) = W mean(h_i) + b, so the last layer of a
/// mean-pooled network runs on one row an image.
/// </summary>
public sealed class MeanFirst : Pass
{
    /// <inheritdoc/>
    public override string Name => "mean first";

    /// <inheritdoc/>
    public override string Doc => "a mean over rows is taken before the last linear layer, not after";

    /// <inheritdoc/>
    public override string Needs => "pooling by the mean";

    /// <inheritdoc/>
    internal override Value? Rewrite(Rewriter rewriter, Value value)
    {
        if (value is not { Op: MeanOp { Axis: 1, Start: 0 }, Shape.Rank: 2 })
            return null;
        var pooled = value.Inputs[0];
        var start = 0;
        if (pooled.Op is SliceOp { Axis: 1 } slice && slice.Start + slice.Length == pooled.Inputs[0].Shape[1].Size)
            (pooled, start) = (pooled.Inputs[0], slice.Start);
        return HasLinear(rewriter, pooled) ? Mean(rewriter, pooled, start) : rewriter.Refuse(this, $"what is pooled is no linear layer's: {Names(pooled)}");
    }

    private static Value Mean(Rewriter rewriter, Value of, int start)
    {
        var graph = rewriter.Graph;
        return !HasLinear(rewriter, of) ? graph.Mean(of, 1, start)
            : of.Op is AddOp ? graph.Sum(Mean(rewriter, of.Inputs[0], start), Mean(rewriter, of.Inputs[1], start))
            : of.Inputs.Count == 2 ? graph.Linear(Mean(rewriter, of.Inputs[0], start), of.Inputs[1])
            : graph.Linear(Mean(rewriter, of.Inputs[0], start), of.Inputs[1], of.Inputs[2]);
    }

    /// <summary>Whether linear layers lie so close that moving the mean before them leaves their work undone.</summary>
    private static bool HasLinear(Rewriter rewriter, Value of) => rewriter.IsReadOnce(of) && of.Op switch
    {
        LinearOp => true,
        AddOp => of.Inputs.All(input => input.Shape == of.Shape) && of.Inputs.Any(input => HasLinear(rewriter, input)),
        _ => false,
    };

    private static string Names(Value value) => value.Op is ReshapeOp ? Names(value.Inputs[0]) : value.Op is LayerNormOp ? "a norm lies between" : "others read it too";
}
