using System.Runtime.CompilerServices;
using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;

namespace FusionGen.Compiler.Emit;

/// <summary>The calls of a static program: one for each operation.</summary>
internal sealed class StaticCalls(StaticPlan plan, bool isSupernet, CodeWriter writer)
{
    private readonly CodeWriter code = writer;
    private readonly StaticSlots slots = new(plan.Layout.Blocks);

    /// <summary>Writes the calls of some instructions, with a slot for every block, parameter and mixture; the slots.</summary>
    public StaticSlot[] Write(IReadOnlyList<StaticInstruction> instructions)
    {
        for (var (start, end) = (0, 0); start < instructions.Count; start = end)
        {
            var needs = plan.Idle.Needs(instructions[start].Value);
            while (end < instructions.Count && plan.Idle.Needs(instructions[end].Value) is var others && (others == needs || others.SequenceEqual(needs)))
                end++;
            this.WriteAlike(instructions, start, end, needs);
        }
        return this.slots.Take();
    }

    /// <summary>Which memory a place is in.</summary>
    public static string Arena(StaticPlace place) => place.Buffer!.Block.Phase switch { Phase.Sample => "Sample", Phase.Partial => "Partial", _ => "Shared" };

    /// <summary>Instructions that need the same candidates, and what stands in for the results that are read nevertheless.</summary>
    private void WriteAlike(IReadOnlyList<StaticInstruction> instructions, int start, int end, Candidate[] needs)
    {
        for (var need = 0; need < needs.Length; need++)
        {
            this.code.Append(need == 0 ? "if (f.Has(" : " && f.Has(");
            this.slots.Write(this.code, needs[need].Mixture);
            this.code.Append(", ");
            this.code.Append(needs[need].Index);
            this.code.Append(")");
        }
        using (needs.Length == 0 ? default(CodeWriter.Closer?) : this.code.Block(")"))
        {
            for (var i = start; i < end; i++)
            {
                if (plan.Layout.Summands(instructions[i]) is { } summands)
                    this.WriteSum(instructions[i], summands);
                else
                    this.WriteCall(instructions[i]);
            }
        }
        CodeWriter.Closer? otherwise = null;
        for (var i = start; i < end; i++)
        {
            var instruction = instructions[i];
            if (!plan.Idle.IsReadThoughZero(instruction.Value) || instruction.Residual == instruction.Result)
                continue;
            otherwise ??= this.code.Block("else");
            this.Call(null, $"Keep({instruction.Residual}, {instruction.Result})");
        }
        otherwise?.Dispose();
    }

    /// <summary>A sum over sections: the first two, then one after the other.</summary>
    private void WriteSum(StaticInstruction i, IReadOnlyList<(StaticPlace Place, Section? Section)> summands)
    {
        var first = summands[0];
        if (summands.Count < 4 || summands.Any(summand => summand.Place.Buffer is not { } buffer || buffer.Block.Phase != first.Place.Buffer?.Block.Phase))
        {
            var sum = first;
            foreach (var summand in summands.Skip(1))
            {
                this.Call(i.Value, $"Add({sum}, {summand}, {i.Result})");
                sum = (i.Result, null);
            }
            return;
        }
        this.Call(null, $"Keep({first}, {i.Result})");
        this.code.Line($"foreach (var i in (ReadOnlySpan<int>)[{string.Join(", ", summands.Skip(1).Select(summand => Text.Invariant(plan.Layout.Offset(summand.Place, summand.Section))))}])");
        this.code.Append("    ");
        this.Call(i.Value, $"Add({i.Result}, f.{Arena(first.Place)}(i, {i.Result.Elements}), {i.Result})");
    }

