using FusionGen.Static;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FusionGen;

/// <summary>
/// Base of every generated network. Parameters are a table in the order of <see cref="Specs"/>; <see cref="Forward(Tensor, IReadOnlyList{Tensor})"/>
/// is a function of the images and of such a table, so that a search can evaluate the network at weights other than its own (an unrolled step).
/// </summary>
public abstract class FusionNetwork : nn.Module<Tensor, Tensor>
{
    private readonly Parameter[] table;
    private readonly Dictionary<string, int> index;
    private readonly Lock gate = new();
    private Tensor[]? views;
    private StaticEngine? step;
    private StaticEngine? inference;
    private StaticPass? inferencePass;

    /// <summary>Creates every parameter, uninitialised values included: call <see cref="Initialize"/> or load weights.</summary>
    protected FusionNetwork(NetworkPlan plan, IReadOnlyList<TensorSpec> specs, Device? device, ScalarType dtype)
        : base(plan?.Model ?? throw new ArgumentNullException(nameof(plan)))
    {
        ArgumentNullException.ThrowIfNull(specs);
        this.Plan = plan;
        this.Specs = specs;
        this.DataType = dtype;
        this.Location = device ?? CPU;
        this.Weights = new ParameterGroup(specs, spec => spec.IsTuned, dtype, this.Location);
        this.Alphas = new ParameterGroup(specs, spec => spec.Role == TensorRole.Architecture, dtype, this.Location);
        this.table = new Parameter[specs.Count];
        this.index = new Dictionary<string, int>(specs.Count, StringComparer.Ordinal);
        for (var i = 0; i < specs.Count; i++)
        {
            var group = this.Weights.Holds(i) ? this.Weights : this.Alphas.Holds(i) ? this.Alphas : null;
            var tensor = group?.View(i, specs[i]) ?? zeros([.. specs[i].Shape], dtype: dtype, device: this.Location);
            this.table[i] = new Parameter(tensor, group is not null);
            this.index.Add(specs[i].Name, i);
            this.register_parameter(specs[i].Name, this.table[i]);
        }
    }

    /// <summary>What is known of the network before anything runs.</summary>
    public NetworkPlan Plan { get; }

    /// <summary>Every parameter, in table order.</summary>
    public IReadOnlyList<TensorSpec> Specs { get; }

    /// <summary>Type of every parameter and activation.</summary>
    public ScalarType DataType { get; }

    /// <summary>Where parameters live; images must be there too.</summary>
    public Device Location { get; }

    /// <summary>The parameters, in the order of <see cref="Specs"/>.</summary>
    public IReadOnlyList<Parameter> Table => this.table;

    /// <summary>The parameter of that name.</summary>
    /// <exception cref="KeyNotFoundException">The network has none of that name.</exception>
    public Parameter this[string parameter] => this.table[this.IndexOf(parameter)];

    /// <summary>Position in the table of the parameter of that name.</summary>
    /// <exception cref="KeyNotFoundException">The network has none of that name.</exception>
    public int IndexOf(string parameter) => this.index.TryGetValue(parameter, out var i)
        ? i
        : throw new KeyNotFoundException($"{this.Plan.Model} has no parameter '{parameter}'");

    /// <summary>Whether the network has a parameter of that name.</summary>
    public bool Has(string parameter) => this.index.ContainsKey(parameter);

    /// <summary>Parameters of some roles, in table order.</summary>
    public IReadOnlyList<Parameter> WithRole(params ReadOnlySpan<TensorRole> roles)
    {
        var found = new List<Parameter>();
        for (var i = 0; i < this.table.Length; i++)
        {
            if (roles.Contains(this.Specs[i].Role))
                found.Add(this.table[i]);
        }
        return found;
    }

    /// <summary>What gradient descent on the training split moves: prompts, operator weights and head, in table order.</summary>
    public IReadOnlyList<Parameter> Tuned() => this.WithRole(TensorRole.Tuned, TensorRole.Head);

    /// <summary>Gives every parameter its initial value; same seed, same bits. Frozen parameters too: load the backbone afterwards.</summary>
    public void Initialize(long seed)
    {
        using var guard = no_grad();
        for (var i = 0; i < this.table.Length; i++)
        {
            var spec = this.Specs[i];
            var values = new float[spec.Count];
            spec.Initializer.Fill(values, spec.Shape, SplitMix.For(seed, spec.Name));
            using var source = tensor(values, [.. spec.Shape]);
            this.table[i].copy_(source);
        }
    }

    /// <summary>
    /// Who computes steps, and logits where no gradient is asked for: of a network on the CPU in float32 the static program, unless told otherwise;
    /// of every other the eager modules.
    /// </summary>
    /// <exception cref="FusionException">The eager modules are asked for, and there is no libtorch.</exception>
    public Engine Engine
    {
        get;
        set
        {
            if (value == Engine.Eager)
                LibTorch.Require("the eager engine");
            field = value;
        }
    } = Engine.Static;

