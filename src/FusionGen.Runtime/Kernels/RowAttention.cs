namespace FusionGen.Kernels;

/// <summary>The sizes of an attention of rows.</summary>
/// <param name="Samples">b.</param>
/// <param name="Tokens">T: rows of each sample.</param>
/// <param name="Width">d.</param>
/// <param name="Heads">H: queries of each sample.</param>
/// <param name="Prefix">P: further rows.</param>
public readonly record struct RowAttentionShape(int Samples, int Tokens, int Width, int Heads, int Prefix = 0)
{
    /// <summary>Floats that <see cref="RowAttention.Backward"/> works in: a sample's logits.</summary>
    public int Scratch => this.Heads * this.Keys;

    /// <summary>Floats between the prefixes of neighbouring samples: 0 where a buffer of so many floats holds one for all.</summary>
    internal int PrefixStride(int length) => length == this.Prefix * this.Width ? 0 : this.Prefix * this.Width;

    internal int Keys => this.Tokens + this.Prefix;

    internal int Rows => this.Samples * this.Tokens * this.Width;

    internal int Output => this.Samples * this.Heads * this.Width;
}

/// <summary>
/// Attention of one query a head whose keys and values are the rows themselves, over their whole width: what attention is where keys and values
/// were absorbed into query and output. There are few queries, so the probabilities are kept.
/// </summary>
public static class RowAttention
{
    /// <summary>Every head's weighted sum of rows.</summary>
    /// <param name="shape">The sizes.</param>
    /// <param name="rows">(b, T, d).</param>
    /// <param name="queries">(b, H, d), scaled.</param>
    /// <param name="prefix">(P, d) for all samples, or (b, P, d); empty for none.</param>
    /// <param name="prefixLogit">Added to the logits of the prefix: a number, or (P); empty for nothing.</param>
    /// <param name="output">(b, H, d).</param>
    /// <param name="probabilities">(b, H, T + P), for the backward pass.</param>
    public static void Forward(
        RowAttentionShape shape, ReadOnlySpan<float> rows, ReadOnlySpan<float> queries, ReadOnlySpan<float> prefix, ReadOnlySpan<float> prefixLogit, Span<float> output, Span<float> probabilities)
    {
        Check.Length(rows, shape.Rows);
        Check.Length(queries, shape.Output);
        Check.OnceOrEach(prefix, shape.Prefix * shape.Width, shape.Samples);
        var stride = shape.PrefixStride(prefix.Length);
        if (prefixLogit.Length != 1)
            Check.LengthOrEmpty(prefixLogit, shape.Prefix);
        Check.Length(output, shape.Output);
        Check.Length(probabilities, shape.Samples * shape.Scratch);
        for (var sample = 0; sample < shape.Samples; sample++)
        {
            var p = probabilities.Slice(sample * shape.Scratch, shape.Scratch);
            var asking = queries[(sample * shape.Heads * shape.Width)..];
            var own = rows[(sample * shape.Tokens * shape.Width)..];
            var further = prefix[(sample * stride)..];
            var target = output[(sample * shape.Heads * shape.Width)..];
            if (AttentionInputs.Live(shape.Prefix, prefixLogit) == shape.Prefix)
                OfSample(shape, own, asking, further, prefixLogit, target, p);
            else
                OfLive(shape, own, asking, further, prefixLogit, target, p);
        }
    }

    private static void OfSample(RowAttentionShape shape, ReadOnlySpan<float> rows, ReadOnlySpan<float> queries, ReadOnlySpan<float> prefix, ReadOnlySpan<float> prefixLogit, Span<float> output, Span<float> p)
    {
        Products(shape, queries, rows, prefix, p);
        for (var head = 0; head < shape.Heads && !prefixLogit.IsEmpty && shape.Prefix > 0; head++)
            Elementwise.Accumulate(prefixLogit, p.Slice((head * shape.Keys) + shape.Tokens, shape.Prefix));
        Softmax.Rows(shape.Heads, p, p);
        Sums(shape, p, rows, prefix, output);
    }

    /// <summary>The same where rows of the prefix have no share: as if only those from the first that has one to the last were there. Their probabilities are then moved to their places, among zeros.</summary>
    private static void OfLive(RowAttentionShape shape, ReadOnlySpan<float> rows, ReadOnlySpan<float> queries, ReadOnlySpan<float> prefix, ReadOnlySpan<float> prefixLogit, Span<float> output, Span<float> p)
    {
        var (first, last) = (0, prefixLogit.Length == 1 ? 0 : shape.Prefix);
        while (first < last && float.IsNegativeInfinity(prefixLogit[first]))
            first++;
        while (last > first && float.IsNegativeInfinity(prefixLogit[last - 1]))
            last--;
        var live = shape with { Prefix = last - first };
        OfSample(live, rows, queries, prefix.Slice(first * shape.Width, live.Prefix * shape.Width), prefixLogit[first..last], output, p[..live.Scratch]);
        for (var head = shape.Heads - 1; head >= 0; head--)
        {
            var from = p.Slice(head * live.Keys, live.Keys);
            var to = p.Slice(head * shape.Keys, shape.Keys);
            from[shape.Tokens..].CopyTo(to[(shape.Tokens + first)..]);
            from[..shape.Tokens].CopyTo(to);
            to.Slice(shape.Tokens, first).Clear();
            to[(shape.Tokens + last)..].Clear();
        }
    }