    /// <summary>One call, or few.</summary>
    private void WriteCall(StaticInstruction i)
    {
        var (value, x, r) = (i.Value, i.Inputs, i.Result);
        var (shape, shapes) = (value.Shape, value.InputShapes);
        var (residual, saved) = (i.Residual, i.Saved);
        switch (value.Op)
        {
            case LinearOp op:
                this.Call(value, $"Linear({x[0]}, {x[1]}, {(op.Bias ? x[2] : null)}, {residual}, {r}, {Count(shape, shape.Elements / shape.Last)}, {shapes[0].Last}, {shape.Last})");
                break;
            case MatMulOp op:
                var m = shape.Rank == 2 ? Count(shape, shape[0].Size) : new Amount(shape[-2].Size);
                var outer = shape.Rank == 2 ? new Amount(1) : Count(shape, shape.Elements / shape[-2].Size / shape.Last);
                this.Call(value, $"MatMul({x[0]}, {op.TransposeA}, {IsRepeated(shapes[0], shape)}, {x[1]}, {op.TransposeB}, {IsRepeated(shapes[1], shape)}, {residual}, {r}, {outer}, {m}, {shape.Last}, {(shapes[0][op.TransposeA ? -2 : -1].Size)})");
                break;
            case MatMulSumOp op:
                this.Call(value, $"MatMulSum({x[0]}, {op.TransposeA}, {x[1]}, {op.TransposeB}, {r}, {Count(shapes[0], shapes[0][0].Size)}, {shape[0].Size}, {shape[1].Size}, {(shapes[0][op.TransposeA ? 1 : 2].Size)})");
                break;
            case AddOp when IsSuffix(shapes[0], shape) && IsSuffix(shapes[1], shape):
                this.Call(value, $"Add({x[0]}, {x[1]}, {r})");
                break;
            case AddOp:
                // Dimensions in the middle are stretched: one copy, and one that adds.
                this.Copy(value, x[0], Stretched(shapes[0], shape), 0, r, Strides(shape), 0, shape);
                this.Copy(value, x[1], Stretched(shapes[1], shape), 0, r, Strides(shape), 0, shape, add: true);
                break;
            case MulOp:
                RequireSuffixes(shapes, shape);
                this.Call(value, $"Mul({x[0]}, {x[1]}, {r})");
                break;
            case MulAddOp:
                RequireSuffixes(shapes, shape);
                this.Call(value, $"MulAdd({x[0]}, {x[1]}, {x[2]}, {r})");
                break;
            case MixOp op:
                this.Call(value, $"Mix({x[0]}, {op.Transposed}, {x[1]}, {residual}, {r}, {(isSupernet ? "f.IsDiscrete" : "true")}, {Count(shape, shape[0].Size)}, {shape[1].Size}, {shape.Last})");
                break;
            case MixGradientOp:
                this.Call(value, $"MixGradient({x[0]}, {x[1]}, {x[2]}, {r}, {(isSupernet ? "f.IsDiscrete" : "true")}, {Count(shapes[1], shapes[1][0].Size)}, {shape.Last}, {shapes[1].Last})");
                break;
            case SumToOp when IsSuffix(shape, shapes[0]):
                this.Call(value, $"SumTo({x[0]}, {r})");
                break;
            case SumToOp:
                this.Call(null, $"Keep(default, {r})");
                this.Copy(value, x[0], Strides(shapes[0]), 0, r, Stretched(shape, shapes[0]), 0, shapes[0], add: true);
                break;
            case MulSumToOp:
                RequireSuffixes([shape, .. shapes], Shape.Broadcast(shapes[0], shapes[1]));
                this.Call(value, $"MulSumTo({x[0]}, {x[1]}, {r})");
                break;
            case ScaleOp op:
                this.Call(value, $"Scale({x[0]}, {op.Factor}f, {op.Offset}f, {r})");
                break;
            case UnaryOp op:
                this.Call(value, $"Apply(Activation.{op.Kind}, {x[0]}, {r})");
                break;
            case UnaryGradientOp op:
                this.Call(value, $"ApplyGradient(Activation.{op.Kind}, {x[0]}, {x[1]}, {r})");
                break;
            case LayerNormOp op:
                this.Call(value, $"LayerNorm({x[0]}, {(op.Affine ? x[1] : null)}, {(op.Affine ? x[2] : null)}, {r}, {saved}, {shape.Last}, {op.Epsilon}f)");
                break;
            case LayerNormGradientOp op:
                this.Call(value, $"LayerNormGradient({x[0]}, {x[1]}, {(op.Affine ? x[2] : null)}, {saved}, {residual}, {r}, {shape.Last})");
                break;
            case LayerNormScaleGradientOp:
                this.Call(value, $"LayerNormScaleGradient({x[0]}, {x[1]}, {saved}, {r}, {shape.Last})");
                break;
            case SoftmaxOp op:
                var top = Text.Invariant(op.Top);
                this.Call(value, $"Softmax({x[0]}, {r}, {shape[op.Axis].Size}, {Inner(shape, op.Axis)}, {(op.Top > 0 && op.WhenDiscrete && isSupernet ? $"f.IsDiscrete ? {top} : 0" : top)})");
                break;
            case SoftmaxGradientOp op:
                this.Call(value, $"SoftmaxGradient({x[0]}, {x[1]}, {r}, {shape[op.Axis].Size}, {Inner(shape, op.Axis)})");
                break;
            case AttentionOp op:
                var (prefix, weight, bias) = AttentionInputs(op, x);
                this.Call(value, $"Attention({x[0]}, {prefix}, {weight}, {bias}, {r}, {saved}, f.Scratch, {Count(shape, shape[0].Size)}, {shapes[0][1].Size}, {shape.Last}, {op.Heads}, {shape[1].Size}, {Rows(op.Prefixes.Count > 0, shapes, 1)})");
                break;
            case AttentionGradientOp op:
                var (rows, logWeight, summand) = AttentionInputs(op.Attention, x);
                var (dRows, dLogWeight, dSummand) = AttentionInputs(op.Attention, Parts(i));
                this.Call(value, $"AttentionGradient({x[0]}, {rows}, {logWeight}, {summand}, {x[x.Count - 2]}, {x[x.Count - 1]}, {saved}, {r}, {dRows}, {dLogWeight}, {dSummand}, f.Scratch, {Count(shape, shape[0].Size)}, {shape[1].Size}, {shape.Last / 3}, {op.Attention.Heads}, {shapes[shapes.Length - 1][1].Size}, {Rows(op.Attention.Prefixes.Count > 0, shapes, 1)})");
                break;
            case HeadProductOp op:
                this.Call(value, $"HeadProduct({x[0]}, {x[1]}, {r}, {op.Transposed}, {Count(shape, shape[0].Size)}, {op.Heads}, {shapes[1][0].Size / op.Heads}, {shapes[1].Last})");
                break;
            case RowAttentionOp op:
                this.Call(value, $"RowAttention({x[0]}, {x[1]}, {(op.Prefix ? x[2] : null)}, {(op.Weighed ? x[3] : null)}, {r}, {saved}, {Count(shape, shape[0].Size)}, {shapes[0][1].Size}, {shape.Last}, {shape[1].Size}, {Rows(op.Prefix, shapes, 2)})");
                break;
            case RowAttentionGradientOp op:
                this.Call(value, $"RowAttentionGradient({x[0]}, {x[1]}, {(op.Attention.Prefix ? x[2] : null)}, {x[x.Count - 1]}, {saved}, {r}, {Part(i, 1)}, {Part(i, 2)}, {Part(i, 3)}, f.Scratch, {Count(shape, shape[0].Size)}, {shape[1].Size}, {shape.Last}, {shapes[1][1].Size}, {Rows(op.Attention.Prefix, shapes, 2)})");
                break;
            case BlockDiagonalOp:
                this.Call(value, $"BlockDiagonal({x[0]}, {r}, {shapes[0][0].Size}, {shapes[0][1].Size}, {shapes[0][2].Size})");
                break;
            case DiagonalBlocksOp:
                this.Call(value, $"DiagonalBlocks({x[0]}, {r}, {shape[0].Size}, {shape[1].Size}, {shape[2].Size})");
                break;
            case ConcatOp op:
                var at = 0;
                for (var input = 0; input < x.Count; input++)
                {
                    this.Copy(value, x[input], Strides(shapes[input]), 0, r, Strides(shape), at * Strides(shape)[Axis(op.Axis, shape)], shapes[input]);
                    at += shapes[input][op.Axis].Size;
                }
                break;
            case ReadoutsOp:
                for (var stream = 0; stream < x.Count; stream++)
                    this.Copy(value, x[stream], Strides(shapes[stream]), 0, r, Readouts(shape, x.Count), stream * shape.Last, shapes[stream]);
                break;
            case SliceOp op:
                this.Copy(value, x[0], Strides(shapes[0]), op.Start * Strides(shapes[0])[Axis(op.Axis, shapes[0])], r, Strides(shape), 0, shape);
                break;
            case SelectOp op:
                var kept = shapes[0].With(op.Axis, 1);
                this.Copy(value, x[0], Strides(shapes[0]), op.Index * Strides(shapes[0])[Axis(op.Axis, shapes[0])], r, Strides(kept), 0, kept);
                break;
            case EmbedOp op:
                if (i.Residual is null || i.Residual != i.Result)
                    this.Call(null, $"Keep({residual}, {r})");
                this.Copy(value, x[0], Strides(shapes[0]), 0, r, Strides(shape), op.Start * Strides(shape)[Axis(op.Axis, shape)], shapes[0], add: i.Residual is not null);
                break;
            case PermuteOp op:
                this.Copy(value, x[0], Permuted(shapes[0], op.Order), 0, r, Strides(shape), 0, shape);
                break;
            case ExpandOp or BroadcastToOp:
                this.Copy(value, x[0], Stretched(shapes[0], shape), 0, r, Strides(shape), 0, shape);
                break;
            case DropoutMaskOp op:
                this.Call(value, $"DropoutMask(f, {op.Number}u, {op.Rate}f, {op.Shape.IsPerSample}, {r})");
                break;
            case RollOp op:
                this.Call(value, $"Roll({x[0]}, {r}, {op.Shift}, {shape[1].Size}, {shape[2].Size}, {shape[3].Size})");
                break;
            case PadOp:
                this.Call(null, $"Keep(default, {r})");
                this.Copy(value, x[0], Strides(shapes[0]), 0, r, Strides(shape), 0, shapes[0]);
                break;
            case PatchEmbedOp op:
                this.Call(value, $"PatchRows({x[0]}, {saved}, {op.Patch}, {shapes[0][1].Size}, {shapes[0][2].Size})");
                this.Call(value, $"Linear({saved}, {x[1]}, {x[2]}, default, {r}, {Count(shape, shape[1].Size)}, {shapes[0][1].Size * op.Patch * op.Patch}, {shape.Last})");
                break;
            case PatchRowsOp op:
                this.Call(value, $"PatchRows({x[0]}, {r}, {op.Patch}, {shapes[0][1].Size}, {shapes[0][2].Size})");
                break;
            case MeanOp op:
                this.Call(value, $"Mean({x[0]}, {r}, {shapes[0][op.Axis].Size}, {Inner(shapes[0], op.Axis)}, {op.Start})");
                break;
            case RelativeBiasOp op:
                this.Call(value, $"RelativeBias({x[0]}, {r}, {op.Window})");
                break;
            case RelativeBiasGradientOp op:
                this.Call(value, $"RelativeBiasGradient({x[0]}, {r}, {op.Window})");
                break;
            case NeighbourBiasOp op:
                this.Call(value, $"NeighbourBias({r}, {op.Side}, {op.Heads}, {op.Padded})");
                break;
            case WindowMaskOp op:
                this.Call(value, $"WindowMask({r}, {op.Rows}, {op.Columns}, {op.Window}, {op.Shift})");
                break;
            default:
                throw new InvalidOperationException($"no static code for {value.Op}");
        }
    }