    /// <summary>Where the static program computes, if not on the CPU. The parameters stay where they are, and are copied there whenever they have changed.</summary>
    /// <exception cref="FusionException">There is no libtorch.</exception>
    public Accelerator? Accelerator
    {
        get;
        set
        {
            if (value is not null)
                LibTorch.Require("an accelerator");
            lock (this.gate)
            {
                this.DisposeEngines();
                field = value;
            }
        }
    }

    /// <summary>What dropout draws from in the training step that is being made; null outside of training, where nothing is dropped.</summary>
    public DropoutStep? Dropout { get; set; }

    /// <summary>Logits (B, classes) of normalised images (B, 3, <see cref="NetworkPlan.ImageSize"/>, <see cref="NetworkPlan.ImageSize"/>).</summary>
    public sealed override Tensor forward(Tensor input) => this.Infer(input, null, features: false) ?? Predicting(this.Forward(input, this.table));

    /// <summary>What the head reads, (B, width), of normalised images.</summary>
    public Tensor Features(Tensor images) => this.Infer(images, null, features: true) ?? Predicting(this.Features(images, this.table));

    /// <summary>Logits at other parameters, (B, classes) or of several streams (B, n, classes), by the eager modules: <paramref name="values"/> holds one tensor for each of <see cref="Specs"/>, in order.</summary>
    public abstract Tensor Forward(Tensor images, IReadOnlyList<Tensor> values);

    /// <summary>What the head reads, (B, width): pooled and normalised features, at given parameters, by the eager modules.</summary>
    public abstract Tensor Features(Tensor images, IReadOnlyList<Tensor> values);

    /// <summary>Mean cross-entropy of what <see cref="Forward(Tensor, IReadOnlyList{Tensor})"/> gave; of several streams, the sum of theirs by <see cref="NetworkPlan.Losses"/>.</summary>
    /// <param name="logits">(B, classes) or (B, n, classes).</param>
    /// <param name="labels">(B), int64.</param>
    public Tensor Loss(Tensor logits, Tensor labels)
    {
        ArgumentNullException.ThrowIfNull(logits);
        if (logits.ndim == 2)
            return nn.functional.cross_entropy(logits, labels);
        using var scope = NewDisposeScope();
        var losses = this.Plan.Losses.Select((weight, stream) => nn.functional.cross_entropy(logits.select(1, stream), labels) * weight);
        return losses.Aggregate((sum, loss) => sum + loss).MoveToOuterDisposeScope();
    }

    /// <summary>Of the logits that a step leaves.</summary>
    internal long[] LogitsShape(int batch) => this.Plan.Losses.Count == 1 ? [batch, this.Plan.Classes] : [batch, this.Plan.Losses.Count, this.Plan.Classes];

    /// <summary>What predicts, (B, k), of several streams' (B, n, k), a view; one stream's as it is.</summary>
    public static Tensor Prediction(Tensor streams)
    {
        ArgumentNullException.ThrowIfNull(streams);
        return streams.ndim == 2 ? streams : streams.select(1, 0);
    }

    /// <summary>The same of streams that nobody else holds.</summary>
    private protected static Tensor Predicting(Tensor streams)
    {
        var prediction = Prediction(streams);
        if (!ReferenceEquals(prediction, streams))
            streams.Dispose();
        return prediction;
    }

    /// <summary>Dropout's factors, for generated code: those of the static program, to the bit.</summary>
    /// <param name="like">Says how many images there are, of which type and where.</param>
    /// <param name="site">Number of what is dropped.</param>
    /// <param name="rate">How likely.</param>
    /// <param name="shape">Shape of the factors; -1 for a batch, of which every image has its own.</param>
    protected Tensor DropoutMask(Tensor like, uint site, double rate, params ReadOnlySpan<long> shape)
    {
        ArgumentNullException.ThrowIfNull(like);
        var sizes = shape.ToArray();
        var samples = 1;
        if (sizes[0] < 0)
            sizes[0] = samples = (int)like.shape[0];
        var mask = new float[sizes.Aggregate(1L, (product, size) => product * size)];
        var length = mask.Length / samples;
        mask.AsSpan().Fill(1);
        for (var i = 0; i < samples && this.Dropout is { } step; i++)
            step.Fill(mask.AsSpan(i * length, length), site, i, (float)rate);
        using var values = tensor(mask, sizes);
        return values.to(like.dtype, like.device);
    }

    /// <summary>Everything tuned, in one tensor.</summary>
    internal ParameterGroup Weights { get; }

