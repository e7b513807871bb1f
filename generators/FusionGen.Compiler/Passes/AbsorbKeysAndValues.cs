using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>
/// Where one row asks, keys and values need not exist (METHOD §6.1, S4): with q = W_q u₀ + b_q a head's logits are (W_kᵀq)·u_j and its result is
/// W_v Σ_j a_j u_j + b_v, so the tokens themselves are keys and values. The same number q·b_k in every logit is none; Σ a = 1 leaves b_v whole.
/// Prefix rows, which pass the same projections, are further tokens.
/// </summary>
/// <param name="evenIfTuned">Whether to do so where the projections are tuned: only predictions, for nothing here gives those a gradient.</param>
public sealed class AbsorbKeysAndValues(bool evenIfTuned) : Pass
{
    /// <inheritdoc/>
    public override string Name => "S4 absorb keys and values";

    /// <inheritdoc/>
    public override string Doc => "where one row asks, the tokens themselves are its keys and values";

    /// <inheritdoc/>
    public override string Needs => "an attention in which one row asks: pooling by the class token";

    /// <inheritdoc/>
    internal override Value? Rewrite(Rewriter rewriter, Value value) => value.Op is AttentionOp { Rows: 1, Bias: false } op ? this.Absorb(rewriter, value, op) : null;

    private Value? Absorb(Rewriter rewriter, Value value, AttentionOp op)
    {
        if (value.Inputs[0] is not { Op: LinearOp { Bias: true } } qkv)
            return rewriter.Refuse(this, "operators act on the projections");
        var (graph, tokens, weight, bias) = (rewriter.Graph, qkv.Inputs[0], qkv.Inputs[1], qkv.Inputs[2]);
        if (weight.IsTracked && !evenIfTuned)
            return rewriter.Refuse(this, "the projections are tuned");
        var width = tokens.Shape.Last;
        var prefixes = JoinPrefixes.Prefixes(op, value.Inputs);
        if (prefixes.Any(prefix => !IsProjected(prefix.Rows, weight, width)))
            return rewriter.Refuse(this, "its prefix does not pass the tokens' projections");

        Value Part(Value of, int part) => graph.Slice(of, 0, part * width, width);
        var query = graph.Linear(graph.Slice(tokens, 1, 0, 1), Part(weight, 0), Part(bias, 0)).Named("query");
        var scaled = graph.Scale(query, 1 / Math.Sqrt(width / op.Heads));
        var asking = graph.Add(new HeadProductOp(op.Heads, false), scaled, Part(weight, 1)).Named("asking");
        var inputs = new List<Value> { tokens, asking };
        var weighed = false;
        if (prefixes.Count > 0)
        {
            var (rows, logWeight) = JoinPrefixes.Join(graph, [.. prefixes.Select(prefix => prefix.Rows.Inputs[0])], [.. prefixes.Select(prefix => prefix.LogWeight)]);
            inputs.Add(rows);
            if (logWeight is not null)
                inputs.Add(logWeight);
            weighed = logWeight is not null;
        }
        var mixed = graph.Add(new RowAttentionOp(prefixes.Count > 0, weighed), [.. inputs]).Named("mixed");
        var absorbed = graph.Sum(graph.Add(new HeadProductOp(op.Heads, true), mixed, Part(weight, 2)), Part(bias, 2));
        var (before, after) = (qkv.Macs + value.Macs, query.Macs + asking.Macs + mixed.Macs + weight.Shape.Elements / 3);
        return after < before ? absorbed : rewriter.Refuse(this, "so few tokens that keys and values cost less");
    }

    private static bool IsProjected(Value prefix, Value weight, int width) =>
        prefix is { Op: LinearOp { Bias: true } } && prefix.Inputs[1] is { Op: SliceOp { Axis: 0 } slice } part && slice.Start == width && part.Inputs[0] == weight;
}
