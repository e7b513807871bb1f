using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;

namespace FusionGen.Compiler.Emit;

/// <summary>A static program as a class: one call per operation, on memory planned at compile time.</summary>
internal sealed class StaticCode
{
    private readonly StaticPlan plan;
    private readonly Network network;
    private readonly Differentiation? differentiation;
    private readonly bool isSupernet;
    private readonly Dictionary<string, int> parameterIndex = new(StringComparer.Ordinal);
    private readonly Slots slots = new();

    private StaticCode(Network network, Differentiation? differentiation, StaticPlan plan, bool isSupernet)
    {
        this.network = network;
        this.differentiation = differentiation;
        this.isSupernet = isSupernet;
        this.plan = plan;
        for (var i = 0; i < network.Parameters.Count; i++)
            this.parameterIndex.Add(network.Parameters[i].Name, i);
    }

    /// <summary>Writes the program of a network's forward pass, or of a training step of it.</summary>
    public static void Write(CodeWriter code, string type, Networks networks, Network network, bool isSupernet, bool isTraining)
    {
        var step = isTraining ? networks.Step(network) : null;
        new StaticCode(step?.Network ?? networks.Pass(network), step, networks.Plan(network, isTraining), isSupernet).Write(code, type);
    }

    private void Write(CodeWriter code, string type)
    {
        code.Doc($"{(this.differentiation is null ? "The forward pass" : "A training step: the forward pass and the gradients of everything tuned")}, on memory planned at compile time.");
        code.Line(SourceHeader.GeneratedCode);
        using (code.Block($"internal sealed class {type} : StaticProgram"))
        {
            using (code.Block($"public {type}()\n    : base({N(this.plan.SharedElements)}, {N(this.plan.PartialElements)}, {N(this.plan.SampleElements)}, {N(this.plan.ScratchElements)}, {Record(this.plan[this.network.Logits])}, {(this.differentiation is null ? Record(this.plan[this.network.Features]) : "default")}, Places)"))
            {
            }
            code.Line();
            code.Line("private static StaticGradient[] Places { get; } =");
            code.Line("[");
            foreach (var pair in this.differentiation?.Gradients.OrderBy(pair => pair.Key.Id) ?? Enumerable.Empty<KeyValuePair<Value, Value>>())
                code.Line($"    {this.Gradient(pair.Key, pair.Value)},");
            code.Line("];");
            if (this.differentiation is null)
                this.WriteReads(code);
            var last = this.network.Logits.Id;
            this.WritePhase(code, "RunShared", "What depends on parameters only.", i => i.Phase == Phase.Shared);
            this.WritePhase(code, "RunForward", "From images to logits.", i => i.Phase is Phase.Sample or Phase.Partial && i.Value.Id <= last);
            this.WritePhase(code, "RunBackward", "From the logits' gradient to sums over images.", i => i.Phase is Phase.Sample or Phase.Partial && i.Value.Id > last);
            this.WritePhase(code, "RunFinish", "From sums over images to gradients.", i => i.Phase == Phase.Finish);
        }
    }

    private string Gradient(Value of, Value gradient)
    {
        var what = of.Op is ParameterOp parameter
            ? $"StaticGradient.OfParameter({N(this.parameterIndex[parameter.Name])}"
            : $"StaticGradient.OfMixture({N(((MixtureOp)of.Op).Layer)}, {(((MixtureOp)of.Op).Log ? "true" : "false")}";
        return $"{what}, {Record(this.plan[gradient])})";
    }

