using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>
/// What an operator does to a linear layer's result becomes the layer's own (METHOD §6.3): g ⊙ (W x + b) + t = (g ⊙ W) x + (g ⊙ b + t), and
/// W x + U A x = (W + U A) x, so that SSF, LoRA and a direct shift cost nothing for an image. For predictions only: the weights so made are computed again
/// whenever a parameter changes.
/// </summary>
public sealed class MergeIntoWeights : Pass
{
    /// <inheritdoc/>
    public override string Name => "merge into weights";

    /// <inheritdoc/>
    public override string Doc => "gains, shifts and products of low rank beside a linear layer become its own weight and bias";

    /// <inheritdoc/>
    public override string Needs => "an ssf or lora operator";

    /// <inheritdoc/>
    internal override Value? Rewrite(Rewriter rewriter, Value value)
    {
        if (value.Op is not (MulAddOp or MulOp or AddOp) || value.Inputs[0] is not { Op: LinearOp or PatchEmbedOp } layer || layer.Inputs.Skip(1).Any(input => input.Shape.IsPerSample))
            return null;
        var gain = value.Op is AddOp ? null : value.Inputs[1];
        var summands = value.Inputs.Skip(gain is null ? 1 : 2).ToList();
        var merged = summands.Where(summand => IsVector(summand) || IsLowRank(summand, layer)).ToList();
        if (gain is null ? merged.Count == 0 : !IsVector(gain) || merged.Count < summands.Count)
            return null;
        if (!rewriter.IsReadOnce(layer))
            return rewriter.Refuse(this, "other candidates of the layer read its result too");

        var graph = rewriter.Graph;
        var (weight, bias) = (layer.Inputs[1], layer.Inputs.Count > 2 ? layer.Inputs[2] : null);
        if (gain is not null)
        {
            weight = graph.Mul(weight, gain.Shape.Rank == 0 ? gain : graph.BroadcastTo(graph.Reshape(gain, Column(weight.Shape)), weight.Shape));
            bias = bias is null ? null : graph.Mul(bias, gain);
        }
        foreach (var summand in merged)
        {
            if (IsVector(summand))
                bias = bias is null ? graph.BroadcastTo(summand, Shape.Of(value.Shape.Last)) : graph.Sum(bias, summand);
            else
                weight = graph.Sum(weight, graph.MatMul(summand.Inputs[1], summand.Inputs[0].Inputs[1]));
        }
        var whole = layer.Op is PatchEmbedOp patches ? graph.PatchEmbed(layer.Inputs[0], weight, bias!, patches.Patch) : graph.Linear(layer.Inputs[0], weight, bias);
        return merged.Count == summands.Count ? whole : graph.Sum([whole, .. summands.Except(merged)]);
    }

    private static bool IsVector(Value value) => value.Shape is { IsPerSample: false, Rank: <= 1 };

    /// <summary>U (A x) with the layer's own x.</summary>
    private static bool IsLowRank(Value value, Value layer) => layer.Op is LinearOp
        && value is { Op: LinearOp { Bias: false } } && value.Inputs[0] is { Op: LinearOp { Bias: false } } low && low.Inputs[0] == layer.Inputs[0]
        && !value.Inputs[1].Shape.IsPerSample && !low.Inputs[1].Shape.IsPerSample;

    private static Shape Column(Shape weight) => Shape.Of([weight[0].Size, .. Enumerable.Repeat(1, weight.Rank - 1)]);
}
