namespace FusionGen.Compiler.Graph;

/// <summary>A value of the graph: assigned once, typed, with a shape.</summary>
public sealed class Value
{
    internal Value(int id, Op op, Value[] inputs, string scope)
    {
        this.Id = id;
        this.Op = op;
        this.InputArray = inputs;
        this.Scope = scope;
        this.IsTracked = op is MixtureOp or ParameterOp { Role: not (ParameterRole.Frozen or ParameterRole.Fixed) };
        this.InputShapes = inputs.Length == 0 ? [] : new Shape[inputs.Length];
        for (var i = 0; i < inputs.Length; i++)
        {
            this.InputShapes[i] = inputs[i].Shape;
            this.IsTracked |= inputs[i].IsTracked;
        }
        this.Shape = op.Infer(this.InputShapes);
    }

    /// <summary>Position in the order of creation, which is topological.</summary>
    public int Id { get; }

    /// <summary>What computes it.</summary>
    public Op Op { get; }

    /// <summary>From what.</summary>
    public IReadOnlyList<Value> Inputs => this.InputArray;

    /// <summary>The same, for those who go through all of a graph.</summary>
    internal Value[] InputArray { get; }

    /// <summary>Their shapes.</summary>
    internal Shape[] InputShapes { get; }

    /// <summary>The part of the network it belongs to: <c>embed</c>, <c>blocks.3</c>, <c>head</c>; <c>shared</c> for what several layers use.</summary>
    public string Scope { get; }

    /// <summary>Its shape.</summary>
    public Shape Shape { get; }

    /// <summary>Whether it depends on anything tuned or searched, so that gradients flow into it.</summary>
    public bool IsTracked { get; }

    /// <summary>What to call it in emitted code.</summary>
    public string Hint { get; private set; } = "";

    /// <summary>Whether nothing computes it: a parameter, an input, a mixture.</summary>
    public bool IsLeaf => this.Op is ParameterOp or InputOp or MixtureOp;

    /// <summary>Multiply-adds, in all or of one image.</summary>
    public long Macs => this.Op.Macs(this.InputShapes, this.Shape);

    /// <inheritdoc/>
    public override int GetHashCode() => this.Id;

    /// <summary>Names the value for emitted code.</summary>
    public Value Named(string hint)
    {
        if (this.Hint.Length == 0)
            this.Hint = hint;
        return this;
    }
}

/// <summary>
/// Builds a graph. Equal operations on equal inputs in one scope are one value, so a bank shared by all layers is computed once
/// where its users say so by <see cref="In"/> <c>shared</c>.
/// </summary>
/// <param name="expected">About how many values there will be.</param>
public sealed class GraphBuilder(int expected = 0)
{
    // By a hash of operation, scope and inputs: where in the list the last one is, plus 1; before it the next. Smaller than a dictionary, whose table would be a large object.
    private readonly List<(Value Value, int Hash, int Before)> known = new(expected);
    private int[] last = new int[TableSize(expected)];
    private readonly Dictionary<string, Value> parameters = new(StringComparer.Ordinal);
    private readonly List<Value> values = new(expected);
    private string scope = "";
    private int scopeHash;

    /// <summary>The scope of parameter-only values that several layers use.</summary>
    public const string SharedScope = "shared";

    /// <summary>Ends the scope of a part's gradients.</summary>
    internal const string GradientSuffix = ".gradient";

    /// <summary>Every value, in topological order.</summary>
    public IReadOnlyList<Value> Values => this.values;

    /// <summary>The part of the network that what is added belongs to.</summary>
    internal string Scope
    {
        get => this.scope;
        set
        {
            if (!ReferenceEquals(value, this.scope))
                (this.scope, this.scopeHash) = (value, value.GetHashCode());
        }
    }

    /// <summary>Builds something in a scope.</summary>
    public T In<T>(string name, Func<T> build)
    {
        var outer = this.Scope;
        this.Scope = name;
        try
        {
            return build();
        }
        finally
        {
            this.Scope = outer;
        }
    }

    /// <summary>A parameter; asked for again, the same one.</summary>
    public Value Parameter(string name, ParameterRole role, Init init, params int[] shape)
    {
        if (!this.parameters.TryGetValue(name, out var value))
            this.parameters.Add(name, value = this.Append(new ParameterOp(name, role, init, Shape.Of(shape))));
        return value;
    }

    /// <summary>Something the network is given.</summary>
    public Value Input(string name, Shape shape) => this.Add(new InputOp(name, shape)).Named(name);

    /// <summary>π, or ln π, of a candidate of a layer: a number.</summary>
    public Value Weight(int layer, int candidates, int candidate, bool log = false) =>
        this.Select(this.Add(new MixtureOp(layer, candidates, log)), 0, candidate);

    /// <inheritdoc cref="LinearOp"/>
    public Value Linear(Value x, Value weight, Value? bias = null) =>
        bias is null ? this.Add(new LinearOp(false), x, weight) : this.Add(new LinearOp(true), x, weight, bias);

