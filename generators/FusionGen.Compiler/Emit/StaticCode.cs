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
    private readonly FrozenPrefix? frozen;
    private readonly Dictionary<string, int> parameterIndex = new(StringComparer.Ordinal);
    private readonly CodeWriter body = new();
    private Slots slots = new();

    private StaticCode(Network network, Differentiation? differentiation, StaticPlan plan, bool isSupernet)
    {
        this.network = network;
        this.differentiation = differentiation;
        this.isSupernet = isSupernet;
        this.plan = plan;
        this.frozen = plan.Layout.Frozen;
        for (var i = 0; i < network.Parameters.Count; i++)
            this.parameterIndex.Add(network.Parameters[i].Name, i);
    }

    /// <summary>Writes the program of a network's forward pass, or of a training step of it.</summary>
    public static void Write(CodeWriter code, string type, Networks networks, Network network, bool isSupernet, bool isTraining)
    {
        var plan = networks.Plan(network, isTraining);
        new StaticCode(plan.Network, isTraining ? networks.Step(network) : null, plan, isSupernet).Write(code, type);
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
            this.WriteGradients(code);
            code.Line("];");
            if (this.differentiation is null)
                this.WriteReads(code);
            if (this.IsStaged)
                this.WriteEntries(code);
            if (this.frozen is { } frozen)
            {
                code.Line();
                code.Line("/// <inheritdoc/>");
                code.Line($"public override StaticEntry? Frozen {{ get; }} = new(-1, {N(frozen.Call)}, [{string.Join(", ", frozen.Live.Select(place => $"new StaticPlace(StaticArena.Sample, {N(place.Offset)}, {N(place.Elements)})"))}]);");
            }
            this.WriteStage(code, Stage.Shared, "What depends on parameters only.");
            this.WriteStage(code, Stage.Forward, "From images to logits.");
            this.WriteStage(code, Stage.Backward, "From the logits' gradient to sums over images.");
            this.WriteStage(code, Stage.Finish, "From sums over images to gradients.");
        }
    }

    /// <summary>Whether a forward pass may start and end between two calls: a supernet's, whose layers are looked at one by one.</summary>
    private bool IsStaged => this.isSupernet && this.differentiation is null;

    /// <summary>Where the pass may start.</summary>
    private void WriteEntries(CodeWriter code)
    {
        code.Line();
        code.Line("/// <inheritdoc/>");
        code.Line("public override IReadOnlyList<StaticEntry> Entries { get; } =");
        code.Line("[");
        foreach (var (layer, call, live) in this.plan.Layout.Entries())
            code.Line($"    new StaticEntry({N(layer)}, {N(call)}, [{string.Join(", ", live.Select(block => $"new StaticPlace(StaticArena.Sample, {N(block.Offset)}, {N(block.Elements)})"))}]),");
        code.Line("];");
    }

    /// <summary>Gradients of parameters, in the order of the table, and of mixtures.</summary>
    private void WriteGradients(CodeWriter code)
    {
        var gradients = new SortedDictionary<(bool, int), (string Kind, string Row)>();
        foreach (var pair in this.differentiation?.Gradients ?? new Dictionary<Value, Value>())
        {
            var (of, place) = (pair.Key, this.plan[pair.Value]);
            foreach (var section in this.SectionsOf(of))
            {
                var number = of.Op is ParameterOp parameter ? this.IndexOf(parameter, section) : MixtureOf((MixtureOp)of.Op, section);
                var kind = $"StaticGradient.{(of.Op is MixtureOp ? "OfMixtures" : "OfParameters")}(StaticArena.{Arena(place)}{(of.Op is MixtureOp mixture ? $", {Bool(mixture.Log)}" : "")}";
                gradients.Add(
                    (of.Op is MixtureOp, of.Op is MixtureOp { Log: true } ? (2 * number) + 1 : 2 * number),
                    (kind, $"{N(number)}, {N(this.plan.Layout.Offset(place, section))}, {N(place.Elements)}"));
            }
        }
        // A row each of what is alike: a compiler reads numbers faster than anything else.
        var last = "";
        foreach (var (kind, row) in gradients.Values)
        {
            if (kind != last)
                code.Line($"{(last.Length > 0 ? "),\n    .. " : "    .. ")}{kind},");
            else
                code.Line(",");
            code.Append($"        {row}");
            last = kind;
        }
        if (last.Length > 0)
            code.Line("),");
    }

    /// <summary>The sections that a leaf stands for: those like the one that owns it; null for a common leaf.</summary>
    private IReadOnlyList<Section?> SectionsOf(Value leaf) =>
        !this.network.IsShort || this.network.Sections.OwnerOf(leaf) is not { } owner ? [null]
        : owner.Like == owner ? [.. this.network.Sections.All.Where(section => section.Like == owner)] : [];

    /// <summary>Where in the table the parameter is that a section has in the place of a planned one.</summary>
    private int IndexOf(ParameterOp parameter, Section? section)
    {
        if (section is not null && section.Like != section && this.network.IsShort && section.Like.IndexOf(parameter) is >= 0 and var own)
            parameter = section.Parameters[own];
        return this.parameterIndex[parameter.Name];
    }

    private static int MixtureOf(MixtureOp mixture, Section? section) => section is { Mixture: >= 0 } ? section.Mixture : mixture.Layer;

    /// <summary>What the parameter-only part reads: tuned numbers, frozen ones, mixtures.</summary>
    private void WriteReads(CodeWriter code)
    {
        var reads = new SortedSet<(int Kind, int Number)>();
        foreach (var call in this.plan.Layout.Calls.Where(call => call.Run.Stage == Stage.Shared))
        {
            var needed = call.Run.Instructions.SelectMany(this.Needs).Select(candidate => (Op?)candidate.Mixture);
            foreach (var leaf in call.Run.Instructions.SelectMany(i => i.Inputs).Select(place => place.Leaf?.Op).Concat(needed))
            {
                if (leaf is ParameterOp parameter)
                    reads.Add((parameter.Role == ParameterRole.Frozen ? 1 : 0, this.IndexOf(parameter, call.Section)));
                else if (leaf is MixtureOp mixture)
                    reads.Add((mixture.Log ? 3 : 2, MixtureOf(mixture, call.Section)));
            }
        }
        code.Line();
        code.Line("/// <inheritdoc/>");
        using (code.Block("protected override bool ReadShared(in StaticFrame f, ref SharedDigest digest)"))
        {
            var statements = new[] { "digest.Add(f.Parameter(i));", "digest.Sample(f.Parameter(i));", "digest.Add(f.Weights(i));", "digest.Add(f.LogWeights(i));" };
            for (var kind = 0; kind < statements.Length; kind++)
            {
                var list = string.Join(", ", reads.Where(read => read.Kind == kind).Select(read => N(read.Number)));
                if (list.Length == 0)
                    continue;
                code.Line($"foreach (var i in (ReadOnlySpan<int>)[{list}])");
                code.Line($"    {statements[kind]}");
            }
            code.Line("digest.Add([f.IsDiscrete ? 1 : 0]);");
            code.Line("return true;");
        }
    }

    /// <summary>A stage: a method that calls one method per scope, so that none grows long. Scopes that differ in nothing but where things lie share one.</summary>
    private void WriteStage(CodeWriter code, Stage stage, string doc)
    {
        var taken = new HashSet<string>(StringComparer.Ordinal);
        var methods = new Dictionary<string, Method>(StringComparer.Ordinal);
        var bodies = new Dictionary<StaticRun, (Method Method, Slots Slots)>();
        var calls = new List<(Method Method, string Scope, long[] Numbers)>();
        foreach (var call in this.plan.Layout.Calls.Where(call => call.Run.Stage == stage))
        {
            if (!bodies.TryGetValue(call.Run, out var body))
            {
                var slots = this.slots = new Slots();
                var text = this.Body(call.Run.Instructions);
                if (!methods.TryGetValue(text, out var method))
                    methods.Add(text, method = new Method(Names.Unique("Run" + stage + Names.Pascal(call.Scope), taken), text));
                bodies.Add(call.Run, body = (method, slots));
            }
            var numbers = body.Slots.All.Select(slot => this.Number(slot, call.Section)).ToArray();
            body.Method.Compare(numbers);
            calls.Add((body.Method, call.Scope, numbers));
        }
        code.Line();
        code.Doc(doc);
        var isStaged = stage == Stage.Forward && this.IsStaged;
        using (code.Block($"protected override void Run{stage}(in StaticFrame f{(stage == Stage.Forward ? ", int from, int to" : "")})"))
        {
            for (var i = 0; i < calls.Count; i++)
            {
                var (method, scope, numbers) = calls[i];
                var isFrozen = stage == Stage.Forward && i < this.frozen?.Call;
                if (isStaged)
                    code.Line($"if (from <= {N(i)} && {N(i)} < to)");
                else if (isFrozen)
                    code.Line("if (from == 0)");
                else if (stage == Stage.Forward && i == this.frozen?.Call)
                    code.Line($"if (to == {N(i)})\n    return;");
                code.Line((isStaged || isFrozen ? "    " : "") + (method.Varying.Count == 0 ? $"{method.Name}(f);" : $"{method.Name}(f, [{string.Join(", ", method.Varying.Select(slot => N(numbers[slot])))}]);  // {scope}"));
            }
        }
        foreach (var method in methods.Values)
        {
            code.Line();
            using (code.Block($"private static void {method.Name}(in StaticFrame f{(method.Varying.Count == 0 ? "" : ", ReadOnlySpan<int> at")})"))
                method.Write(code);
        }
    }

    /// <summary>The number of a slot where a section is called: where a block is, or which parameter or mixture is read.</summary>
    private long Number((object Of, Section? Section) slot, Section? section) => slot.Of switch
    {
        StaticBlock block => this.plan.Layout.Block(block, slot.Section ?? section).Offset,
        ParameterOp parameter => this.IndexOf(parameter, section),
        MixtureOp mixture => MixtureOf(mixture, section),
        _ => throw new InvalidOperationException(),
    };

    /// <summary>Calls, with a slot for every block, parameter and mixture.</summary>
    private string Body(IEnumerable<StaticInstruction> instructions)
    {
        var body = this.body;
        body.Clear();
        var alike = new List<StaticInstruction>();
        foreach (var instruction in instructions)
        {
            if (alike.Count > 0 && !this.Needs(alike[0]).SequenceEqual(this.Needs(instruction)))
                this.WriteAlike(body, alike);
            alike.Add(instruction);
        }
        this.WriteAlike(body, alike);
        return body.ToString().TrimEnd('\n');
    }

    /// <summary>Candidates without any of which an instruction need not run.</summary>
    private IReadOnlyList<Candidate> Needs(StaticInstruction i)
    {
        var (zero, unread) = (this.plan.Idle.ZeroWithout(i.Value), this.plan.Idle.UnreadWithout(i.Value));
        return zero.Count == 0 ? unread : unread.Count == 0 ? zero : [.. zero.Union(unread).OrderBy(candidate => candidate.Index)];
    }

    /// <summary>Instructions that need the same candidates, and what stands in for the results that are read nevertheless.</summary>
    private void WriteAlike(CodeWriter code, List<StaticInstruction> alike)
    {
        var needs = alike.Count == 0 ? [] : this.Needs(alike[0]);
        using (needs.Count == 0 ? default(CodeWriter.Closer?) : code.Block($"if ({string.Join(" && ", needs.Select(candidate => $"f.Has({this.slots.Of(candidate.Mixture)}, {N(candidate.Index)})"))})"))
        {
            foreach (var instruction in alike)
            {
                if (this.plan.Layout.Summands(instruction) is { } summands)
                    this.WriteSum(code, instruction, summands);
                else
                    this.WriteCall(code, instruction);
            }
        }
        var read = alike.FindAll(i => this.plan.Idle.ZeroWithout(i.Value).Count > 0 && this.plan.Idle.ZeroWithout(i.Value).Except(this.plan.Idle.UnreadWithout(i.Value)).Any() && i.Residual != i.Result);
        if (read.Count > 0)
        {
            using (code.Block("else"))
                read.ForEach(i => code.Line($"f.Ops.Keep({(i.Residual is null ? "default" : this.Place(i.Residual))}, {this.Place(i.Result)});"));
        }
        alike.Clear();
    }

    /// <summary>A sum over sections: the first two, then one after the other.</summary>
    private void WriteSum(CodeWriter code, StaticInstruction i, IReadOnlyList<(StaticPlace Place, Section? Section)> summands)
    {
        var result = this.Place(i.Result);
        var sum = this.Place(summands[0].Place, summands[0].Section);
        if (summands.Count < 4 || summands.Any(summand => summand.Place.Buffer is not { } buffer || buffer.Block.Phase != summands[0].Place.Buffer?.Block.Phase))
        {
            foreach (var (place, section) in summands.Skip(1))
            {
                code.Line($"f.Ops.Add({sum}, {this.Place(place, section)}, {result});  // {i.Value.Shape}");
                sum = result;
            }
            return;
        }
        code.Line($"f.Ops.Keep({sum}, {result});");
        code.Line($"foreach (var i in (ReadOnlySpan<int>)[{string.Join(", ", summands.Skip(1).Select(summand => N(this.plan.Layout.Offset(summand.Place, summand.Section))))}])");
        code.Line($"    f.Ops.Add({result}, f.{Arena(summands[0].Place)}(i, {N(i.Result.Elements)}), {result});  // {i.Value.Shape}");
    }

    private void WriteCall(CodeWriter code, StaticInstruction i)
    {
        var value = i.Value;
        var (x, shapes) = (new string[i.Inputs.Count], new Shape[i.Inputs.Count]);
        for (var input = 0; input < x.Length; input++)
            (x[input], shapes[input]) = (this.Place(i.Inputs[input]), value.Inputs[input].Shape);
        var (r, shape) = (this.Place(i.Result), value.Shape);
        var residual = i.Residual is null ? "default" : this.Place(i.Residual);
        var saved = i.Saved is null ? "default" : this.Place(i.Saved);
        var note = value.Hint.Length > 0 ? $"  // {value.Hint} {shape}" : $"  // {shape}";
        void Call(string method, params string[] arguments)
        {
            code.Append("f.Ops.");
            code.Append(method);
            for (var argument = 0; argument < arguments.Length; argument++)
            {
                code.Append(argument == 0 ? "(" : ", ");
                code.Append(arguments[argument]);
            }
            code.Line($");{note}");
        }
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
            case SumToOp when IsSuffix(shape, shapes[0]):
                Call("SumTo", x[0], r);
                break;
            case SumToOp:
                code.Line($"f.Ops.Keep(default, {r});");
                Copy(code, x[0], Strides(shapes[0]), 0, r, Stretched(shape, shapes[0]), 0, shapes[0], note, add: true);
                break;
            case MulSumToOp:
                RequireSuffixes([shape, .. shapes], Shape.Broadcast(shapes[0], shapes[1]));
                Call("MulSumTo", x[0], x[1], r);
                break;
            case ScaleOp op:
                Call("Scale", x[0], Number(op.Factor), Number(op.Offset), r);
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
                Call("Attention", x[0], prefix, weight, bias, r, saved, "f.Scratch", Count(shape, shape[0].Size), N(shapes[0][1].Size), N(shape.Last), N(op.Heads), N(shape[1].Size), Rows(op.Prefixes.Count > 0, shapes, 1));
                break;
            case AttentionGradientOp op:
                var (rows, logWeight, summand) = AttentionInputs(op.Attention, x);
                var (dRows, dLogWeight, dSummand) = AttentionInputs(op.Attention, [.. Enumerable.Range(0, x.Length).Select(input => i.Parts.TryGetValue(input, out var part) ? this.Place(part) : "default")]);
                Call(
                    "AttentionGradient", x[0], rows, logWeight, summand, x[x.Length - 2], x[x.Length - 1], saved, r, dRows, dLogWeight, dSummand, "f.Scratch",
                    Count(shape, shape[0].Size), N(shape[1].Size), N(shape.Last / 3), N(op.Attention.Heads), N(shapes[shapes.Length - 1][1].Size), Rows(op.Attention.Prefixes.Count > 0, shapes, 1));
                break;
            case HeadProductOp op:
                Call("HeadProduct", x[0], x[1], r, Bool(op.Transposed), Count(shape, shape[0].Size), N(op.Heads), N(shapes[1][0].Size / op.Heads), N(shapes[1].Last));
                break;
            case RowAttentionOp op:
                Call("RowAttention", x[0], x[1], op.Prefix ? x[2] : "default", op.Weighed ? x[3] : "default", r, saved, Count(shape, shape[0].Size), N(shapes[0][1].Size), N(shape.Last), N(shape[1].Size), Rows(op.Prefix, shapes, 2));
                break;
            case RowAttentionGradientOp op:
                string Gradient(int input) => i.Parts.TryGetValue(input, out var part) ? this.Place(part) : "default";
                Call(
                    "RowAttentionGradient", x[0], x[1], op.Attention.Prefix ? x[2] : "default", x[x.Length - 1], saved, r, Gradient(1), Gradient(2), Gradient(3), "f.Scratch",
                    Count(shape, shape[0].Size), N(shape[1].Size), N(shape.Last), N(shapes[1][1].Size), Rows(op.Attention.Prefix, shapes, 2));
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
            case ReadoutsOp:
                for (var stream = 0; stream < x.Length; stream++)
                    Copy(code, x[stream], Strides(shapes[stream]), 0, r, Strides(shape.Without(1)).Select((stride, axis) => axis == 0 ? stride * x.Length : stride).ToArray(), stream * shape.Last, shapes[stream], note);
                break;
            case SliceOp op:
                Copy(code, x[0], Strides(shapes[0]), op.Start * Strides(shapes[0])[Axis(op.Axis, shapes[0])], r, Strides(shape), 0, shape, note);
                break;
            case SelectOp op:
                var kept = shapes[0].With(op.Axis, 1);
                Copy(code, x[0], Strides(shapes[0]), op.Index * Strides(shapes[0])[Axis(op.Axis, shapes[0])], r, Strides(kept), 0, kept, note);
                break;
            case EmbedOp op:
                if (i.Residual is null || i.Residual != i.Result)
                    code.Line($"f.Ops.Keep({residual}, {r});");
                Copy(code, x[0], Strides(shapes[0]), 0, r, Strides(shape), op.Start * Strides(shape)[Axis(op.Axis, shape)], shapes[0], note, add: i.Residual is not null);
                break;
            case PermuteOp op:
                Copy(code, x[0], [.. op.Order.Select(axis => Strides(shapes[0])[axis])], 0, r, Strides(shape), 0, shape, note);
                break;
            case ExpandOp or BroadcastToOp:
                Copy(code, x[0], Stretched(shapes[0], shape), 0, r, Strides(shape), 0, shape, note);
                break;
            case DropoutMaskOp op:
                Call("DropoutMask", "f", $"{Text.Invariant(op.Number)}u", Number(op.Rate), Bool(op.Shape.IsPerSample), r);
                break;
            case RollOp op:
                Call("Roll", x[0], r, N(op.Shift), N(shape[1].Size), N(shape[2].Size), N(shape[3].Size));
                break;
            case PadOp:
                code.Line($"f.Ops.Keep(default, {r});");
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
            case NeighbourBiasOp op:
                Call("NeighbourBias", r, N(op.Side), N(op.Heads), Bool(op.Padded));
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
            $"f.Ops.Copy({source}, {N(start)}, {List(dims.Select(dim => N(dim.From)))}, {target}, {N(place)}, {List(dims.Select(dim => N(dim.To)))}, " +
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

    /// <summary>Rows of the prefix that an attention may have.</summary>
    private static string Rows(bool hasPrefix, Shape[] shapes, int input) => N(hasPrefix ? shapes[input][-2].Size : 0);

    private string Place(Value value) => this.Place(this.plan[value]);

    private string Place(StaticPlace place, Section? section = null)
    {
        if (place.Buffer is { } buffer)
            return $"f.{Arena(place)}({this.slots.Of(buffer.Block, section, buffer.Offset + place.Start)}, {N(place.Elements)})";
        if (place.Leaf is null)
            return "default";
        return place.Leaf.Op switch
        {
            ParameterOp parameter => place.Start == 0 && place.Elements == parameter.Shape.Elements
                ? $"f.Parameter({this.slots.Of(parameter)})"
                : $"f.Parameter({this.slots.Of(parameter)}).Slice({N(place.Start)}, {N(place.Elements)})",
            MixtureOp mixture => $"f.{(mixture.Log ? "LogWeights" : "Weights")}({this.slots.Of(mixture)}).Slice({N(place.Start)}, {N(place.Elements)})",
            InputOp input => input.Name == "seed" ? "f.Seed" : "f.Images",
            _ => throw new InvalidOperationException($"{place.Leaf.Op} is no leaf"),
        };
    }

    private string Record(StaticPlace place, Section? section = null) =>
        $"new StaticPlace(StaticArena.{Arena(place)}, {N(this.plan.Layout.Offset(place, section))}, {N(place.Elements)})";

    private static string Arena(StaticPlace place) => place.Buffer!.Block.Phase switch { Phase.Sample => "Sample", Phase.Partial => "Partial", _ => "Shared" };

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

    private static string Count(Shape shape, long count) => shape.IsPerSample ? Times(count) : N(count);

    private static string Times(long count) => count == 1 ? "f.B" : $"{N(count)} * f.B";

    private static string N(long number) => Text.Invariant(number);

    private static string Number(double number) => number.ToString("R", System.Globalization.CultureInfo.InvariantCulture) + "f";

    private static string Bool(bool value) => value ? "true" : "false";

    /// <summary>What the code of a scope reads and writes, one slot each: blocks of memory, parameters, mixtures.</summary>
    private sealed class Slots
    {
        /// <summary>Around a slot in a body: its number as a character, and what is added to it in digits.</summary>
        public const char Open = '\uE000', Close = '\uE001';

        private static readonly string End = Close.ToString();
        private readonly List<string> begins = [];

        public List<(object Of, Section? Section)> All { get; } = [];

        public string Of(object of, Section? section = null, long start = 0)
        {
            var slot = 0;
            while (slot < this.All.Count && !(ReferenceEquals(this.All[slot].Of, of) && this.All[slot].Section == section))
                slot++;
            if (slot == this.All.Count)
            {
                this.All.Add((of, section));
                this.begins.Add(new string([Open, (char)('0' + slot)]));
            }
            return string.Concat(this.begins[slot], N(start), End);
        }
    }

    /// <summary>The code of one scope, or of several.</summary>
    private sealed class Method(string name, string body)
    {
        private long[]? numbers;

        public string Name => name;

        /// <summary>Slots whose numbers are not the same in all scopes; they become a parameter.</summary>
        public SortedSet<int> Varying { get; } = [];

        public void Write(CodeWriter code)
        {
            var positions = this.Varying.ToList();
            var start = 0;
            for (var open = body.IndexOf(Slots.Open); open >= 0; open = body.IndexOf(Slots.Open, start))
            {
                code.Append(body, start, open);
                var (slot, offset) = (body[open + 1] - '0', 0L);
                for (start = open + 2; body[start] != Slots.Close; start++)
                    offset = (10 * offset) + body[start] - '0';
                start++;
                var position = positions.IndexOf(slot);
                if (position < 0)
                {
                    code.Append(this.numbers![slot] + offset);
                    continue;
                }
                code.Append("at[");
                code.Append(position);
                code.Append(offset == 0 ? "]" : "] + ");
                if (offset > 0)
                    code.Append(offset);
            }
            code.Line(body.Substring(start));
        }

        public void Compare(long[] others)
        {
            this.numbers ??= others;
            for (var slot = 0; slot < others.Length; slot++)
            {
                if (this.numbers[slot] != others[slot])
                    this.Varying.Add(slot);
            }
        }
    }
}
