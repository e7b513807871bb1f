using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;

namespace FusionGen.Compiler.Emit;

/// <summary>A static program as a class: one call per operation, on memory planned at compile time.</summary>
internal sealed class StaticCode
{
    // Characters that bodies have room for at first; of a buffer that is kept for the thread's next program, at most.
    private const int FirstRoom = 1 << 14, MostRoom = 1 << 16;

    [ThreadStatic]
    private static char[]? spare;

    private readonly StaticPlan plan;
    private readonly Network network;
    private readonly Differentiation? differentiation;
    private readonly bool isSupernet;
    private readonly FrozenPrefix? frozen;
    // Bodies of methods before their slots have numbers.
    private readonly CodeWriter bodies;
    private readonly StaticCalls calls;

    private StaticCode(Network network, Differentiation? differentiation, StaticPlan plan, bool isSupernet, int depth)
    {
        this.network = network;
        this.differentiation = differentiation;
        this.isSupernet = isSupernet;
        this.plan = plan;
        this.frozen = plan.Layout.Frozen;
        this.bodies = new CodeWriter(depth, spare ?? new char[FirstRoom]);
        spare = null;
        this.calls = new StaticCalls(plan, isSupernet, this.bodies);
    }

    /// <summary>Writes the program of a network's forward pass, or of a training step of it: its class but for the line with its name.</summary>
    public static void Write(CodeWriter code, Networks networks, Network network, bool isSupernet, bool isTraining)
    {
        var plan = networks.Plan(network, isTraining);
        new StaticCode(plan.Network, isTraining ? networks.Step(network) : null, plan, isSupernet, code.Depth + 2).Write(code);
    }

    private void Write(CodeWriter code)
    {
        using (code.Block($"    : StaticProgram({N(this.plan.SharedElements)}, {N(this.plan.PartialElements)}, {N(this.plan.SampleElements)}, {N(this.plan.ScratchElements)}, {Record(this.plan[this.network.Logits])}, {(this.differentiation is null ? Record(this.plan[this.network.Features]) : "default")}, Places)"))
        {
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
        spare = this.bodies.Piece.Length <= MostRoom ? this.bodies.Piece : null;
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
                var kind = $"StaticGradient.{(of.Op is MixtureOp ? "OfMixtures" : "OfParameters")}(StaticArena.{StaticCalls.Arena(place)}{(of.Op is MixtureOp mixture ? $", {(mixture.Log ? "true" : "false")}" : "")}";
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
            return section.Indices(this.network.Parameters)[own];
        return this.network.Parameters.IndexOf(parameter);
    }

    private static int MixtureOf(MixtureOp mixture, Section? section) => section is { Mixture: >= 0 } ? section.Mixture : mixture.Layer;

    /// <summary>What a run reads of leaves, to compute with or to know whether to.</summary>
    private HashSet<Op> LeavesOf(StaticRun run)
    {
        var leaves = new HashSet<Op>();
        foreach (var instruction in run.Instructions)
        {
            foreach (var place in instruction.Inputs)
            {
                if (place.Leaf is { } leaf)
                    leaves.Add(leaf.Op);
            }
            foreach (var candidate in this.plan.Idle.Needs(instruction.Value))
                leaves.Add(candidate.Mixture);
        }
        return leaves;
    }

    /// <summary>What the parameter-only part reads: tuned numbers, frozen ones, mixtures.</summary>
    private void WriteReads(CodeWriter code)
    {
        var leaves = new Dictionary<StaticRun, HashSet<Op>>();
        var reads = new SortedSet<(int Kind, int Number)>();
        foreach (var call in this.plan.Layout.Calls.Where(call => call.Run.Stage == Stage.Shared))
        {
            if (!leaves.TryGetValue(call.Run, out var read))
                leaves.Add(call.Run, read = this.LeavesOf(call.Run));
            foreach (var leaf in read)
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
        var methods = new List<StaticMethod>();
        var bodies = new Dictionary<StaticRun, (StaticMethod Method, StaticSlot[] Slots)>();
        var calls = new List<(StaticMethod Method, string Scope, long[] Numbers)>();
        this.bodies.TakeBack(0);
        foreach (var call in this.plan.Layout.Calls)
        {
            if (call.Run.Stage != stage)
                continue;
            if (!bodies.TryGetValue(call.Run, out var body))
            {
                var start = this.bodies.Position;
                var slots = this.calls.Write(call.Run.Instructions);
                var method = methods.Find(method => method.Is(start, this.bodies.Position));
                if (method is null)
                    methods.Add(method = new StaticMethod(Names.Unique("Run" + stage + Names.Pascal(call.Scope), taken), this.bodies, start, this.bodies.Position));
                else
                    this.bodies.TakeBack(start);
                bodies.Add(call.Run, body = (method, slots));
            }
            var numbers = new long[body.Slots.Length];
            for (var slot = 0; slot < numbers.Length; slot++)
                numbers[slot] = this.Number(body.Slots[slot], call.Section);
            body.Method.Add(numbers);
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
                code.Append(isStaged || isFrozen ? "    " : "");
                code.Append(method.Name);
                method.WriteArguments(code, numbers);
                code.Line(method.Varies ? $"  // {scope}" : "");
            }
        }
        foreach (var method in methods)
        {
            code.Line();
            using (code.Block($"private static void {method.Name}(in StaticFrame f{(method.Varies ? ", ReadOnlySpan<int> at" : "")})"))
                method.Write(code);
        }
    }

    /// <summary>The number of a slot where a section is called: where a block is, or which parameter or mixture is read.</summary>
    private long Number(StaticSlot slot, Section? section) => slot.Of switch
    {
        StaticBlock block => this.plan.Layout.Block(block, slot.Section ?? section).Offset,
        ParameterOp parameter => this.IndexOf(parameter, section),
        MixtureOp mixture => MixtureOf(mixture, section),
        _ => throw new InvalidOperationException(),
    };

    private string Record(StaticPlace place, Section? section = null) =>
        $"new StaticPlace(StaticArena.{StaticCalls.Arena(place)}, {N(this.plan.Layout.Offset(place, section))}, {N(place.Elements)})";

    private static string N(long number) => Text.Invariant(number);
}