    /// <summary>What the parameter-only part reads: tuned numbers, frozen ones, mixtures.</summary>
    private void WriteReads(CodeWriter code)
    {
        var leaves = this.plan.Instructions.Where(i => i.Phase == Phase.Shared).SelectMany(i => i.Inputs).Select(place => place.Leaf?.Op).Distinct().ToList();
        var parameters = leaves.OfType<ParameterOp>().ToLookup(parameter => parameter.Role == ParameterRole.Frozen, parameter => this.parameterIndex[parameter.Name]);
        code.Line();
        code.Line("/// <inheritdoc/>");
        using (code.Block("protected override bool ReadShared(in StaticFrame f, ref SharedDigest digest)"))
        {
            Each(parameters[false], "digest.Add(f.Parameter(i));");
            Each(parameters[true], "digest.Sample(f.Parameter(i));");
            Each(leaves.OfType<MixtureOp>().Where(mixture => !mixture.Log).Select(mixture => mixture.Layer), "digest.Add(f.Weights(i));");
            Each(leaves.OfType<MixtureOp>().Where(mixture => mixture.Log).Select(mixture => mixture.Layer), "digest.Add(f.LogWeights(i));");
            code.Line("digest.Add([f.IsDiscrete ? 1 : 0]);");
            code.Line("return true;");
        }

        void Each(IEnumerable<int> numbers, string statement)
        {
            var list = string.Join(", ", numbers.OrderBy(number => number).Select(number => N(number)));
            if (list.Length == 0)
                return;
            code.Line($"foreach (var i in (ReadOnlySpan<int>)[{list}])");
            code.Line($"    {statement}");
        }
    }

    /// <summary>A phase: a method that calls one method per scope, so that none grows long. Scopes that differ in nothing but where things lie share one.</summary>
    private void WritePhase(CodeWriter code, string name, string doc, Func<StaticInstruction, bool> isIn)
    {
        var groups = new List<(string Scope, List<StaticInstruction> Instructions)>();
        foreach (var instruction in this.plan.Instructions.Where(isIn))
        {
            if (groups.Count == 0 || groups[groups.Count - 1].Scope != instruction.Value.Scope)
                groups.Add((instruction.Value.Scope, []));
            groups[groups.Count - 1].Instructions.Add(instruction);
        }
        var taken = new HashSet<string>(StringComparer.Ordinal);
        var methods = new Dictionary<string, Method>(StringComparer.Ordinal);
        var calls = new List<(Method Method, string Scope, IReadOnlyList<string> Places)>();
        foreach (var (scope, instructions) in groups)
        {
            var body = this.Body(instructions);
            if (!methods.TryGetValue(body, out var method))
                methods.Add(body, method = new Method(Names.Unique(name + Names.Pascal(scope), taken), body, [.. this.slots.Numbers]));
            else
                method.Compare(this.slots.Numbers);
            calls.Add((method, scope, [.. this.slots.Numbers]));
        }
        code.Line();
        code.Doc(doc);
        using (code.Block($"protected override void {name}(in StaticFrame f)"))
        {
            foreach (var (method, scope, places) in calls)
                code.Line(method.Varying.Count == 0 ? $"{method.Name}(f);" : $"{method.Name}(f, [{string.Join(", ", method.Varying.Select(slot => places[slot]))}]);  // {scope}");
        }
        foreach (var method in methods.Values)
        {
            code.Line();
            using (code.Block($"private static void {method.Name}(in StaticFrame f{(method.Varying.Count == 0 ? "" : ", ReadOnlySpan<int> at")})"))
                code.Line(method.Text);
        }
    }

    /// <summary>Calls with a slot <c>{k}</c> for every number that says where something lies.</summary>
    private string Body(IEnumerable<StaticInstruction> instructions)
    {
        this.slots.Clear();
        var body = new CodeWriter();
        foreach (var instruction in instructions)
            this.WriteCall(body, instruction);
        return body.ToString().TrimEnd('\n');
    }