    /// <inheritdoc cref="MatMulOp"/>
    public Value MatMul(Value a, Value b, bool transposeA = false, bool transposeB = false) => this.Add(new MatMulOp(transposeA, transposeB), a, b);

    /// <inheritdoc cref="AddOp"/>
    public Value Sum(params Value[] summands) => this.Add(new AddOp(), summands);

    /// <inheritdoc cref="MulOp"/>
    public Value Mul(Value a, Value b) => this.Add(new MulOp(), a, b);

    /// <inheritdoc cref="MulAddOp"/>
    public Value MulAdd(Value a, Value b, Value c) => this.Add(new MulAddOp(), a, b, c);

    /// <inheritdoc cref="ScaleOp"/>
    public Value Scale(Value x, double factor, double offset = 0) => factor == 1 && offset == 0 ? x : this.Add(new ScaleOp(factor, offset), x);

    /// <inheritdoc cref="UnaryOp"/>
    public Value Apply(UnaryKind kind, Value x) => this.Add(new UnaryOp(kind), x);

    /// <summary>Layer norm over the last dimension.</summary>
    public Value LayerNorm(Value x, double epsilon, Value? weight = null, Value? bias = null) =>
        weight is null ? this.Add(new LayerNormOp(epsilon, false), x) : this.Add(new LayerNormOp(epsilon, true), x, weight, bias!);

    /// <inheritdoc cref="SoftmaxOp"/>
    public Value Softmax(Value x, int axis, int top = 0, bool whenDiscrete = false) => this.Add(new SoftmaxOp(axis, top, whenDiscrete), x);

    /// <inheritdoc cref="AttentionOp"/>
    public Value Attention(Value qkv, int heads, IReadOnlyList<(Value KeysValues, Value? LogWeight)> prefixes, Value? bias = null, int? rows = null)
    {
        var inputs = new List<Value> { qkv };
        foreach (var (keysValues, logWeight) in prefixes)
        {
            inputs.Add(keysValues);
            if (logWeight is not null)
                inputs.Add(logWeight);
        }
        if (bias is not null)
            inputs.Add(bias);
        return this.Add(new AttentionOp(heads, prefixes.Select(prefix => prefix.LogWeight is not null).ToEquatableArray(), bias is not null, rows ?? 0), [.. inputs]);
    }

    /// <inheritdoc cref="BlockDiagonalOp"/>
    public Value BlockDiagonal(Value x) => this.Add(new BlockDiagonalOp(), x);

    /// <inheritdoc cref="ConcatOp"/>
    public Value Concat(int axis, params Value[] inputs) => this.Add(new ConcatOp(axis), inputs);

    /// <inheritdoc cref="SliceOp"/>
    public Value Slice(Value x, int axis, int start, int length) => this.Add(new SliceOp(axis, start, length), x);

    /// <inheritdoc cref="EmbedOp"/>
    public Value Embed(Value x, int axis, int start, int size) => this.Add(new EmbedOp(axis, start, size), x);

    /// <inheritdoc cref="SelectOp"/>
    public Value Select(Value x, int axis, int index) => this.Add(new SelectOp(axis, index), x);

    /// <inheritdoc cref="ReshapeOp"/>
    public Value Reshape(Value x, Shape shape) => x.Shape == shape ? x : this.Add(new ReshapeOp(shape), x);

    /// <inheritdoc cref="PermuteOp"/>
    public Value Permute(Value x, params int[] order) => this.Add(new PermuteOp(order.ToEquatableArray()), x);

    /// <inheritdoc cref="ExpandOp"/>
    public Value Expand(Value x, Value like) => this.Add(new ExpandOp(), x, like);

    /// <summary>What dropout leaves of x in training.</summary>
    /// <param name="x">(P, d) or (B, P, d).</param>
    /// <param name="site">What is dropped.</param>
    /// <param name="rate">How likely; 0 for never.</param>
    /// <param name="like">Something of every image, which then has a mask of its own, one for all its windows; null for one mask.</param>
    /// <param name="channels">Whether whole channels of an image are dropped.</param>
    public Value Dropout(Value x, string site, double rate, Value? like, bool channels = false)
    {
        if (rate == 0)
            return x;
        var shape = like is null || x.Shape.IsPerSample ? x.Shape : new Shape(x.Shape.Dims.Prepend(like.Shape[0]).ToEquatableArray());
        var ofImage = like is null ? shape : shape.With(0, 1);
        var windows = shape[0].Size / ofImage[0].Size;
        if (windows > 1)
            like = this.Reshape(like!, ByWindows(like!.Shape.With(0, 1), windows));
        var mask = new DropoutMaskOp(site, rate, channels ? ofImage.With(1, 1) : ofImage);
        var kept = this.BroadcastTo(this.Add(mask, like is null ? [] : [like]).Named("kept"), ofImage);
        if (windows > 1)
            kept = this.Reshape(this.BroadcastTo(this.Reshape(kept, ByWindows(ofImage, 1)), ByWindows(ofImage, windows)), shape);
        return this.Mul(x, kept);

        // (B, …) as (B, w, …).
        static Shape ByWindows(Shape ofImage, int windows) => ofImage.Take(1, [new Dim(windows), .. ofImage.Dims.Skip(1)]);
    }

