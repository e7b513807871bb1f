using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FusionGen.Kernels;

/// <summary>
/// Multi-head self-attention of packed projections, one head of one sample at a time, so that logits need not leave the cache. For the backward
/// pass either their exponentials are kept, or only the log-sum-exp of every row, from which it computes the probabilities again.
/// </summary>
public static class Attention
{
    /// <summary>The attention of the rows that ask.</summary>
    /// <param name="shape">The sizes.</param>
    /// <param name="inputs">Projections, prefix and bias.</param>
    /// <param name="output">(b, rows, d), heads side by side.</param>
    /// <param name="saved">For the backward pass, <see cref="AttentionShape.LogSumExp"/> floats or <see cref="AttentionShape.Exponentials"/>; empty if there is none.</param>
    /// <param name="scratch">At least <see cref="AttentionShape.ForwardScratch"/> floats.</param>
    public static void Forward(AttentionShape shape, AttentionInputs inputs, Span<float> output, Span<float> saved, Span<float> scratch) =>
        OfHeads(shape, inputs, output, saved, scratch, (0, shape.Samples * shape.Heads), (0, shape.Queries));

    /// <summary>The attention of some of the heads, samples one after the other, for some of the rows that ask.</summary>
    internal static void OfHeads(AttentionShape shape, AttentionInputs inputs, Span<float> output, Span<float> saved, Span<float> scratch, (int First, int Count) heads, (int First, int Count) rows)
    {
        inputs.Check(shape);
        Check.Length(output, shape.Output);
        shape.CheckSaved(saved);
        Check.Room(scratch, shape.ForwardScratch);
        var all = shape;
        shape = shape with { Prefix = inputs.Live(all.Prefix) };
        FillPrefixLogits(shape, inputs, scratch);
        for (var at = heads.First; at < heads.First + heads.Count; at++)
        {
            var head = new Head(shape, inputs, at / shape.Heads, at % shape.Heads, 0, all.Prefix, scratch);
            var first = head.FirstRow + rows.First;
            var kept = all.ExponentialsOf(saved, first, rows.Count);
            var logits = kept.IsEmpty || shape.Prefix < all.Prefix ? scratch[..(rows.Count * shape.Keys)] : kept;
            var factors = scratch.Slice(shape.Logits, rows.Count);
            head.Logits(logits, rows);
            Simd.Run(new ExponentialLoop
            {
                Columns = shape.Keys,
                Logits = logits,
                Factors = factors,
                LogSumExp = saved.IsEmpty || !kept.IsEmpty ? default : saved.Slice(first, rows.Count),
            });
            if (!kept.IsEmpty)
                factors.CopyTo(saved[first..]);
            if (!kept.IsEmpty && shape.Prefix < all.Prefix)
                SpreadLive(shape, all, inputs.PrefixLogit, logits, kept);
            var target = output[(head.OutputOffset + (rows.First * shape.Width))..];
            Gemm.Unchecked(rows.Count, shape.Head, shape.Keys, new(logits, shape.Keys), head.Values, target, shape.Width, 1, 0);
            Simd.Run(new ScaleLoop { Columns = shape.Head, Stride = shape.Width, Factors = factors, Target = target });
        }
    }

    /// <summary>Moves the exponentials of keys that have a share to their places among all, with zeros for the others.</summary>
    private static void SpreadLive(AttentionShape live, AttentionShape all, ReadOnlySpan<float> prefixLogit, ReadOnlySpan<float> from, Span<float> to)
    {
        for (; !to.IsEmpty; from = from[live.Keys..], to = to[all.Keys..])
        {
            from[..live.Tokens].CopyTo(to);
            var next = live.Tokens;
            for (var row = 0; row < all.Prefix; row++)
                to[all.Tokens + row] = live.Prefix == 0 || float.IsNegativeInfinity(prefixLogit[row]) ? 0 : from[next++];
        }
    }