    /// <summary>Moves elements along strides; a stride of 0 repeats.</summary>
    private void Copy(Value of, StaticPlace source, int[] from, int start, StaticPlace target, int[] to, int place, Shape shape, bool add = false)
    {
        // Neighbouring dimensions that both sides walk in one go are one.
        var dims = shape.Dims.Select((dim, axis) => (Size: (long)dim.Size, dim.Batch, From: from[axis], To: to[axis])).ToList();
        for (var axis = dims.Count - 2; axis >= 0; axis--)
        {
            var (outer, inner) = (dims[axis], dims[axis + 1]);
            if (inner.Size == 1 && !inner.Batch)
            {
                dims.RemoveAt(axis + 1);
            }
            else if (outer.From == inner.From * inner.Size && outer.To == inner.To * inner.Size)
            {
                dims[axis] = (outer.Size * inner.Size, outer.Batch, inner.From, inner.To);
                dims.RemoveAt(axis + 1);
            }
        }
        this.code.Append("f.Ops.Copy(");
        this.Write(source);
        this.code.Append(", ");
        this.code.Append(start);
        this.code.Append(", ");
        this.WriteList(dims, dim => new Amount(dim.From));
        this.Write(target);
        this.code.Append(", ");
        this.code.Append(place);
        this.code.Append(", ");
        this.WriteList(dims, dim => new Amount(dim.To));
        this.WriteList(dims, dim => new Amount(dim.Size, dim.Batch));
        this.code.Append(add ? "true)" : "false)");
        this.Close(of);
    }

