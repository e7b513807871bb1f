using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>When a value of a static program is computed.</summary>
public enum Phase
{
    /// <summary>Once a step, before the images: it depends on parameters only (METHOD §6.1, S2).</summary>
    Shared,

    /// <summary>For every image, by the worker that has it.</summary>
    Sample,

    /// <summary>A sum over a worker's images, which the step adds up over the workers.</summary>
    Partial,

    /// <summary>Once a step, after the images: it depends on such sums.</summary>
    Finish,
}

/// <summary>Memory that is needed for a time.</summary>
public abstract class StaticExtent
{
    /// <summary>Numbers, in all or per image.</summary>
    public long Elements { get; internal set; }

    /// <summary>First instruction that writes it.</summary>
    public int First { get; private set; } = int.MaxValue;

    /// <summary>Last instruction that reads it.</summary>
    public int Last { get; private set; } = -1;

    /// <summary>Where it begins: a block in its arena, a buffer in its block.</summary>
    public long Offset { get; internal set; }

    /// <summary>Notes that it is needed; true the first time.</summary>
    internal bool Touch(int first, int last)
    {
        var isFirst = this.Last < 0;
        (this.First, this.Last) = (Math.Min(this.First, first), Math.Max(this.Last, last));
        return isFirst;
    }
}

/// <summary>Memory that one or more values have at different times.</summary>
public sealed class StaticBuffer : StaticExtent
{
    internal StaticBuffer(Phase phase, long elements) => (this.Phase, this.Elements) = (phase, elements);

    /// <summary>When it is written.</summary>
    public Phase Phase { get; }

    /// <summary>The block of memory that it lies in.</summary>
    public StaticBlock Block { get; internal set; } = null!;

    /// <summary>The values that have it.</summary>
    internal List<Value> Values { get; } = [];
}

/// <summary>Where a value is: in a buffer, or in a leaf of the graph.</summary>
/// <param name="Leaf">Parameter, input or mixture; null where the value is in a buffer.</param>
/// <param name="Buffer">The buffer; null for a leaf.</param>
/// <param name="Start">First number of it; never other than 0 for what is per image.</param>
/// <param name="Elements">Numbers, in all or per image.</param>
public sealed record StaticPlace(Value? Leaf, StaticBuffer? Buffer, long Start, long Elements);

/// <summary>One call of a static program.</summary>
/// <param name="Value">What it computes.</param>
/// <param name="Phase">When.</param>
/// <param name="Result">Where to.</param>
/// <param name="Inputs">From where.</param>
/// <param name="Residual">What is added to the result; the result's own place where it is accumulated in place; null for nothing.</param>
/// <param name="Saved">Further numbers: those that pass from forward to backward (a layer norm's statistics, attention's softmax), or a patch embedding's rows; null for none.</param>
/// <param name="Parts">Further results, by the input they are the gradient of.</param>
public sealed record StaticInstruction(
    Value Value, Phase Phase, StaticPlace Result, IReadOnlyList<StaticPlace> Inputs, StaticPlace? Residual, StaticPlace? Saved, IReadOnlyDictionary<int, StaticPlace> Parts)
{
    /// <summary>The memory it touches; some more than once.</summary>
    internal StaticBuffer[] Buffers { get; } = BuffersOf(Result, Inputs, Residual, Saved, Parts);

    private static StaticBuffer[] BuffersOf(StaticPlace result, IReadOnlyList<StaticPlace> inputs, StaticPlace? residual, StaticPlace? saved, IReadOnlyDictionary<int, StaticPlace> parts)
    {
        var count = One(result) + One(residual) + One(saved) + parts.Count;
        for (var i = 0; i < inputs.Count; i++)
            count += One(inputs[i]);
        var (buffers, at) = (new StaticBuffer[count], 0);
        for (var i = 0; i < inputs.Count; i++)
            Add(inputs[i]);
        Add(result);
        Add(residual);
        Add(saved);
        if (parts.Count > 0)
        {
            foreach (var part in parts.Values)
                Add(part);
        }
        return buffers;

        static int One(StaticPlace? place) => place?.Buffer is null ? 0 : 1;

        void Add(StaticPlace? place)
        {
            if (place?.Buffer is { } buffer)
                buffers[at++] = buffer;
        }
    }
}