    private void WriteCall(CodeWriter code, StaticInstruction i)
    {
        var value = i.Value;
        var x = i.Inputs.Select(this.Place).ToArray();
        var shapes = value.Inputs.Select(input => input.Shape).ToArray();
        var (r, shape) = (this.Place(i.Result), value.Shape);
        var residual = i.Residual is null ? "default" : this.Place(i.Residual);
        var saved = i.Saved is null ? "default" : this.Place(i.Saved);
        var note = value.Hint.Length > 0 ? $"  // {value.Hint} {shape}" : $"  // {shape}";
        void Call(string method, params string[] arguments) => code.Line($"StaticOps.{method}({string.Join(", ", arguments)});{note}");
        switch (value.Op)
        {
            case LinearOp op:
                Call("Linear", x[0], x[1], op.Bias ? x[2] : "default", residual, r, Count(shape, shape.Elements / shape.Last), N(shapes[0].Last), N(shape.Last));
                break;
            case MatMulOp op:
                var (m, n) = shape.Rank == 2 && shape.IsPerSample ? (Count(shape, shape[0].Size), shape.Last) : (N(shape[-2].Size), shape.Last);
                var outer = shape.Rank == 2 ? "1" : Count(shape, shape.Elements / shape[-2].Size / shape.Last);
                Call(
                    "MatMul", x[0], Bool(op.TransposeA), Bool(IsRepeated(shapes[0], shape)), x[1], Bool(op.TransposeB), Bool(IsRepeated(shapes[1], shape)),
                    residual, r, outer, m, N(n), N(shapes[0][op.TransposeA ? -2 : -1].Size));
                break;
            case MatMulSumOp op:
                Call(
                    "MatMulSum", x[0], Bool(op.TransposeA), x[1], Bool(op.TransposeB), r,
                    Count(shapes[0], shapes[0][0].Size), N(shape[0].Size), N(shape[1].Size), N(shapes[0][op.TransposeA ? 1 : 2].Size));
                break;
            case AddOp when IsSuffix(shapes[0], shape) && IsSuffix(shapes[1], shape):
                Call("Add", x[0], x[1], r);
                break;
            case AddOp:
                // Dimensions in the middle are stretched: one copy, and one that adds.
                Copy(code, x[0], Stretched(shapes[0], shape), 0, r, Strides(shape), 0, shape, note);
                Copy(code, x[1], Stretched(shapes[1], shape), 0, r, Strides(shape), 0, shape, note, add: true);
                break;
            case MulOp:
                RequireSuffixes(shapes, shape);
                Call("Mul", x[0], x[1], r);
                break;
            case MulAddOp:
                RequireSuffixes(shapes, shape);
                Call("MulAdd", x[0], x[1], x[2], r);
                break;
            case MixOp op:
                Call("Mix", x[0], Bool(op.Transposed), x[1], residual, r, this.isSupernet ? "f.IsDiscrete" : "true", Count(shape, shape[0].Size), N(shape[1].Size), N(shape.Last));
                break;
            case MixGradientOp:
                Call("MixGradient", x[0], x[1], x[2], r, this.isSupernet ? "f.IsDiscrete" : "true", Count(shapes[1], shapes[1][0].Size), N(shape.Last), N(shapes[1].Last));
                break;
            case SumToOp:
                RequireSuffixes([shape], shapes[0]);
                Call("SumTo", x[0], r);
                break;
            case MulSumToOp:
                RequireSuffixes([shape, .. shapes], Shape.Broadcast(shapes[0], shapes[1]));
                Call("MulSumTo", x[0], x[1], r);
                break;
            case ScaleOp op:
                Call("Scale", x[0], Number(op.Factor), r);
                break;
            case UnaryOp op:
                Call("Apply", $"Activation.{op.Kind}", x[0], r);
                break;
            case UnaryGradientOp op:
                Call("ApplyGradient", $"Activation.{op.Kind}", x[0], x[1], r);
                break;
            case LayerNormOp op:
                Call("LayerNorm", x[0], op.Affine ? x[1] : "default", op.Affine ? x[2] : "default", r, saved, N(shape.Last), Number(op.Epsilon));
                break;
            case LayerNormGradientOp op:
                Call("LayerNormGradient", x[0], x[1], op.Affine ? x[2] : "default", saved, residual, r, N(shape.Last));
                break;
            case LayerNormScaleGradientOp:
                Call("LayerNormScaleGradient", x[0], x[1], saved, r, N(shape.Last));
                break;
            case SoftmaxOp op:
                Call("Softmax", x[0], r, N(shape[op.Axis].Size), N(Inner(shape, op.Axis)), op.Top > 0 && op.WhenDiscrete && this.isSupernet ? $"f.IsDiscrete ? {N(op.Top)} : 0" : N(op.Top));
                break;
            case SoftmaxGradientOp op:
                Call("SoftmaxGradient", x[0], x[1], r, N(shape[op.Axis].Size), N(Inner(shape, op.Axis)));
                break;
            case AttentionOp op:
                var (prefix, weight, bias) = AttentionInputs(op, x);
                Call("Attention", x[0], prefix, weight, bias, r, saved, "f.Scratch", Count(shape, shape[0].Size), N(shapes[0][1].Size), N(shape.Last), N(op.Heads), N(shape[1].Size));
                break;
            case AttentionGradientOp op:
                var (rows, logWeight, summand) = AttentionInputs(op.Attention, x);
                var (dRows, dLogWeight, dSummand) = AttentionInputs(op.Attention, [.. Enumerable.Range(0, x.Length).Select(input => i.Parts.TryGetValue(input, out var part) ? this.Place(part) : "default")]);
                Call(
                    "AttentionGradient", x[0], rows, logWeight, summand, x[x.Length - 2], x[x.Length - 1], saved, r, dRows, dLogWeight, dSummand, "f.Scratch",
                    Count(shape, shape[0].Size), N(shape[1].Size), N(shape.Last / 3), N(op.Attention.Heads), N(shapes[shapes.Length - 1][1].Size));
                break;
            case HeadProductOp op:
                Call("HeadProduct", x[0], x[1], r, Bool(op.Transposed), Count(shape, shape[0].Size), N(op.Heads), N(shapes[1][0].Size / op.Heads), N(shapes[1].Last));
                break;
            case RowAttentionOp op:
                Call("RowAttention", x[0], x[1], op.Prefix ? x[2] : "default", op.Weighed ? x[3] : "default", r, saved, Count(shape, shape[0].Size), N(shapes[0][1].Size), N(shape.Last), N(shape[1].Size));
                break;
            case RowAttentionGradientOp op:
                string Gradient(int input) => i.Parts.TryGetValue(input, out var part) ? this.Place(part) : "default";
                Call(
                    "RowAttentionGradient", x[0], x[1], op.Attention.Prefix ? x[2] : "default", x[x.Length - 1], saved, r, Gradient(1), Gradient(2), Gradient(3), "f.Scratch",
                    Count(shape, shape[0].Size), N(shape[1].Size), N(shape.Last), N(shapes[1][1].Size));
                break;
            case BlockDiagonalOp:
                Call("BlockDiagonal", x[0], r, N(shapes[0][0].Size), N(shapes[0][1].Size), N(shapes[0][2].Size));
                break;
            case DiagonalBlocksOp:
                Call("DiagonalBlocks", x[0], r, N(shape[0].Size), N(shape[1].Size), N(shape[2].Size));
                break;
            case ConcatOp op:
                var at = 0;
                for (var input = 0; input < x.Length; input++)
                {
                    Copy(code, x[input], Strides(shapes[input]), 0, r, Strides(shape), at * Strides(shape)[Axis(op.Axis, shape)], shapes[input], note);
                    at += shapes[input][op.Axis].Size;
                }
                break;
            case SliceOp op:
                Copy(code, x[0], Strides(shapes[0]), op.Start * Strides(shapes[0])[Axis(op.Axis, shapes[0])], r, Strides(shape), 0, shape, note);
                break;
            case SelectOp op:
                var kept = shapes[0].With(op.Axis, 1);
                Copy(code, x[0], Strides(shapes[0]), op.Index * Strides(shapes[0])[Axis(op.Axis, shapes[0])], r, Strides(kept), 0, kept, note);
                break;
            case EmbedOp op:
                if (i.Residual is null)
                    code.Line($"{r}.Clear();");
                else if (i.Residual != i.Result)
                    code.Line($"{residual}.CopyTo({r});");
                Copy(code, x[0], Strides(shapes[0]), 0, r, Strides(shape), op.Start * Strides(shape)[Axis(op.Axis, shape)], shapes[0], note, add: i.Residual is not null);
                break;
            case PermuteOp op:
                Copy(code, x[0], [.. op.Order.Select(axis => Strides(shapes[0])[axis])], 0, r, Strides(shape), 0, shape, note);
                break;
            case ExpandOp or BroadcastToOp:
                Copy(code, x[0], Stretched(shapes[0], shape), 0, r, Strides(shape), 0, shape, note);
                break;
            case RollOp op:
                Call("Roll", x[0], r, N(op.Shift), N(shape[1].Size), N(shape[2].Size), N(shape[3].Size));
                break;
            case PadOp:
                code.Line($"{r}.Clear();");
                Copy(code, x[0], Strides(shapes[0]), 0, r, Strides(shape), 0, shapes[0], note);
                break;
            case PatchEmbedOp op:
                Call("PatchRows", x[0], saved, N(op.Patch), N(shapes[0][1].Size), N(shapes[0][2].Size));
                Call("Linear", saved, x[1], x[2], "default", r, Count(shape, shape[1].Size), N(shapes[0][1].Size * op.Patch * op.Patch), N(shape.Last));
                break;
            case PatchRowsOp op:
                Call("PatchRows", x[0], r, N(op.Patch), N(shapes[0][1].Size), N(shapes[0][2].Size));
                break;
            case MeanOp op:
                Call("Mean", x[0], r, N(shapes[0][op.Axis].Size), N(Inner(shapes[0], op.Axis)), N(op.Start));
                break;
            case RelativeBiasOp op:
                Call("RelativeBias", x[0], r, N(op.Window));
                break;
            case RelativeBiasGradientOp op:
                Call("RelativeBiasGradient", x[0], r, N(op.Window));
                break;
            case WindowMaskOp op:
                Call("WindowMask", r, N(op.Rows), N(op.Columns), N(op.Window), N(op.Shift));
                break;
            default:
                throw new InvalidOperationException($"no static code for {value.Op}");
        }
    }