    private void WriteList(List<(long Size, bool Batch, int From, int To)> dims, Func<(long Size, bool Batch, int From, int To), Amount> of)
    {
        this.code.Append('[');
        for (var i = 0; i < dims.Count; i++)
        {
            this.code.Append(i == 0 ? "" : ", ");
            this.Write(of(dims[i]));
        }
        this.code.Append("], ");
    }

    private static StaticPlace? Part(StaticInstruction i, int input) => i.Parts.TryGetValue(input, out var part) ? part : null;

    // Of its own, as all below: what a lambda in the switch captures would be taken from the heap at every call.
    private static StaticPlace?[] Parts(StaticInstruction i) => [.. i.Inputs.Select((_, input) => Part(i, input))];

    private static (StaticPlace? Prefix, StaticPlace? LogWeight, StaticPlace? Bias) AttentionInputs(AttentionOp op, IReadOnlyList<StaticPlace?> x)
    {
        var weighed = op.Prefixes.Count > 0 && op.Prefixes[0];
        return (
            op.Prefixes.Count > 0 ? x[1] : null,
            weighed ? x[2] : null,
            op.Bias ? x[1 + op.Prefixes.Count + (weighed ? 1 : 0)] : null);
    }

    /// <summary>Rows of the prefix that an attention may have.</summary>
    private static int Rows(bool hasPrefix, Shape[] shapes, int input) => hasPrefix ? shapes[input][-2].Size : 0;

