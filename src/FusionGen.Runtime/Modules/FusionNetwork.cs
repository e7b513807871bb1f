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
    private StaticEngine? step;
    private StaticEngine? inference;

    /// <summary>Creates every parameter, uninitialised values included: call <see cref="Initialize"/> or load weights.</summary>
    protected FusionNetwork(NetworkPlan plan, IReadOnlyList<TensorSpec> specs, Device? device, ScalarType dtype)
        : base(plan?.Model ?? throw new ArgumentNullException(nameof(plan)))
    {
        ArgumentNullException.ThrowIfNull(specs);
        this.Plan = plan;
        this.Specs = specs;
        this.DataType = dtype;
        this.Location = device ?? CPU;
        this.table = new Parameter[specs.Count];
        this.index = new Dictionary<string, int>(specs.Count, StringComparer.Ordinal);
        for (var i = 0; i < specs.Count; i++)
        {
            var tensor = zeros([.. specs[i].Shape], dtype: dtype, device: this.Location);
            this.table[i] = new Parameter(tensor, specs[i].Role != TensorRole.Frozen);
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
    /// Who computes losses, and logits where no gradient is asked for: on the CPU in float32 the static program, unless told otherwise;
    /// everywhere else the eager modules.
    /// </summary>
    public Engine Engine { get; set; } = Engine.Static;

    /// <summary>Logits (B, classes) of normalised images (B, 3, <see cref="NetworkPlan.ImageSize"/>, <see cref="NetworkPlan.ImageSize"/>).</summary>
    public sealed override Tensor forward(Tensor input) => this.Logits(input, null);

    /// <summary>Mean cross-entropy and logits at given parameters; gradients flow into those of <paramref name="values"/> that require them.</summary>
    /// <param name="images">(B, 3, S, S).</param>
    /// <param name="labels">(B), int64.</param>
    /// <param name="values">One tensor for each of <see cref="Specs"/>, in order.</param>
    /// <param name="isTwiceDifferentiable">Whether gradients of gradients will be asked for, which the static engine has none of.</param>
    public virtual (Tensor Loss, Tensor Logits) Loss(Tensor images, Tensor labels, IReadOnlyList<Tensor> values, bool isTwiceDifferentiable = false) =>
        this.LossOf(images, labels, values, null, isTwiceDifferentiable);

    /// <summary>The same at other parameters: <paramref name="values"/> holds one tensor for each of <see cref="Specs"/>, in order.</summary>
    public abstract Tensor Forward(Tensor images, IReadOnlyList<Tensor> values);

    /// <summary>What the head reads, (B, width): pooled and normalised features, at given parameters.</summary>
    public abstract Tensor Features(Tensor images, IReadOnlyList<Tensor> values);

    /// <summary>What runs training steps; null before the first, or where the eager modules do.</summary>
    internal StaticEngine? StepEngine => this.step;

    /// <summary>The static program of a training step; null where the compiler wrote none.</summary>
    protected virtual StaticProgram? TrainingProgram() => null;

    /// <summary>The static program of a forward pass; null where the compiler wrote none.</summary>
    protected virtual StaticProgram? InferenceProgram() => null;

    private protected (Tensor Loss, Tensor Logits) LossOf(Tensor images, Tensor labels, IReadOnlyList<Tensor> values, Mixture? mixture, bool isTwiceDifferentiable)
    {
        ArgumentNullException.ThrowIfNull(images);
        ArgumentNullException.ThrowIfNull(labels);
        ArgumentNullException.ThrowIfNull(values);
        if (!isTwiceDifferentiable && this.EngineOf(ref this.step, this.TrainingProgram) is { } engine)
            return StaticLoss.Of(engine, images, labels, values, mixture);
        var logits = this.Eager(images, values, mixture);
        return (nn.functional.cross_entropy(logits, labels), logits);
    }

    /// <summary>Logits at the network's own parameters: by the static program where no gradient is asked for.</summary>
    private protected virtual Tensor Logits(Tensor images, Mixture? mixture) => !is_grad_enabled() && this.EngineOf(ref this.inference, this.InferenceProgram) is { } engine
        ? engine.Forward(images, this.table, mixture)
        : this.Eager(images, this.table, mixture);

    private StaticEngine? EngineOf(ref StaticEngine? engine, Func<StaticProgram?> program)
    {
        if (this.Engine != Engine.Static || this.Location.type != TorchSharp.DeviceType.CPU || this.DataType != ScalarType.Float32)
            return null;
        return engine ??= program() is { } own ? new StaticEngine(own, this, this.Plan.Depth) : null;
    }

    private protected virtual Tensor Eager(Tensor images, IReadOnlyList<Tensor> values, Mixture? mixture) => this.Forward(images, values);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            this.step?.Dispose();
            this.inference?.Dispose();
        }
        base.Dispose(disposing);
    }

    /// <summary>Everything is registered by the constructor; nothing is found by reflection.</summary>
    protected override void RegisterComponents()
    {
    }
}