    /// <summary>α of every layer with a choice, in one tensor.</summary>
    internal ParameterGroup Alphas { get; }

    /// <summary>What runs the static program of a training step; null where the eager modules run.</summary>
    internal StaticEngine? Training => this.IsStatic && this.EngineOf(ref this.step, this.TrainingProgram) is { } engine && this.Weights.Indices.All(engine.Program.Differentiates) ? engine : null;

    /// <summary>What runs predictions; null before the first, or where the eager modules do.</summary>
    internal StaticEngine? Inference => this.inference;

    private bool IsStatic => this.Engine == Engine.Static && this.Location.type == TorchSharp.DeviceType.CPU && this.DataType == ScalarType.Float32;

    /// <summary>The static program of a training step; null where the compiler wrote none.</summary>
    protected virtual StaticProgram? TrainingProgram() => null;

    /// <summary>The static program of a forward pass; null where the compiler wrote none.</summary>
    protected virtual StaticProgram? InferenceProgram() => null;

    /// <summary>The table, with gradients flowing only into parameters of some roles; the others share their storage.</summary>
    internal IReadOnlyList<Tensor> TableFor(params ReadOnlySpan<TensorRole> roles)
    {
        this.views ??= Array.ConvertAll(this.table, parameter => parameter.detach().DetachFromDisposeScope());
        var values = new Tensor[this.table.Length];
        for (var i = 0; i < values.Length; i++)
            values[i] = roles.Contains(this.Specs[i].Role) ? this.table[i] : this.views[i];
        return values;
    }

    /// <summary>Logits (B, classes) of normalised images (B, 3, S, S), as numbers.</summary>
    private protected unsafe float[] LogitsOf(float[] pixels)
    {
        var size = this.Plan.ImageSize;
        var batch = pixels.Length / (3 * size * size);
        if (this.IsStatic && this.InferencePass() is { } pass)
        {
            fixed (float* start = pixels)
            {
                lock (pass)
                    return this.AtOwn(pass).On(start, batch).Run().Logits.ToArray();
            }
        }
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        return Predicting(this.Forward(tensor(pixels, [batch, 3, size, size]).to(this.DataType, this.Location), this.table)).to(ScalarType.Float32, CPU).data<float>().ToArray();
    }

    /// <summary>Logits or features at the network's own parameters, by the static program; null where a gradient may be asked for or there is no program.</summary>
    private protected Tensor? Infer(Tensor images, Mixture? mixture, bool features, StaticSnapshot? snapshot = null)
    {
        if (is_grad_enabled() || !this.IsStatic || this.InferencePass() is not { } pass)
            return null;
        var batch = images.shape[0];
        using var contiguous = images.contiguous();
        // Apps predict from many threads: results are copied before the next run overwrites them.
        lock (pass)
        {
            pass.Snapshot = snapshot;
            this.AtOwn(pass, mixture).On(contiguous, (int)batch).Run();
            pass.Snapshot = null;
            var values = (features ? pass.Features : pass.Logits).ToArray();
            return tensor(values, [batch, values.Length / batch]);
        }
    }

    /// <summary>Puts a pass at the network's own parameters and at a mixture; null for the network's own.</summary>
    internal virtual StaticPass AtOwn(StaticPass pass, Mixture? mixture = null)
    {
        pass.Operands.Dropout = this.Dropout;
        return pass.AtOwnWeights();
    }

    /// <summary>A snapshot to take before a layer; null where the eager modules predict or an accelerator does, or the program starts at its beginning only.</summary>
    private protected StaticSnapshot? NewSnapshot(int layer)
    {
        if (!this.IsStatic || this.Accelerator is not null || this.InferencePass() is null)
            return null;
        return this.inference!.Program.Entries.FirstOrDefault(entry => entry.Layer == layer) is { } entry ? new StaticSnapshot(entry) : null;
    }

    private StaticPass? InferencePass()
    {
        var engine = this.EngineOf(ref this.inference, this.InferenceProgram);
        lock (this.gate)
            return this.inferencePass ??= engine?.NewPass();
    }

    private StaticEngine? EngineOf(ref StaticEngine? engine, Func<StaticProgram?> program)
    {
        lock (this.gate)
            return engine ??= program() is { } own ? StaticEngine.Of(own, this) : null;
    }

    private void DisposeEngines()
    {
        this.step?.Dispose();
        this.inference?.Dispose();
        (this.step, this.inference, this.inferencePass) = (null, null, null);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            this.DisposeEngines();
            foreach (var view in this.views ?? [])
                view.Dispose();
            this.Weights.Dispose();
            this.Alphas.Dispose();
        }
        base.Dispose(disposing);
    }

    /// <summary>Everything is registered by the constructor; nothing is found by reflection.</summary>
    protected override void RegisterComponents()
    {
    }
}