    /// <summary>A call, and a note of what it computes.</summary>
    private void Call(Value? of, [InterpolatedStringHandlerArgument("")] ref Interpolated call) => this.Close(of);

    private void Close(Value? of)
    {
        if (of is null)
        {
            this.code.Line(";");
            return;
        }
        this.code.Append(";  // ");
        this.code.Append(of.Hint);
        this.code.Append(of.Hint.Length == 0 ? "" : " ");
        this.code.Append(of.Shape);
        this.code.Line();
    }

    private void Write(Amount amount)
    {
        if (!amount.IsPerImage || amount.Number != 1)
            this.code.Append(amount.Number);
        this.code.Append(!amount.IsPerImage ? "" : amount.Number == 1 ? "f.B" : " * f.B");
    }

    private void Write(StaticPlace place, Section? section = null)
    {
        var isSlice = true;
        switch (place.Leaf?.Op)
        {
            case null when place.Buffer is { } buffer:
                this.code.Append("f.");
                this.code.Append(Arena(place));
                this.code.Append("(");
                this.slots.Write(this.code, buffer.Block, section, buffer.Offset + place.Start);
                this.code.Append(", ");
                this.code.Append(place.Elements);
                this.code.Append(")");
                return;
            case null:
                this.code.Append("default");
                return;
            case InputOp input:
                this.code.Append(input.Name == "seed" ? "f.Seed" : "f.Images");
                return;
            case ParameterOp parameter:
                this.code.Append("f.Parameter(");
                this.slots.Write(this.code, parameter);
                isSlice = place.Start != 0 || place.Elements != parameter.Shape.Elements;
                break;
            case MixtureOp mixture:
                this.code.Append(mixture.Log ? "f.LogWeights(" : "f.Weights(");
                this.slots.Write(this.code, mixture);
                break;
            case { } other:
                throw new InvalidOperationException($"{other} is no leaf");
        }
        this.code.Append(")");
        if (!isSlice)
            return;
        this.code.Append(".Slice(");
        this.code.Append(place.Start);
        this.code.Append(", ");
        this.code.Append(place.Elements);
        this.code.Append(")");
    }

