using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FusionGen.Kernels;

/// <summary>
/// Multi-head self-attention of packed projections, one head of one sample at a time, so that logits never leave the cache: of them only
/// the log-sum-exp of every row is kept, from which the backward pass recomputes the probabilities.
/// </summary>
public static class Attention
{
    /// <summary>The attention of the rows that ask.</summary>
    /// <param name="shape">The sizes.</param>
    /// <param name="inputs">Projections, prefix and bias.</param>
    /// <param name="output">(b, rows, d), heads side by side.</param>
    /// <param name="logSumExp">(b, H, rows), for the backward pass; empty if there is none.</param>
    /// <param name="scratch">At least <see cref="AttentionShape.ForwardScratch"/> floats.</param>
    public static void Forward(AttentionShape shape, AttentionInputs inputs, Span<float> output, Span<float> logSumExp, Span<float> scratch)
    {
        inputs.Check(shape);
        Check.Length(output, shape.Output);
        Check.LengthOrEmpty(logSumExp, shape.LogSumExp);
        Check.Room(scratch, shape.ForwardScratch);
        for (var sample = 0; sample < shape.Samples; sample++)
        {
            for (var index = 0; index < shape.Heads; index++)
            {
                var head = new Head(shape, inputs, sample, index);
                var logits = scratch[..shape.ForwardScratch];
                head.Logits(logits, 0);
                Simd.Run(new ProbabilityLoop
                {
                    Columns = shape.Keys,
                    Logits = logits,
                    LogSumExp = logSumExp.IsEmpty ? default : logSumExp.Slice(head.FirstRow, shape.Queries),
                });
                var target = output[head.OutputOffset..];
                Gemm.Unchecked(shape.Queries, shape.Head, shape.Tokens, new(logits, shape.Keys), head.Values, target, shape.Width, 1, 0);
                if (shape.Prefix > 0)
                    Gemm.Unchecked(shape.Queries, shape.Head, shape.Prefix, new(logits[shape.Tokens..], shape.Keys), head.PrefixValues, target, shape.Width, 1, 1);
            }
        }
    }

    /// <summary>
    /// The gradients. Where only the prefix's are wanted and the output is given, just the prefix's columns of the logits are computed.
    /// </summary>
    /// <param name="shape">The sizes.</param>
    /// <param name="inputs">As in the forward pass.</param>
    /// <param name="logSumExp">From the forward pass.</param>
    /// <param name="output">From the forward pass, if it was kept; empty otherwise.</param>
    /// <param name="dOutput">Gradient of the output.</param>
    /// <param name="gradients">Where the gradients go.</param>
    /// <param name="scratch">At least <see cref="AttentionShape.BackwardScratch"/> floats.</param>
    public static void Backward(
        AttentionShape shape,
        AttentionInputs inputs,
        ReadOnlySpan<float> logSumExp,
        ReadOnlySpan<float> output,
        ReadOnlySpan<float> dOutput,
        AttentionGradients gradients,
        Span<float> scratch)
    {
        inputs.Check(shape);
        gradients.Check(inputs);
        Check.Length(logSumExp, shape.LogSumExp);
        Check.LengthOrEmpty(output, shape.Output);
        Check.Length(dOutput, shape.Output);
        Check.Room(scratch, shape.BackwardScratch);
        // The first column of the logits that matters.
        var from = gradients.Qkv.IsEmpty && gradients.Bias.IsEmpty && !output.IsEmpty ? shape.Tokens : 0;
        for (var sample = 0; sample < shape.Samples; sample++)
        {
            for (var index = 0; index < shape.Heads; index++)
                BackwardOfHead(shape, new(shape, inputs, sample, index), logSumExp, output, dOutput, gradients, scratch, from);
        }
    }

