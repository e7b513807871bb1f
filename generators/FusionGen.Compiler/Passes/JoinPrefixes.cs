using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>Several prefixes of an attention become one, each row with the logarithm of its own weight: one product instead of one each.</summary>
public sealed class JoinPrefixes : Pass
{
    /// <inheritdoc/>
    public override string Name => "join prefixes";

    /// <inheritdoc/>
    public override string Doc => "all prefixes of an attention are one, with a weight a row";

    /// <inheritdoc/>
    public override string Needs => "several prefix candidates in a layer";

    /// <inheritdoc/>
    internal override Value? Rewrite(Rewriter rewriter, Value value)
    {
        if (value.Op is not AttentionOp { Prefixes.Count: > 1 } op)
            return null;
        var prefixes = Prefixes(op, value.Inputs);
        var joined = Join(rewriter.Graph, [.. prefixes.Select(prefix => prefix.Rows)], [.. prefixes.Select(prefix => prefix.LogWeight)]);
        return rewriter.Graph.Attention(value.Inputs[0], op.Heads, [joined], op.Bias ? value.Inputs[value.Inputs.Count - 1] : null, op.Rows);
    }

    /// <summary>The prefixes among an attention's inputs.</summary>
    internal static IReadOnlyList<(Value Rows, Value? LogWeight)> Prefixes(AttentionOp op, IReadOnlyList<Value> inputs)
    {
        var next = 1;
        return [.. op.Prefixes.Select(weighed => (inputs[next++], weighed ? inputs[next++] : null))];
    }

    /// <summary>Rows below each other, for each image where they differ from image to image, and a weight for each row.</summary>
    internal static (Value Rows, Value? LogWeight) Join(GraphBuilder graph, IReadOnlyList<Value> rows, IReadOnlyList<Value?> logWeights)
    {
        if (rows.Count == 1)
            return (rows[0], logWeights[0]);
        var weights = rows.Zip(logWeights, (of, weight) => (of, weight)).Select(pair => graph.BroadcastTo(pair.weight!, Shape.Of(pair.of.Shape[-2].Size)));
        var own = rows.FirstOrDefault(prefix => prefix.Shape.IsPerSample);
        var all = own is null ? rows : rows.Select(prefix => graph.BroadcastTo(prefix, own.Shape.With(1, prefix.Shape[-2].Size)));
        return (graph.Concat(own is null ? 0 : 1, [.. all]), logWeights[0] is null ? null : graph.Concat(0, [.. weights]));
    }
}