    /// <summary>Moves elements along strides; a stride of 0 repeats.</summary>
    private static void Copy(CodeWriter code, string source, int[] from, int start, string target, int[] to, int place, Shape shape, string note, bool add = false)
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
        string List(IEnumerable<string> items) => $"[{string.Join(", ", items)}]";
        code.Line(
            $"StaticOps.Copy({source}, {N(start)}, {List(dims.Select(dim => N(dim.From)))}, {target}, {N(place)}, {List(dims.Select(dim => N(dim.To)))}, " +
            $"{List(dims.Select(dim => dim.Batch ? Times(dim.Size) : N(dim.Size)))}, {Bool(add)});{note}");
    }

    private static (string Prefix, string LogWeight, string Bias) AttentionInputs(AttentionOp op, string[] x)
    {
        var weighed = op.Prefixes.Count > 0 && op.Prefixes[0];
        return (
            op.Prefixes.Count > 0 ? x[1] : "default",
            weighed ? x[2] : "default",
            op.Bias ? x[1 + op.Prefixes.Count + (weighed ? 1 : 0)] : "default");
    }

    private string Place(Value value) => this.Place(this.plan[value]);

    private string Place(StaticPlace place)
    {
        if (place.Buffer is { } buffer)
        {
            var method = buffer.Phase switch { Phase.Sample => "Sample", Phase.Partial => "Partial", _ => "Shared" };
            return $"f.{method}({this.slots.Of(place, buffer.Offset + place.Start)}, {N(place.Elements)})";
        }
        if (place.Leaf is null)
            return "default";
        return place.Leaf.Op switch
        {
            ParameterOp parameter => place.Start == 0 && place.Elements == parameter.Shape.Elements
                ? $"f.Parameter({this.slots.Of(place, this.parameterIndex[parameter.Name])})"
                : $"f.Parameter({this.slots.Of(place, this.parameterIndex[parameter.Name])}).Slice({N(place.Start)}, {N(place.Elements)})",
            MixtureOp mixture => $"f.{(mixture.Log ? "LogWeights" : "Weights")}({this.slots.Of(place, mixture.Layer)}).Slice({N(place.Start)}, {N(place.Elements)})",
            InputOp input => input.Name == "seed" ? "f.Seed" : "f.Images",
            _ => throw new InvalidOperationException($"{place.Leaf.Op} is no leaf"),
        };
    }

    private static string Record(StaticPlace place)
    {
        var arena = place.Buffer!.Phase switch { Phase.Sample => "Sample", Phase.Partial => "Partial", _ => "Shared" };
        return $"new StaticPlace(StaticArena.{arena}, {N(place.Buffer.Offset + place.Start)}, {N(place.Elements)})";
    }

    private static int Axis(int axis, Shape shape) => axis < 0 ? axis + shape.Rank : axis;

    private static int Inner(Shape shape, int axis) => shape.Dims.Skip(Axis(axis, shape) + 1).Aggregate(1, (product, dim) => product * dim.Size);

    private static int[] Strides(Shape shape) => [.. Enumerable.Range(0, shape.Rank).Select(axis => Inner(shape, axis))];

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
        var dims = shape.Dims.SkipWhile(dim => dim == new Dim(1)).ToArray();
        return dims.SequenceEqual(target.Dims.Skip(target.Rank - dims.Length));
    }

    private static void RequireSuffixes(IEnumerable<Shape> shapes, Shape target)
    {
        if (shapes.FirstOrDefault(shape => !IsSuffix(shape, target)) is { } other)
            throw new InvalidOperationException($"no static code for {other} with {target}");
    }

    /// <summary>Whether one matrix serves all.</summary>
    private static bool IsRepeated(Shape operand, Shape product) => product.Rank > 2 && operand.Rank == 2;

    private static string Count(Shape shape, long count) => shape.IsPerSample ? Times(count) : N(count);

    private static string Times(long count) => count == 1 ? "f.B" : $"{N(count)} * f.B";

    private static string N(long number) => Text.Invariant(number);

    private static string Number(double number) => number.ToString("R", System.Globalization.CultureInfo.InvariantCulture) + "f";

    private static string Bool(bool value) => value ? "true" : "false";

    /// <summary>The numbers of a body that say where things lie, one slot for each place.</summary>
    private sealed class Slots
    {
        private readonly Dictionary<StaticPlace, string> known = [];
        private readonly List<string> numbers = [];

        public IReadOnlyList<string> Numbers => this.numbers;

        public void Clear()
        {
            this.known.Clear();
            this.numbers.Clear();
        }

        public string Of(StaticPlace place, long number)
        {
            if (!this.known.TryGetValue(place, out var slot))
            {
                this.known.Add(place, slot = $"{{{N(this.numbers.Count)}}}");
                this.numbers.Add(N(number));
            }
            return slot;
        }
    }

    /// <summary>The code of one scope, or of several.</summary>
    private sealed class Method(string name, string body, IReadOnlyList<string> numbers)
    {
        public string Name => name;

        /// <summary>Slots whose numbers are not the same in all scopes; they become a parameter.</summary>
        public SortedSet<int> Varying { get; } = [];

        public string Text
        {
            get
            {
                var texts = numbers.ToArray();
                var position = 0;
                foreach (var slot in this.Varying)
                    texts[slot] = $"at[{N(position++)}]";
                return string.Format(System.Globalization.CultureInfo.InvariantCulture, body, texts);
            }
        }

        public void Compare(IReadOnlyList<string> others)
        {
            for (var slot = 0; slot < numbers.Count; slot++)
            {
                if (numbers[slot] != others[slot])
                    this.Varying.Add(slot);
            }
        }
    }
}
