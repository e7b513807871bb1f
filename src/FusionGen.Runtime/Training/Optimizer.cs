using System.Globalization;
using System.Runtime.InteropServices;
using FusionGen.Kernels;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FusionGen.Training;

/// <summary>A parameter as an optimizer sees it.</summary>
/// <param name="Name">Its name in the network.</param>
/// <param name="Value">The parameter.</param>
/// <param name="Decays">Whether weight decay applies to it.</param>
/// <param name="Rate">What its learning rate is multiplied by.</param>
public sealed record OptimizedParameter(string Name, Parameter Value, bool Decays = true, double Rate = 1);

/// <summary>
/// Moves parameters along gradients that the caller computed. Ours rather than the library's: its state is named, saved and loaded
/// whole, decay is a property of the parameter, and the unrolled step of a search can ask where plain descent would lead.
/// Numerically as <c>torch.optim</c>.
/// </summary>
public abstract class Optimizer : IDisposable
{
    private readonly long[] steps;
    private readonly Section[] sections;
    private readonly (string Kind, Buffer Buffer)[] buffers;

    private protected Optimizer(IReadOnlyList<OptimizedParameter> parameters, OptimizerSettings settings, params ReadOnlySpan<string> kinds)
    {
        this.Parameters = parameters;
        this.Settings = settings;
        this.LearningRate = settings.LearningRate;
        this.steps = new long[parameters.Count];
        this.sections = Sections(parameters);
        this.buffers = [.. kinds.ToArray().Select(kind => (kind, new Buffer(parameters)))];
    }

    /// <summary>What is optimized.</summary>
    public IReadOnlyList<OptimizedParameter> Parameters { get; }

    /// <summary>The constants.</summary>
    public OptimizerSettings Settings { get; }

    /// <summary>The rate of the next step.</summary>
    public double LearningRate { get; set; }