    private static void BackwardOfHead(
        AttentionShape shape,
        Head head,
        ReadOnlySpan<float> logSumExp,
        ReadOnlySpan<float> output,
        ReadOnlySpan<float> dOutput,
        AttentionGradients gradients,
        Span<float> scratch,
        int from)
    {
        var (rows, tokens, prefix, keys, width, depth) = (shape.Queries, shape.Tokens, shape.Prefix, shape.Keys, shape.Width, shape.Head);
        var probabilities = scratch[..shape.ForwardScratch];
        var d = scratch.Slice(shape.ForwardScratch, shape.ForwardScratch);
        var dOut = new MatrixView(dOutput[head.OutputOffset..], width);

        // P = exp(logits − log-sum-exp); dP = dO·Vᵀ; dS = P⊙(dP − δ), where a row's δ = Σ P⊙dP = dO·O.
        head.Logits(probabilities, from);
        if (from < tokens)
            Gemm.Unchecked(rows, tokens, depth, dOut, head.Values.Transpose(), d, keys, 1, 0);
        if (prefix > 0)
            Gemm.Unchecked(rows, prefix, depth, dOut, head.PrefixValues.Transpose(), d[tokens..], keys, 1, 0);
        Simd.Run(new LogitGradientLoop
        {
            From = from,
            Columns = keys,
            Probabilities = probabilities,
            LogSumExp = logSumExp.Slice(head.FirstRow, rows),
            Output = output.IsEmpty ? default : output[head.OutputOffset..],
            DOutput = dOut.Values,
            Stride = width,
            Depth = depth,
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
            Gemm.Unchecked(rows, depth, tokens, new(d, keys), head.Keys, dQueries, 3 * width, head.Scale, 0);
            if (prefix > 0)
                Gemm.Unchecked(rows, depth, prefix, new(d[tokens..], keys), head.PrefixKeys, dQueries, 3 * width, head.Scale, 1);
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

        public Head(AttentionShape shape, AttentionInputs inputs, int sample, int head)
        {
            this.shape = shape;
            this.inputs = inputs;
            this.Scale = 1 / MathF.Sqrt(shape.Head);
            this.QkvOffset = (sample * shape.Tokens * 3 * shape.Width) + (head * shape.Head);
            this.PrefixOffset = head * shape.Head;
            this.OutputOffset = (sample * shape.Queries * shape.Width) + (head * shape.Head);
            this.FirstRow = ((sample * shape.Heads) + head) * shape.Queries;
            var area = shape.Tokens * shape.Tokens;
            var entries = inputs.Bias.Length / (shape.Heads * area);
            this.BiasOffset = entries == 0 ? 0 : (((inputs.First + sample) % entries * shape.Heads) + head) * area;
        }

        public float Scale { get; }

        public int QkvOffset { get; }

        public int PrefixOffset { get; }

        public int OutputOffset { get; }

        public int BiasOffset { get; }

        public int FirstRow { get; }

        public MatrixView Queries => this.OfTokens(0);

        public MatrixView Keys => this.OfTokens(1);

        public MatrixView Values => this.OfTokens(2);

        public MatrixView PrefixKeys => new(this.inputs.Prefix[this.PrefixOffset..], 2 * this.shape.Width);

        public MatrixView PrefixValues => new(this.inputs.Prefix[(this.PrefixOffset + this.shape.Width)..], 2 * this.shape.Width);

        /// <summary>(rows, T + P): the logits, tokens first, from a column on: 0 or T.</summary>
        public void Logits(Span<float> target, int from)
        {
            var (rows, tokens, prefix, keys, depth) = (this.shape.Queries, this.shape.Tokens, this.shape.Prefix, this.shape.Keys, this.shape.Head);
            if (from < tokens)
            {
                // The bias is what the product is added to.
                var bias = this.inputs.Bias;
                for (var row = 0; row < rows && !bias.IsEmpty; row++)
                    bias.Slice(this.BiasOffset + (row * tokens), tokens).CopyTo(target[(row * keys)..]);
                Gemm.Unchecked(rows, tokens, depth, this.Queries, this.Keys.Transpose(), target, keys, this.Scale, bias.IsEmpty ? 0 : 1);
            }
            if (prefix > 0)
            {
                var logit = this.inputs.PrefixLogit;
                for (var row = 0; row < rows && !logit.IsEmpty; row++)
                    Elementwise.Copy(logit, target.Slice((row * keys) + tokens, prefix));
                Gemm.Unchecked(rows, prefix, depth, this.Queries, this.PrefixKeys.Transpose(), target[tokens..], keys, this.Scale, logit.IsEmpty ? 0 : 1);
            }
        }

        private MatrixView OfTokens(int part) => new(this.inputs.Qkv[(this.QkvOffset + (part * this.shape.Width))..], 3 * this.shape.Width);
    }

    /// <summary>Logits become probabilities.</summary>
    private ref struct ProbabilityLoop : ILoop
    {
        public int Columns;
        public Span<float> Logits;
        public Span<float> LogSumExp;

        public readonly void Run<V>()
            where V : struct, ILane<V>
        {
            for (var row = 0; row < this.Logits.Length / this.Columns; row++)
            {
                ref var logits = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.Logits), (nint)row * this.Columns);
                var sum = Softmax.ExpRow<V>(ref logits, ref logits, this.Columns, out var largest);
                Softmax.ScaleRow<V>(ref logits, this.Columns, 1 / sum);
                if (!this.LogSumExp.IsEmpty)
                    this.LogSumExp[row] = largest + MathF.Log(sum);
            }
        }
    }

    /// <summary>Logits become probabilities again, and the gradient of probabilities that of logits.</summary>
    private ref struct LogitGradientLoop : ILoop
    {
        public int From;
        public int Columns;
        public int Stride;
        public int Depth;
        public Span<float> Probabilities;
        public Span<float> D;
        public ReadOnlySpan<float> LogSumExp;
        public ReadOnlySpan<float> Output;
        public ReadOnlySpan<float> DOutput;

        public readonly void Run<V>()
            where V : struct, ILane<V>
        {
            for (var row = 0; row < this.LogSumExp.Length; row++)
            {
                var start = ((nint)row * this.Columns) + this.From;
                nint count = this.Columns - this.From;
                ref var p = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.Probabilities), start);
                ref var d = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.D), start);
                var shift = V.Of(this.LogSumExp[row]);
                var sum = V.Of(0);
                for (nint i = 0; i < count; i += V.Count)
                {
                    var left = count - i;
                    var value = VectorMath.Exp(Simd.Load<V>(ref Unsafe.Add(ref p, i), left) - shift);
                    Simd.Store(value, ref Unsafe.Add(ref p, i), left);
                    sum = V.MultiplyAdd(value, Simd.Load<V>(ref Unsafe.Add(ref d, i), left), sum);
                }
                var delta = V.Of(this.From == 0 ? sum.Sum() : this.OutputProduct<V>(row));
                for (nint i = 0; i < count; i += V.Count)
                {
                    var left = count - i;
                    var value = Simd.Load<V>(ref Unsafe.Add(ref p, i), left) * (Simd.Load<V>(ref Unsafe.Add(ref d, i), left) - delta);
                    Simd.Store(value, ref Unsafe.Add(ref d, i), left);
                }
            }
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