/// <summary>
/// A graph as straight-line calls on planned memory: what depends on parameters only once a step, everything else image by image, so that
/// workers take slices of a batch through all of it without meeting; sums over images are added up at the end, in a fixed order.
/// </summary>
public sealed class StaticPlan
{
    private const int MostSlices = 8;
    private const int LargestSlice = 16;
    private static readonly Dictionary<int, StaticPlace> NoParts = [];
    // By the values' ids.
    private readonly StaticPlace?[] places;
    private readonly Phase[] phases;
    // Who reads the value with an id, from the place in the table up to the next one's.
    private readonly int[] firstReaders;
    private readonly Value[] readers;
    private readonly Dictionary<object, StaticPlace> saved = [];
    private readonly List<StaticInstruction> instructions = [];
    private readonly bool[] isResult;
    private readonly Recomputation recomputation;

    private StaticPlan(Network network, IReadOnlyList<Value> values, IReadOnlyList<Value> results, Differentiation? step = null)
    {
        this.Network = network;
        this.IsTraining = step is not null;
        this.recomputation = step?.Recomputation ?? Recomputation.None;
        this.Values = InOrder(network.Sections, values);
        this.Idle = IdleBranches.Of(network.Sections, this.Values, results, step?.Gradients);
        var count = values[values.Count - 1].Id + 1;
        this.isResult = new bool[count];
        foreach (var result in results)
            this.isResult[result.Id] = true;
        (this.places, this.phases) = (new StaticPlace?[count], new Phase[count]);
        (this.firstReaders, this.readers) = Readers(this.Values, count);
        foreach (var value in this.Values)
            this.phases[value.Id] = this.PhaseOf(value);
        foreach (var value in this.Values)
            this.Schedule(value);
        this.ScratchElements = this.instructions.Max(Scratch);
        this.Layout = new StaticLayout(this, results);
    }

    /// <summary>The network whose values it computes.</summary>
    public Network Network { get; }

    /// <summary>Whether it is a training step's, with gradients.</summary>
    public bool IsTraining { get; }

    /// <summary>What is computed, in topological order.</summary>
    public IReadOnlyList<Value> Values { get; }

    /// <summary>The calls, in order.</summary>
    public IReadOnlyList<StaticInstruction> Instructions => this.instructions;

    /// <summary>The calls of all sections, those left out among them, and where in memory everything is.</summary>
    public StaticLayout Layout { get; }

    /// <summary>What candidates without a share leave out.</summary>
    internal IdleBranches Idle { get; }

    /// <summary>Numbers of what is computed once a step.</summary>
    public long SharedElements => this.Layout.SharedElements;

    /// <summary>Numbers of a worker's sums.</summary>
    public long PartialElements => this.Layout.PartialElements;

    /// <summary>Numbers of an image, at the moment when most are alive.</summary>
    public long SampleElements => this.Layout.SampleElements;

    /// <summary>Numbers that a call needs for itself: attention's probabilities of one image and head, and their gradient, a number a row and one a key, and all keys and values where a prefix joins them.</summary>
    public long ScratchElements { get; }

    /// <summary>Images of a slice of a batch: what a worker takes through the program at once. Fixed by the batch alone, and so is the order of every sum.</summary>
    public static int SliceOf(int batch) => Math.Max(1, Math.Min((batch + MostSlices - 1) / MostSlices, LargestSlice));

    /// <summary>Slices of a batch.</summary>
    public static int SlicesOf(int batch) => (batch + SliceOf(batch) - 1) / SliceOf(batch);

    /// <summary>Bytes of everything but parameters and images, at a batch, a number of workers and of passes that run at once.</summary>
    public static long PeakBytes(long shared, long partial, long sample, long scratch, int batch, int workers, int passes) =>
        sizeof(float) * ((passes * (shared + (SlicesOf(batch) * partial))) + (Math.Min(workers, passes * SlicesOf(batch)) * SliceOf(batch) * sample) + (workers * scratch));

    /// <summary>Bytes of everything but parameters and images, at a batch, a number of workers and of passes that run at once.</summary>
    public long PeakBytes(int batch, int workers, int passes) => PeakBytes(this.SharedElements, this.PartialElements, this.SampleElements, this.ScratchElements, batch, workers, passes);