    /// <summary>The optimizer of a kind, in its initial state.</summary>
    public static Optimizer Create(OptimizerSettings settings, IReadOnlyList<OptimizedParameter> parameters)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(parameters);
        return settings.Kind == OptimizerKind.Sgd ? new Sgd(parameters, settings) : new Adam(parameters, settings);
    }

    /// <summary>
    /// Whether weight decay applies to a parameter. VPT's SGD leaves the bias of the head alone and its own AdamW every bias (<c>make_optimizer</c>);
    /// prompt-fusion discovery's AdamW decays everything.
    /// </summary>
    public static bool Decays(OptimizerSettings settings, string name)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(name);
        return AsPublished(settings).Kind switch
        {
            OptimizerKind.Sgd => name != "head.bias",
            OptimizerKind.VptAdamW => !name.EndsWith("bias", StringComparison.Ordinal),
            _ => true,
        };
    }

    /// <summary>What the learning rate of a parameter is multiplied by: VPT's SGD has a factor for biases but the head's (<c>make_optimizer</c>).</summary>
    public static double Rate(OptimizerSettings settings, string name)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(name);
        return AsPublished(settings).Kind == OptimizerKind.Sgd && name != "head.bias" && name.EndsWith("bias", StringComparison.Ordinal) ? settings.BiasMultiplier : 1;
    }

    /// <summary>What VPT's code makes of its AdamW when it sets up a training: without decay it is SGD, and decay is always 0.01.</summary>
    public static OptimizerSettings AsPublished(OptimizerSettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        return settings.Kind != OptimizerKind.VptAdamW ? settings
            : settings.WeightDecay == 0 ? settings with { Kind = OptimizerKind.Sgd }
            : settings with { WeightDecay = 0.01 };
    }

    /// <summary>One step; parameters without a gradient (null) stay as they are, and so does their state.</summary>
    /// <param name="gradients">One for each of <see cref="Parameters"/>, in order; untouched.</param>
    public void Step(IReadOnlyList<Tensor?> gradients)
    {
        ArgumentNullException.ThrowIfNull(gradients);
        if (gradients.Count != this.Parameters.Count)
            throw new ArgumentException($"{gradients.Count} gradients for {this.Parameters.Count} parameters", nameof(gradients));
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        for (var i = 0; i < gradients.Count; i++)
        {
            var (_, value, decays, rate) = this.Parameters[i];
            if (gradients[i] is { } gradient)
                this.Step(i, value, gradient, ++this.steps[i], this.LearningRate * rate, decays ? this.Settings.WeightDecay : 0);
        }
    }

    /// <summary>The same step over parameters and gradients that lie one after another, in float32: nothing is allocated.</summary>
    /// <param name="weights">The values of <see cref="Parameters"/>, in order.</param>
    /// <param name="gradients">Their gradients; untouched.</param>
    internal void Step(Span<float> weights, ReadOnlySpan<float> gradients)
    {
        foreach (ref var count in this.steps.AsSpan())
            count++;
        foreach (var (at, decays, rate) in this.sections)
            this.Step(weights[at], gradients[at], at, this.steps[0], this.LearningRate * rate, decays ? this.Settings.WeightDecay : 0);
    }

    /// <summary>Where <see cref="VirtualStep(int, Tensor)"/> would take all parameters that lie one after another, in float32.</summary>
    /// <param name="weights">The values of <see cref="Parameters"/>, in order; on return, where they would go.</param>
    /// <param name="gradients">Their gradients; on return they may hold anything.</param>
    internal void VirtualStep(Span<float> weights, Span<float> gradients)
    {
        foreach (var (at, decays, rate) in this.sections)
            this.VirtualStep(weights[at], gradients[at], at, this.LearningRate * rate, decays ? this.Settings.WeightDecay : 0);
    }

    /// <summary>
    /// Where one step of descent at <see cref="LearningRate"/> would take parameter <paramref name="index"/>, differentiable in the gradient;
    /// what an unrolled search step evaluates (METHOD: w′). For SGD with momentum and decay, as DARTS; for the Adam family
    /// plain descent, as the released code of prompt-fusion discovery.
    /// </summary>
    public virtual Tensor VirtualStep(int index, Tensor gradient) => this.Parameters[index].Value - (gradient * (this.LearningRate * this.Parameters[index].Rate));

    /// <summary>Hands gradients to who wants to see them, by the parameters' names.</summary>
    internal void Show(string kind, IReadOnlyList<Tensor?> gradients, Action<string, Tensor> trace)
    {
        for (var i = 0; i < gradients.Count; i++)
        {
            if (gradients[i] is { } gradient)
                trace($"{kind}.{this.Parameters[i].Name}", gradient);
        }
    }

    /// <summary>The same of gradients that lie one after another.</summary>
    internal void Show(string kind, ReadOnlySpan<float> gradients, Action<string, Tensor> trace)
    {
        foreach (var (name, value, _, _) in this.Parameters)
        {
            using var gradient = tensor(gradients[..(int)value.numel()].ToArray(), value.shape);
            trace($"{kind}.{name}", gradient);
            gradients = gradients[(int)value.numel()..];
        }
    }

    /// <summary>Everything a later run needs to continue to the bit, as tensors by name.</summary>
    /// <remarks>The tensors belong to the optimizer, but for <c>steps</c>, which belongs to the caller.</remarks>
    public IEnumerable<KeyValuePair<string, Tensor>> State(string prefix)
    {
        yield return new($"{prefix}.steps", tensor(this.steps));
        for (var i = 0; i < this.Parameters.Count; i++)
        {
            foreach (var (kind, buffer) in this.buffers)
                yield return new($"{prefix}.{kind}.{this.Parameters[i].Name}", buffer[i]);
        }
    }

    /// <summary>Takes over what <see cref="State"/> gave.</summary>
    /// <param name="prefix">As given to <see cref="State"/>.</param>
    /// <param name="read">Gives the tensor of a name; throws where there is none. Its result is disposed here.</param>
    public void Load(string prefix, Func<string, Tensor> read)
    {
        ArgumentNullException.ThrowIfNull(read);
        using var guard = no_grad();
        using (var saved = read($"{prefix}.steps"))
        {
            if (saved.NumberOfElements != this.steps.Length)
                throw new FusionException(string.Create(CultureInfo.InvariantCulture, $"the saved optimizer had {saved.NumberOfElements} parameters, this one has {this.steps.Length}"), ExitCode.Data);
            saved.data<long>().ToArray().CopyTo(this.steps, 0);
        }
        for (var i = 0; i < this.Parameters.Count; i++)
        {
            foreach (var (kind, buffer) in this.buffers)
            {
                using var saved = read($"{prefix}.{kind}.{this.Parameters[i].Name}");
                buffer[i].copy_(saved);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        this.Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>The state of a kind, in the order they were asked for.</summary>
    private protected Buffer BufferOf(int kind) => this.buffers[kind].Buffer;

    /// <summary>The step of one parameter; runs without gradients, in a scope of its own.</summary>
    private protected abstract void Step(int index, Parameter parameter, Tensor gradient, long step, double rate, double decay);

    /// <summary>Where one step of descent would take parameters that share rate and decay.</summary>
    private protected virtual void VirtualStep(Span<float> weights, Span<float> gradients, Range at, double rate, double decay) => Optimizers.Sgd(weights, gradients, default, rate, 0, 0);

    /// <summary>The step of parameters that share rate and decay, one after another; <paramref name="at"/> says where in the buffers.</summary>
    private protected abstract void Step(Span<float> weights, ReadOnlySpan<float> gradients, Range at, long step, double rate, double decay);

    /// <summary>Frees the state.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (!disposing)
            return;
        foreach (var (_, buffer) in this.buffers)
            buffer.Dispose();
    }

    /// <summary>Neighbours that share rate and decay, when all parameters lie one after another.</summary>
    private static Section[] Sections(IReadOnlyList<OptimizedParameter> parameters)
    {
        var sections = new List<Section>();
        var at = 0;
        foreach (var (_, value, decays, rate) in parameters)
        {
            var end = at + (int)value.numel();
            if (sections.Count > 0 && sections[^1] is var last && last.Decays == decays && last.Rate == rate)
                sections[^1] = last with { At = last.At.Start..end };
            else
                sections.Add(new Section(at..end, decays, rate));
            at = end;
        }
        return [.. sections];
    }

    private readonly record struct Section(Range At, bool Decays, double Rate);

    /// <summary>A number per number of the parameters, zero at first: one tensor, and a view of it per parameter. No scope disposes them.</summary>
    private protected sealed class Buffer : IDisposable
    {
        private readonly Tensor all;
        private readonly Tensor[] parts;

        public Buffer(IReadOnlyList<OptimizedParameter> parameters)
        {
            using var guard = no_grad();
            var like = parameters.Count > 0 ? parameters[0].Value : null;
            this.all = zeros(parameters.Sum(parameter => parameter.Value.numel()), dtype: like?.dtype ?? ScalarType.Float32, device: like?.device).DetachFromDisposeScope();
            this.parts = new Tensor[parameters.Count];
            var at = 0L;
            for (var i = 0; i < this.parts.Length; i++)
            {
                using var part = this.all.narrow(0, at, parameters[i].Value.numel());
                this.parts[i] = part.view(parameters[i].Value.shape).DetachFromDisposeScope();
                at += parameters[i].Value.numel();
            }
        }

        /// <summary>All of it, where it lies in memory as float32.</summary>
        public Span<float> Span => MemoryMarshal.Cast<byte, float>(this.all.bytes);

        /// <summary>A parameter's.</summary>
        public Tensor this[int index] => this.parts[index];

        public void Dispose()
        {
            foreach (var part in this.parts)
                part.Dispose();
            this.all.Dispose();
        }
    }
}