    /// <summary>The gradients; what is empty is not computed.</summary>
    /// <param name="shape">The sizes.</param>
    /// <param name="rows">As in the forward pass.</param>
    /// <param name="queries">As in the forward pass.</param>
    /// <param name="prefix">As in the forward pass.</param>
    /// <param name="probabilities">From the forward pass.</param>
    /// <param name="dOutput">Gradient of the output.</param>
    /// <param name="dRows">(b, T, d), overwritten.</param>
    /// <param name="dQueries">(b, H, d), overwritten.</param>
    /// <param name="dPrefix">As the prefix, added to: (P, d) is the sum over the samples.</param>
    /// <param name="dPrefixLogit">As the prefix logits, added to.</param>
    /// <param name="scratch">At least <see cref="RowAttentionShape.Scratch"/> floats.</param>
    public static void Backward(
        RowAttentionShape shape,
        ReadOnlySpan<float> rows,
        ReadOnlySpan<float> queries,
        ReadOnlySpan<float> prefix,
        ReadOnlySpan<float> probabilities,
        ReadOnlySpan<float> dOutput,
        Span<float> dRows,
        Span<float> dQueries,
        Span<float> dPrefix,
        Span<float> dPrefixLogit,
        Span<float> scratch)
    {
        Check.Length(rows, shape.Rows);
        Check.Length(queries, shape.Output);
        Check.OnceOrEach(prefix, shape.Prefix * shape.Width, shape.Samples);
        var stride = shape.PrefixStride(prefix.Length);
        Check.Length(probabilities, shape.Samples * shape.Scratch);
        Check.Length(dOutput, shape.Output);
        Check.LengthOrEmpty(dRows, shape.Rows);
        Check.LengthOrEmpty(dQueries, shape.Output);
        Check.LengthOrEmpty(dPrefix, prefix.Length);
        if (dPrefixLogit.Length != 1)
            Check.LengthOrEmpty(dPrefixLogit, shape.Prefix);
        Check.Room(scratch, shape.Scratch);
        var (tokens, heads, width, keys) = (shape.Tokens, shape.Heads, shape.Width, shape.Keys);
        var d = scratch[..shape.Scratch];
        for (var sample = 0; sample < shape.Samples; sample++)
        {
            var own = rows.Slice(sample * tokens * width, tokens * width);
            var query = queries.Slice(sample * heads * width, heads * width);
            var dOut = dOutput.Slice(sample * heads * width, heads * width);
            var p = probabilities.Slice(sample * shape.Scratch, shape.Scratch);
            var further = prefix[(sample * stride)..];
            Products(shape, dOut, own, further, d);
            Softmax.RowsBackward(heads, p, d, d);
            if (!dQueries.IsEmpty)
                Sums(shape, d, own, further, dQueries[(sample * heads * width)..]);
            if (!dRows.IsEmpty)
            {
                // A row is a key and a value: Σ over heads of dlogit·query + p·dOut.
                var target = dRows.Slice(sample * tokens * width, tokens * width);
                Gemm.Multiply(tokens, width, heads, new(d, keys, transposed: true), new(query, width), target, width);
                Gemm.Multiply(tokens, width, heads, new(p, keys, transposed: true), new(dOut, width), target, width, beta: 1);
            }
            if (!dPrefix.IsEmpty)
            {
                var target = dPrefix[(sample * stride)..];
                Gemm.Multiply(shape.Prefix, width, heads, new(d[tokens..], keys, transposed: true), new(query, width), target, width, beta: 1);
                Gemm.Multiply(shape.Prefix, width, heads, new(p[tokens..], keys, transposed: true), new(dOut, width), target, width, beta: 1);
            }
            for (var head = 0; head < heads && !dPrefixLogit.IsEmpty; head++)
                Elementwise.SumInto(d.Slice((head * keys) + tokens, shape.Prefix), dPrefixLogit);
        }
    }

    /// <summary>(H, T + P): every query with every row.</summary>
    private static void Products(RowAttentionShape shape, ReadOnlySpan<float> queries, ReadOnlySpan<float> rows, ReadOnlySpan<float> prefix, Span<float> target)
    {
        Gemm.Multiply(shape.Heads, shape.Tokens, shape.Width, new(queries, shape.Width), new(rows, shape.Width, transposed: true), target, shape.Keys);
        if (shape.Prefix > 0)
            Gemm.Multiply(shape.Heads, shape.Prefix, shape.Width, new(queries, shape.Width), new(prefix, shape.Width, transposed: true), target[shape.Tokens..], shape.Keys);
    }

    /// <summary>(H, d): every head's sum of rows. The prefix's are added to the tokens', so rows of no weight change no bit.</summary>
    private static void Sums(RowAttentionShape shape, ReadOnlySpan<float> weights, ReadOnlySpan<float> rows, ReadOnlySpan<float> prefix, Span<float> target)
    {
        Gemm.Multiply(shape.Heads, shape.Width, shape.Tokens, new(weights, shape.Keys), new(rows, shape.Width), target, shape.Width);
        if (shape.Prefix > 0)
            Gemm.Multiply(shape.Heads, shape.Width, shape.Prefix, new(weights[shape.Tokens..], shape.Keys), new(prefix, shape.Width), target, shape.Width, beta: 1);
    }
}