    /// <summary>The same where every slice has a worker of its own: the most it can be.</summary>
    public long PeakBytes(int batch, int passes = 1) => this.PeakBytes(batch, passes * SlicesOf(batch), passes);

    /// <summary>Plans the forward pass.</summary>
    public static StaticPlan Of(Network network) => new(network, network.Values, [network.Logits, network.Features]);

    /// <summary>Plans a training step: the forward pass and every gradient.</summary>
    public static StaticPlan Of(Differentiation differentiation) =>
        new(differentiation.Network, differentiation.Values, [.. differentiation.Gradients.Values, differentiation.Network.Logits], differentiation);

    /// <summary>Where a value is.</summary>
    public StaticPlace this[Value value] => this.places[value.Id]!;

    private static long Scratch(StaticInstruction i) => i.Value.Op switch
    {
        AttentionOp op => AttentionScratch(i, op, 1),
        AttentionGradientOp op => AttentionScratch(i, op.Attention, 2),
        RowAttentionGradientOp op => Keys(i.Value, op.Attention),
        _ => 0,
    };

    private static long AttentionScratch(StaticInstruction i, AttentionOp op, int matrices)
    {
        var qkv = i.Value.Inputs[0].Shape;
        var (rows, keys) = ((long)(op.Rows == 0 ? qkv[1].Size : op.Rows), op.Keys(i.Value.InputShapes));
        return (matrices * rows * keys) + rows + keys + (op.Prefixes.Count == 0 ? 0 : 2L * keys * (qkv.Last / 3 / op.Heads));
    }

    /// <summary>Logits of an image: of every head, all keys.</summary>
    private static long Keys(Value value, RowAttentionOp op) => value.Inputs[1].Shape[1].Size * op.Keys(value.InputShapes);

    /// <summary>Section by section, and back: what is common first, gradients of what is common last.</summary>
    private static IReadOnlyList<Value> InOrder(Sections sections, IReadOnlyList<Value> values)
    {
        if (!sections.IsChain)
            return values;
        // Where each part begins, after how many are in it.
        var (parts, next) = (new int[values.Count], new int[(2 * sections.All.Count) + 3]);
        var last = next.Length - 2;
        for (var i = 0; i < parts.Length; i++)
        {
            var value = values[i];
            var isGradient = value.Scope.EndsWith(GraphBuilder.GradientSuffix, StringComparison.Ordinal);
            parts[i] = value.IsLeaf ? 0 : sections.Find(value.Scope) is { } section ? (isGradient ? last - 1 - section.Index : 1 + section.Index) : isGradient ? last : 0;
            next[parts[i] + 1]++;
        }
        for (var part = 0; part <= last; part++)
            next[part + 1] += next[part];
        var ordered = new Value[parts.Length];
        for (var i = 0; i < parts.Length; i++)
            ordered[next[parts[i]]++] = values[i];
        return ordered;
    }

    /// <summary>Who reads what: a table of readers, and where in it those of each value begin.</summary>
    private static (int[] First, Value[] Readers) Readers(IReadOnlyList<Value> values, int count)
    {
        // A reader that reads a value twice is one.
        static bool IsFirst(Value[] inputs, int input) => Array.IndexOf(inputs, inputs[input], 0, input) < 0;
        var next = new int[count + 1];
        foreach (var value in values)
        {
            for (var input = 0; input < value.InputArray.Length; input++)
                next[value.InputArray[input].Id + 1] += IsFirst(value.InputArray, input) ? 1 : 0;
        }
        for (var id = 0; id < count; id++)
            next[id + 1] += next[id];
        var (first, readers) = ((int[])next.Clone(), new Value[next[count]]);
        foreach (var value in values)
        {
            for (var input = 0; input < value.InputArray.Length; input++)
            {
                if (IsFirst(value.InputArray, input))
                    readers[next[value.InputArray[input].Id]++] = value;
            }
        }
        return (first, readers);
    }

    private Users UsersOf(Value value) => new(this.readers, this.firstReaders[value.Id], this.firstReaders[value.Id + 1]);

    private Phase PhaseOf(Value value)
    {
        if (value.Shape.IsPerSample)
            return Phase.Sample;
        var phase = Phase.Shared;
        foreach (var input in value.InputArray)
        {
            switch (this.phases[input.Id])
            {
                case Phase.Sample:
                    return Phase.Partial;
                case Phase.Partial or Phase.Finish:
                    phase = Phase.Finish;
                    break;
            }
        }
        return phase;
    }