    private static int Axis(int axis, Shape shape) => axis < 0 ? axis + shape.Rank : axis;

    private static int Inner(Shape shape, int axis)
    {
        var product = 1;
        for (var i = Axis(axis, shape) + 1; i < shape.Rank; i++)
            product *= shape[i].Size;
        return product;
    }

    private static int[] Strides(Shape shape)
    {
        var strides = new int[shape.Rank];
        for (var axis = 0; axis < strides.Length; axis++)
            strides[axis] = Inner(shape, axis);
        return strides;
    }

    /// <summary>Strides of the dimensions in another order.</summary>
    private static int[] Permuted(Shape shape, EquatableArray<int> order)
    {
        var strides = Strides(shape);
        return [.. order.Select(axis => strides[axis])];
    }

    /// <summary>Strides of one of several streams in what joins them.</summary>
    private static int[] Readouts(Shape shape, int streams)
    {
        var strides = Strides(shape.Without(1));
        strides[0] *= streams;
        return strides;
    }

    /// <summary>Strides of a shape as broadcast to another: 0 where it is stretched.</summary>
    private static int[] Stretched(Shape shape, Shape target)
    {
        var own = Strides(shape);
        var missing = target.Rank - shape.Rank;
        return [.. target.Dims.Select((dim, axis) => axis < missing || shape[axis - missing] == new Dim(1) && dim != new Dim(1) ? 0 : own[axis - missing])];
    }

    /// <summary>Whether broadcasting repeats the elements of a shape as a whole.</summary>
    private static bool IsSuffix(Shape shape, Shape target)
    {
        var first = 0;
        while (first < shape.Rank && shape[first] == new Dim(1))
            first++;
        var missing = target.Rank - shape.Rank;
        for (var i = first; i < shape.Rank; i++)
        {
            if (i + missing < 0 || shape[i] != target[i + missing])
                return false;
        }
        return true;
    }

    private static void RequireSuffixes(IEnumerable<Shape> shapes, Shape target)
    {
        if (shapes.FirstOrDefault(shape => !IsSuffix(shape, target)) is { } other)
            throw new InvalidOperationException($"no static code for {other} with {target}");
    }

    /// <summary>Whether one matrix serves all.</summary>
    private static bool IsRepeated(Shape operand, Shape product) => product.Rank > 2 && operand.Rank == 2;

    private static Amount Count(Shape shape, long count) => new(count, shape.IsPerSample);

    /// <summary>So many, or so many for each image.</summary>
    private readonly record struct Amount(long Number, bool IsPerImage = false);

    /// <summary>The text of a call on its way into the code: the operation with its arguments.</summary>
    [InterpolatedStringHandler]
    private readonly ref struct Interpolated
    {
        private readonly StaticCalls calls;
        private readonly CodeWriter code;

        public Interpolated(int literals, int holes, StaticCalls calls)
        {
            (this.calls, this.code) = (calls, calls.code);
            this.code.Append("f.Ops.");
        }

        public void AppendLiteral(string text) => this.code.Append(text);

        public void AppendFormatted(string text) => this.code.Append(text);

        public void AppendFormatted(long number) => this.code.Append(number);

        public void AppendFormatted(double number) => this.code.Append(Text.Invariant(number));

        public void AppendFormatted(bool value) => this.code.Append(value ? "true" : "false");

        public void AppendFormatted(Enum name) => this.code.Append(name.ToString());

        public void AppendFormatted(Amount amount) => this.calls.Write(amount);

        public void AppendFormatted(StaticPlace? place)
        {
            if (place is null)
                this.code.Append("default");
            else
                this.calls.Write(place);
        }

        public void AppendFormatted((StaticPlace Place, Section? Section) of) => this.calls.Write(of.Place, of.Section);
    }
}