    /// <inheritdoc cref="PatchEmbedOp"/>
    public Value PatchEmbed(Value images, Value weight, Value bias, int patch) => this.Add(new PatchEmbedOp(patch), images, weight, bias);

    /// <inheritdoc cref="MeanOp"/>
    public Value Mean(Value x, int axis, int start = 0) => this.Add(new MeanOp(axis, start), x);

    /// <inheritdoc cref="RelativeBiasOp"/>
    public Value RelativeBias(Value table, int window) => this.Add(new RelativeBiasOp(window), table);

    /// <inheritdoc cref="WindowMaskOp"/>
    public Value WindowMask(int rows, int columns, int window, int shift) => this.Add(new WindowMaskOp(rows, columns, window, shift));

    /// <inheritdoc cref="NeighbourBiasOp"/>
    public Value NeighbourBias(int side, int heads, bool padded) => this.Add(new NeighbourBiasOp(side, heads, padded));

    /// <inheritdoc cref="ReadoutsOp"/>
    public Value Readouts(IEnumerable<double> losses, params Value[] streams) => this.Add(new ReadoutsOp(losses.ToEquatableArray()), streams);

    /// <inheritdoc cref="RollOp"/>
    public Value Roll(Value x, int shift) => shift == 0 ? x : this.Add(new RollOp(shift), x);

    /// <inheritdoc cref="PadOp"/>
    public Value Pad(Value x, int rows, int columns) => rows == 0 && columns == 0 ? x : this.Add(new PadOp(rows, columns), x);

    /// <inheritdoc cref="SumToOp"/>
    public Value SumTo(Value x, Shape target) => x.Shape == target ? x : this.Add(new SumToOp(target), x);

    /// <inheritdoc cref="MulSumToOp"/>
    public Value MulSumTo(Value a, Value b, Shape target) => Shape.Broadcast(a.Shape, b.Shape) == target ? this.Mul(a, b) : this.Add(new MulSumToOp(target), a, b);

    /// <inheritdoc cref="BroadcastToOp"/>
    public Value BroadcastTo(Value x, Shape target) => x.Shape == target ? x : this.Add(new BroadcastToOp(target), x);

    /// <summary>The values that results depend on, in topological order.</summary>
    public IReadOnlyList<Value> Live(IEnumerable<Value> results)
    {
        var live = new bool[this.values.Count];
        foreach (var result in results)
            live[result.Id] = true;
        var count = 0;
        for (var i = live.Length - 1; i >= 0; i--)
        {
            if (!live[i])
                continue;
            count++;
            foreach (var input in this.values[i].InputArray)
                live[input.Id] = true;
        }
        var found = new List<Value>(count);
        for (var i = 0; i < live.Length; i++)
        {
            if (live[i])
                found.Add(this.values[i]);
        }
        return found;
    }

    /// <summary>Adds an operation; equal ones on equal inputs of a scope are one value.</summary>
    internal Value Add(Op op, params Value[] inputs)
    {
        var hash = (op.GetHashCode() * 31) + this.scopeHash;
        foreach (var input in inputs)
            hash = (hash * 31) + input.Id;
        for (var i = this.Place(hash) - 1; i >= 0; i = this.known[i].Before - 1)
        {
            if (this.known[i].Hash == hash && this.IsSame(this.known[i].Value, op, inputs))
                return this.known[i].Value;
        }
        var value = this.Append(op, inputs);
        if (this.known.Count == this.last.Length)
            this.Spread();
        this.Note(value, hash);
        return value;
    }

    /// <summary>Adds an operation that equals no other.</summary>
    internal Value Append(Op op, params Value[] inputs)
    {
        var value = new Value(this.values.Count, op, inputs, this.Scope);
        this.values.Add(value);
        return value;
    }

    private bool IsSame(Value value, Op op, Value[] inputs)
    {
        var others = value.InputArray;
        if (inputs.Length != others.Length || (!ReferenceEquals(this.scope, value.Scope) && this.scope != value.Scope))
            return false;
        for (var i = 0; i < inputs.Length; i++)
        {
            if (inputs[i] != others[i])
                return false;
        }
        return op.Equals(value.Op);
    }

    private void Note(Value value, int hash)
    {
        ref var place = ref this.Place(hash);
        this.known.Add((value, hash, place));
        place = this.known.Count;
    }

    private static int TableSize(int expected)
    {
        var size = 64;
        while (size < expected)
            size *= 2;
        return size;
    }

    private ref int Place(int hash) => ref this.last[hash & (this.last.Length - 1)];

    private void Spread()
    {
        this.last = new int[2 * this.last.Length];
        this.known.Capacity = this.last.Length;
        for (var i = 0; i < this.known.Count; i++)
        {
            var (value, hash, _) = this.known[i];
            ref var place = ref this.Place(hash);
            (this.known[i], place) = ((value, hash, place), i + 1);
        }
    }
}