    /// <summary>
    /// The gradients. Where only the prefix's are wanted and the output is given, just the prefix's columns of the logits are computed.
    /// </summary>
    /// <param name="shape">The sizes.</param>
    /// <param name="inputs">As in the forward pass.</param>
    /// <param name="saved">From the forward pass.</param>
    /// <param name="output">From the forward pass, if it was kept; empty otherwise.</param>
    /// <param name="dOutput">Gradient of the output.</param>
    /// <param name="gradients">Where the gradients go.</param>
    /// <param name="scratch">At least <see cref="AttentionShape.BackwardScratch"/> floats.</param>
    public static void Backward(
        AttentionShape shape,
        AttentionInputs inputs,
        ReadOnlySpan<float> saved,
        ReadOnlySpan<float> output,
        ReadOnlySpan<float> dOutput,
        AttentionGradients gradients,
        Span<float> scratch)
    {
        inputs.Check(shape);
        gradients.Check(inputs);
        shape.CheckSaved(saved, isNeeded: true);
        Check.LengthOrEmpty(output, shape.Output);
        Check.Length(dOutput, shape.Output);
        Check.Room(scratch, shape.BackwardScratch);
        FillPrefixLogits(shape, inputs, scratch);
        // The first column of the logits that matters.
        var from = gradients.Qkv.IsEmpty && gradients.Bias.IsEmpty && !output.IsEmpty ? shape.Tokens : 0;
        for (var sample = 0; sample < shape.Samples; sample++)
        {
            for (var index = 0; index < shape.Heads; index++)
                BackwardOfHead(shape, new(shape, inputs, sample, index, from, shape.Prefix, scratch), saved, output, dOutput, gradients, scratch, from);
        }
    }

    /// <summary>What is added to the logits of every key, tokens first.</summary>
    private static void FillPrefixLogits(AttentionShape shape, AttentionInputs inputs, Span<float> scratch)
    {
        var logits = scratch.Slice(shape.Logits + shape.Queries, shape.Keys);
        logits[..shape.Tokens].Clear();
        if (shape.Prefix == 0 || inputs.PrefixLogit.IsEmpty)
            return;
        if (inputs.PrefixLogit.Length <= 1 || inputs.PrefixLogit.Length == shape.Prefix)
        {
            Elementwise.Copy(inputs.PrefixLogit, logits[shape.Tokens..]);
            return;
        }
        var next = shape.Tokens;
        foreach (var logit in inputs.PrefixLogit)
        {
            if (!float.IsNegativeInfinity(logit))
                logits[next++] = logit;
        }
    }

    private static void BackwardOfHead(
        AttentionShape shape,
        Head head,
        ReadOnlySpan<float> saved,
        ReadOnlySpan<float> output,
        ReadOnlySpan<float> dOutput,
        AttentionGradients gradients,
        Span<float> scratch,
        int from)
    {
        var (rows, tokens, prefix, keys, width, depth) = (shape.Queries, shape.Tokens, shape.Prefix, shape.Keys, shape.Width, shape.Head);
        var probabilities = scratch[..shape.Logits];
        var d = scratch.Slice(shape.ForwardScratch, shape.Logits);
        var dOut = new MatrixView(dOutput[head.OutputOffset..], width);

        // P = exp(logits − log-sum-exp); dP = dO·Vᵀ; dS = P⊙(dP − δ), where a row's δ = Σ P⊙dP = dO·O.
        var kept = shape.ExponentialsOf(saved, head.FirstRow, rows);
        if (kept.IsEmpty)
            head.Logits(probabilities, (0, rows));
        Gemm.Unchecked(rows, keys - from, depth, dOut, head.Values.Transpose(), d[from..], keys, 1, 0);
        Simd.Run(new LogitGradientLoop
        {
            From = from,
            Columns = keys,
            Probabilities = probabilities,
            Exponentials = kept,
            Normalisers = saved.Slice(head.FirstRow, rows),
            Output = output.IsEmpty ? default : output[head.OutputOffset..],
            DOutput = dOut.Values,
            Stride = width,
            Depth = depth,
            Deltas = scratch.Slice(shape.Logits, rows),
            D = d,
        });

        if (!gradients.Bias.IsEmpty)
        {
            for (var row = 0; row < rows; row++)
                Elementwise.Accumulate(d.Slice(row * keys, tokens), gradients.Bias.Slice(head.BiasOffset + (row * tokens), tokens));
        }
        if (!gradients.Qkv.IsEmpty)
        {
            var dQueries = gradients.Qkv[head.QkvOffset..];
            Gemm.Unchecked(rows, depth, keys, new(d, keys), head.Keys, dQueries, 3 * width, head.Scale, 0);
            // Rows that do not ask have no gradient of their query.
            for (var row = rows; row < tokens; row++)
                dQueries.Slice(row * 3 * width, depth).Clear();
            Gemm.Unchecked(tokens, depth, rows, new(d, keys, transposed: true), head.Queries, dQueries[width..], 3 * width, head.Scale, 0);
            Gemm.Unchecked(tokens, depth, rows, new(probabilities, keys, transposed: true), dOut, dQueries[(2 * width)..], 3 * width, 1, 0);
        }
        if (prefix > 0 && !gradients.Prefix.IsEmpty)
        {
            var dKeys = gradients.Prefix[head.PrefixOffset..];
            Gemm.Unchecked(prefix, depth, rows, new(d[tokens..], keys, transposed: true), head.Queries, dKeys, 2 * width, head.Scale, 1);
            Gemm.Unchecked(prefix, depth, rows, new(probabilities[tokens..], keys, transposed: true), dOut, dKeys[width..], 2 * width, 1, 1);
        }
        if (prefix > 0 && !gradients.PrefixLogit.IsEmpty)
        {
            for (var row = 0; row < rows; row++)
                Elementwise.SumInto(d.Slice((row * keys) + tokens, prefix), gradients.PrefixLogit);
        }
    }