    private void Schedule(Value value)
    {
        if (value.IsLeaf)
        {
            this.Place(value, new StaticPlace(value, null, 0, value.Shape.Elements));
            return;
        }
        if (this.places[value.Id] is not null)
            return;
        if (this.View(value) is { } view)
        {
            this.Place(value, view);
            return;
        }
        // A sum takes the place of a product that it alone reads, when that product is added to what is already there.
        if (value.Op is AddOp && this.ProductOf(value) is { } product)
        {
            this.Place(value, this[product]);
            return;
        }
        var inputs = new StaticPlace[value.InputArray.Length];
        for (var i = 0; i < inputs.Length; i++)
            inputs[i] = this[value.InputArray[i]];
        var phase = this.phases[value.Id];
        // Attention whose tokens nothing tuned lies before hands on the gradients of its prefix alone (METHOD §6.1, S7).
        var isWanted = this.isResult[value.Id] || this.UsersOf(value).Exists(user => user.Op is not PartOp);
        var (result, residual) = isWanted ? this.Target(value) : (new StaticPlace(null, null, 0, 0), null);
        // The backward pass of attention needs the output only where it skips the tokens' logits.
        if (value.Op is AttentionGradientOp && isWanted)
            inputs[inputs.Length - 2] = new StaticPlace(null, null, 0, 0);
        this.Place(value, result);
        var parts = NoParts;
        if (value.Op is AttentionGradientOp or RowAttentionGradientOp)
        {
            parts = [];
            var users = this.UsersOf(value);
            for (var i = 0; i < users.Count; i++)
            {
                if (users[i].Op is not PartOp part)
                    continue;
                var place = this.Fresh(users[i]);
                this.Place(users[i], place);
                parts.Add(part.Index, place);
            }
        }
        this.instructions.Add(new StaticInstruction(value, phase, result, inputs, residual, this.SavedBy(value), parts));
    }

    /// <summary>The same numbers under another shape, or a contiguous part of what is not per image; null where numbers have to move.</summary>
    private StaticPlace? View(Value value)
    {
        if (value.Op is not (ReshapeOp or SliceOp or SelectOp))
            return null;
        var source = this[value.Inputs[0]];
        if (value.Op is ReshapeOp)
            return source with { Elements = value.Shape.Elements };
        var (axis, start) = value.Op is SliceOp slice ? (slice.Axis, slice.Start) : (((SelectOp)value.Op).Axis, ((SelectOp)value.Op).Index);
        var shape = value.Inputs[0].Shape;
        return axis == 0 && !shape.IsPerSample
            ? new StaticPlace(source.Leaf, source.Buffer, source.Start + (start * (shape.Elements / shape[0].Size)), value.Shape.Elements)
            : null;
    }

    /// <summary>Operations that can add to their result instead of overwriting it.</summary>
    private static bool CanAccumulate(Op op) => op is LinearOp or MatMulOp or LayerNormGradientOp or EmbedOp or MixOp;

    /// <summary>The sum that an operation's result goes into and nowhere else, if it can be computed right into it; null otherwise.</summary>
    private Value? SumOf(Value value)
    {
        if (!CanAccumulate(value.Op) || this.isResult[value.Id] || this.phases[value.Id] != Phase.Sample)
            return null;
        var users = this.UsersOf(value);
        if (users.Count != 1 || users[0].Op is not AddOp || users[0].Shape != value.Shape)
            return null;
        var sum = users[0];
        var other = sum.Inputs[0] == value ? sum.Inputs[1] : sum.Inputs[0];
        // Both summands may qualify: the later one is added to the earlier one.
        return other.Id < value.Id && (other.Shape == value.Shape || (value.Op is MixOp && other.Shape == value.Shape.Without(0))) ? sum : null;
    }

    /// <summary>The summand that is computed right into a sum; null for none.</summary>
    private Value? ProductOf(Value sum)
    {
        foreach (var input in sum.InputArray)
        {
            if (this.SumOf(input) == sum)
                return input;
        }
        return null;
    }