    /// <summary>The matrices of one head of one sample.</summary>
    private readonly ref struct Head
    {
        private readonly AttentionShape shape;
        private readonly AttentionInputs inputs;
        private readonly int from;
        private readonly int all;
        private readonly ReadOnlySpan<float> prefixLogits;

        /// <summary>From a key on, 0 or T. The scratch's room for all keys and values is filled if there is a prefix and both count. Of <paramref name="all"/> rows of the inputs' prefix the shape counts those that take part.</summary>
        public Head(AttentionShape shape, AttentionInputs inputs, int sample, int head, int from, int all, Span<float> scratch)
        {
            this.all = all;
            this.shape = shape;
            this.inputs = inputs;
            this.from = from;
            this.prefixLogits = shape.Prefix == 0 || inputs.PrefixLogit.IsEmpty ? default : scratch.Slice(shape.Logits + shape.Queries, shape.Keys);
            this.Scale = 1 / MathF.Sqrt(shape.Head);
            this.QkvOffset = (sample * shape.Tokens * 3 * shape.Width) + (head * shape.Head);
            this.PrefixOffset = (sample * (shape with { Prefix = all }).PrefixStride(inputs.Prefix.Length)) + (head * shape.Head);
            this.OutputOffset = (sample * shape.Queries * shape.Width) + (head * shape.Head);
            this.FirstRow = ((sample * shape.Heads) + head) * shape.Queries;
            var area = shape.Tokens * shape.Tokens;
            var entries = inputs.Bias.Length / (shape.Heads * area);
            this.BiasOffset = entries == 0 ? 0 : (((inputs.First + sample) % entries * shape.Heads) + head) * area;
            var room = scratch.Slice(shape.Logits + shape.Queries + shape.Keys, shape.Joined);
            this.Keys = this.OfKeys(1, room[..(shape.Joined / 2)]);
            this.Values = this.OfKeys(2, room[(shape.Joined / 2)..]);
        }

        public float Scale { get; }

        public int QkvOffset { get; }

        public int PrefixOffset { get; }

        public int OutputOffset { get; }

        public int BiasOffset { get; }

        public int FirstRow { get; }

        public MatrixView Queries => this.OfTokens(0);

        /// <summary>Of tokens, then of the prefix.</summary>
        public MatrixView Keys { get; }

        /// <summary>Of tokens, then of the prefix.</summary>
        public MatrixView Values { get; }

        /// <summary>(rows, T + P): the logits of some of the rows that ask.</summary>
        public void Logits(Span<float> target, (int First, int Count) rows)
        {
            var (tokens, prefix, keys, depth) = (this.shape.Tokens, this.shape.Prefix, this.shape.Keys, this.shape.Head);
            var bias = this.inputs.Bias;
            // What is added to a row of the logits is what the product is added to.
            for (var row = 0; row < rows.Count && !bias.IsEmpty; row++)
            {
                bias.Slice(this.BiasOffset + ((rows.First + row) * tokens), tokens).CopyTo(target[(row * keys)..]);
                target.Slice((row * keys) + tokens, prefix).Clear();
            }
            var queries = this.Queries;
            Gemm.Unchecked(
                rows.Count, keys - this.from, depth, new(queries.Values[(rows.First * queries.Stride)..], queries.Stride), this.Keys.Transpose(), target[this.from..], keys, this.Scale, bias.IsEmpty ? 0 : 1, this.prefixLogits.IsEmpty ? default : this.prefixLogits[this.from..]);
        }

        private MatrixView OfTokens(int part) => new(this.inputs.Qkv[(this.QkvOffset + (part * this.shape.Width))..], 3 * this.shape.Width);

        /// <summary>Keys (1) or values (2).</summary>
        private MatrixView OfKeys(int part, Span<float> room)
        {
            var tokens = this.OfTokens(part);
            if (this.shape.Prefix == 0)
                return tokens;
            var prefix = new MatrixView(this.inputs.Prefix[(this.PrefixOffset + ((part - 1) * this.shape.Width))..], 2 * this.shape.Width);
            if (this.from > 0)
                return prefix;
            var depth = this.shape.Head;
            Simd.Run(new CopyLoop { Columns = depth, Source = tokens, Target = room[..(this.shape.Tokens * depth)] });
            var target = room[(this.shape.Tokens * depth)..];
            if (this.all == this.shape.Prefix)
            {
                Simd.Run(new CopyLoop { Columns = depth, Source = prefix, Target = target });
                return new(room, depth);
            }
            for (var row = 0; row < this.all; row++)
            {
                if (float.IsNegativeInfinity(this.inputs.PrefixLogit[row]))
                    continue;
                prefix.Values.Slice(row * prefix.Stride, depth).CopyTo(target);
                target = target[depth..];
            }
            return new(room, depth);
        }
    }

    /// <summary>Logits become their exponentials, less the row's largest; the factor that makes them probabilities is left to the output, which is narrower.</summary>
    private ref struct ExponentialLoop : ILoop
    {
        public int Columns;
        public Span<float> Logits;
        public Span<float> Factors;
        public Span<float> LogSumExp;

        public readonly void Run<V>()
            where V : struct, ILane<V>
        {
            // All rows' largest first: a row's sum would otherwise wait for its largest, and the next row for both.
            ref var logits = ref MemoryMarshal.GetReference(this.Logits);
            for (var row = 0; row < this.Factors.Length; row++)
                this.Factors[row] = Softmax.Largest<V>(ref Unsafe.Add(ref logits, (nint)row * this.Columns), this.Columns);
            for (var row = 0; row < this.Factors.Length; row++)
            {
                ref var place = ref Unsafe.Add(ref logits, (nint)row * this.Columns);
                var largest = this.Factors[row];
                var sum = Softmax.Exponentials<V>(ref place, ref place, this.Columns, largest);
                this.Factors[row] = 1 / sum;
                if (!this.LogSumExp.IsEmpty)
                    this.LogSumExp[row] = largest + MathF.Log(sum);
            }
        }
    }

    /// <summary>Rows, one after the other.</summary>
    private ref struct CopyLoop : ILoop
    {
        public int Columns;
        public MatrixView Source;
        public Span<float> Target;

        public readonly void Run<V>()
            where V : struct, ILane<V>
        {
            ref var source = ref MemoryMarshal.GetReference(this.Source.Values);
            ref var target = ref MemoryMarshal.GetReference(this.Target);
            for (nint row = 0; row < this.Target.Length / this.Columns; row++)
            {
                for (nint i = 0; i < this.Columns; i += V.Count)
                    Simd.Store(Simd.Load<V>(ref Unsafe.Add(ref source, (row * this.Source.Stride) + i), this.Columns - i), ref Unsafe.Add(ref target, (row * this.Columns) + i), this.Columns - i);
            }
        }
    }

    /// <summary>Every row times a number.</summary>
    private ref struct ScaleLoop : ILoop
    {
        public int Columns;
        public int Stride;
        public ReadOnlySpan<float> Factors;
        public Span<float> Target;

        public readonly void Run<V>()
            where V : struct, ILane<V>
        {
            for (var row = 0; row < this.Factors.Length; row++)
                Softmax.ScaleRow<V>(ref Unsafe.Add(ref MemoryMarshal.GetReference(this.Target), (nint)row * this.Stride), this.Columns, this.Factors[row]);
        }
    }