    /// <summary>Where a result goes, and what it is added to there.</summary>
    private (StaticPlace Result, StaticPlace? Residual) Target(Value value)
    {
        if (this.SumOf(value) is { } sum)
        {
            var other = sum.Inputs[0] == value ? sum.Inputs[1] : sum.Inputs[0];
            var there = this[other];
            return this.IsFreeAfter(other, sum) ? (there, there) : (this.Fresh(value), there);
        }
        // Element by element, so the result may take the place of an input that nobody reads any more.
        if (this.phases[value.Id] == Phase.Sample && value.Op is UnaryOp or UnaryGradientOp or ScaleOp or AddOp or MulOp or MulAddOp)
        {
            foreach (var input in value.InputArray)
            {
                if (input.Shape.Elements == value.Shape.Elements && input.Shape.IsPerSample && this.IsFreeAfter(input, value))
                    return (this[input], null);
            }
        }
        return (this.Fresh(value), null);
    }

    /// <summary>Whether nothing after <paramref name="user"/> reads the memory of a value, and it is memory that may be written.</summary>
    private bool IsFreeAfter(Value value, Value user)
    {
        if (this[value] is not { Buffer: { Phase: Phase.Sample } buffer } || this.phases[user.Id] != Phase.Sample)
            return false;
        foreach (var alias in buffer.Values)
        {
            if (this.isResult[alias.Id])
                return false;
            var readers = this.UsersOf(alias);
            for (var i = 0; i < readers.Count; i++)
            {
                if (readers[i] != user && this.places[readers[i].Id] is null)
                    return false;
            }
        }
        return true;
    }

    private void Place(Value value, StaticPlace place)
    {
        this.places[value.Id] = place;
        place.Buffer?.Values.Add(value);
    }

    private StaticPlace Fresh(Value value) => new(null, new StaticBuffer(this.phases[value.Id], value.Shape.Elements), 0, value.Shape.Elements);

    /// <summary>Statistics that a layer norm, or attention, leaves for its gradient.</summary>
    private StaticPlace? SavedBy(Value value)
    {
        switch (value.Op)
        {
            case LayerNormOp norm:
                var key = (value.Inputs[0], norm.Epsilon);
                if (!this.saved.TryGetValue(key, out var statistics))
                {
                    var elements = 2 * (value.Inputs[0].Shape.Elements / value.Inputs[0].Shape.Last);
                    this.saved.Add(key, statistics = new StaticPlace(null, new StaticBuffer(this.phases[value.Inputs[0].Id], elements), 0, elements));
                }
                return statistics;
            case LayerNormGradientOp gradient:
                return this.saved[(value.Inputs[0], gradient.Epsilon)];
            case LayerNormScaleGradientOp gradient:
                return this.saved[(value.Inputs[0], gradient.Epsilon)];
            case AttentionOp attention when this.UsersOf(value).Exists(user => user.Op is AttentionGradientOp):
                var keys = attention.Keys(value.InputShapes);
                var each = this.recomputation.KeepsProbabilities(keys, value.Shape.Last / attention.Heads) ? 1L + keys : 1;
                var count = value.Shape.Elements / value.Shape.Last * attention.Heads * each;
                var softmax = new StaticPlace(null, new StaticBuffer(this.phases[value.Id], count), 0, count);
                this.saved.Add(value, softmax);
                return softmax;
            case RowAttentionOp rows:
                // Its probabilities: few, and the backward pass starts from them.
                var logits = Keys(value, rows);
                var probabilities = new StaticPlace(null, new StaticBuffer(this.phases[value.Id], logits), 0, logits);
                this.saved.Add(value, probabilities);
                return probabilities;
            case PatchEmbedOp patch:
                // Not saved but needed on the way: the patches as rows.
                var patches = value.Shape[1].Size * (long)value.Inputs[0].Shape[1].Size * patch.Patch * patch.Patch;
                return new StaticPlace(null, new StaticBuffer(Phase.Sample, patches), 0, patches);
            case AttentionGradientOp or RowAttentionGradientOp:
                return this.saved[value.Inputs[value.Inputs.Count - 2]];
            default:
                return null;
        }
    }

    /// <summary>Those who read a value, in order.</summary>
    private readonly struct Users(Value[] all, int from, int to)
    {
        public int Count => to - from;

        public Value this[int index] => all[from + index];

        public bool Exists(Predicate<Value> test) => Array.FindIndex(all, from, to - from, test) >= 0;
    }
}