    /// <summary>Logits, or their exponentials, become probabilities, and the gradient of probabilities that of logits.</summary>
    private ref struct LogitGradientLoop : ILoop
    {
        public int From;
        public int Columns;
        public int Stride;
        public int Depth;
        public Span<float> Probabilities;
        public Span<float> D;
        public Span<float> Deltas;
        public ReadOnlySpan<float> Exponentials;

        /// <summary>Of exponentials the factors, of logits the log-sum-exp.</summary>
        public ReadOnlySpan<float> Normalisers;
        public ReadOnlySpan<float> Output;
        public ReadOnlySpan<float> DOutput;

        public readonly void Run<V>()
            where V : struct, ILane<V>
        {
            // All rows' δ first: a row's gradient would otherwise wait for its own.
            nint count = this.Columns - this.From;
            ref var p = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.Probabilities), this.From);
            ref var d = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.D), this.From);
            for (var row = 0; row < this.Deltas.Length; row++)
            {
                var start = (nint)row * this.Columns;
                ref var place = ref Unsafe.Add(ref p, start);
                ref var dPlace = ref Unsafe.Add(ref d, start);
                var sum = this.Exponentials.IsEmpty
                    ? OfLogits<V>(ref place, ref dPlace, count, this.Normalisers[row])
                    : OfExponentials<V>(ref Unsafe.Add(ref MemoryMarshal.GetReference(this.Exponentials), start + this.From), ref place, ref dPlace, count, this.Normalisers[row]);
                this.Deltas[row] = this.From == 0 ? sum : this.OutputProduct<V>(row);
            }
            for (var row = 0; row < this.Deltas.Length; row++)
            {
                var start = (nint)row * this.Columns;
                Centre<V>(ref Unsafe.Add(ref p, start), ref Unsafe.Add(ref d, start), count, this.Deltas[row]);
            }
        }

        /// <summary>p = exp(p − shift), of a row; returns Σ p·d.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static float OfLogits<V>(ref float p, ref float d, nint count, float shift)
            where V : struct, ILane<V>
        {
            var sum = V.Of(0);
            nint i = 0;
            for (; i <= count - V.Count; i += V.Count)
                sum = Add(VectorMath.ExpUpToZero(V.Load(ref Unsafe.Add(ref p, i)) - V.Of(shift)), ref Unsafe.Add(ref p, i), ref Unsafe.Add(ref d, i), V.Count, sum);
            if (i < count)
                sum = Add(VectorMath.ExpUpToZero(Simd.Load<V>(ref Unsafe.Add(ref p, i), count - i) - V.Of(shift)), ref Unsafe.Add(ref p, i), ref Unsafe.Add(ref d, i), count - i, sum);
            return sum.Sum();
        }

        /// <summary>p = x·factor, of a row; returns Σ p·d.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static float OfExponentials<V>(ref float x, ref float p, ref float d, nint count, float factor)
            where V : struct, ILane<V>
        {
            var sum = V.Of(0);
            nint i = 0;
            for (; i <= count - V.Count; i += V.Count)
                sum = Add(V.Load(ref Unsafe.Add(ref x, i)) * V.Of(factor), ref Unsafe.Add(ref p, i), ref Unsafe.Add(ref d, i), V.Count, sum);
            if (i < count)
                sum = Add(Simd.Load<V>(ref Unsafe.Add(ref x, i), count - i) * V.Of(factor), ref Unsafe.Add(ref p, i), ref Unsafe.Add(ref d, i), count - i, sum);
            return sum.Sum();
        }

        /// <summary>Writes probabilities; returns sum + p·d.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static V Add<V>(V value, ref float p, ref float d, nint left, V sum)
            where V : struct, ILane<V>
        {
            Simd.Store(value, ref p, left);
            return V.MultiplyAdd(value, Simd.Load<V>(ref d, left), sum);
        }

        /// <summary>d = p·(d − δ), of a row.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Centre<V>(ref float p, ref float d, nint count, float delta)
            where V : struct, ILane<V>
        {
            nint i = 0;
            for (; i <= count - V.Count; i += V.Count)
                (V.Load(ref Unsafe.Add(ref p, i)) * (V.Load(ref Unsafe.Add(ref d, i)) - V.Of(delta))).Store(ref Unsafe.Add(ref d, i));
            if (i < count)
                Simd.Store(Simd.Load<V>(ref Unsafe.Add(ref p, i), count - i) * (Simd.Load<V>(ref Unsafe.Add(ref d, i), count - i) - V.Of(delta)), ref Unsafe.Add(ref d, i), count - i);
        }

        private readonly float OutputProduct<V>(int row)
            where V : struct, ILane<V>
        {
            var start = (nint)row * this.Stride;
            ref var output = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.Output), start);
            ref var dOutput = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.DOutput), start);
            return Loops.RowSum(default(Elementwise.Product), ref dOutput, ref output, V.Of(0), this.Depth);
        }
    }
}
