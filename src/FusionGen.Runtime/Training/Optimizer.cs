using System.Globalization;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FusionGen.Training;

/// <summary>A parameter as an optimizer sees it.</summary>
/// <param name="Name">Its name in the network.</param>
/// <param name="Value">The parameter.</param>
/// <param name="Decays">Whether weight decay applies to it.</param>
public sealed record OptimizedParameter(string Name, Parameter Value, bool Decays = true);

/// <summary>
/// Moves parameters along gradients that the caller computed. Ours rather than the library's: its state is named, saved and loaded
/// whole, decay is a property of the parameter, and the unrolled step of a search can ask where plain descent would lead.
/// Numerically as <c>torch.optim</c>.
/// </summary>
public abstract class Optimizer : IDisposable
{
    private readonly long[] steps;

    private protected Optimizer(IReadOnlyList<OptimizedParameter> parameters, OptimizerSettings settings)
    {
        this.Parameters = parameters;
        this.Settings = settings;
        this.LearningRate = settings.LearningRate;
        this.steps = new long[parameters.Count];
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
            if (gradients[i] is { } gradient)
                this.Step(i, this.Parameters[i].Value, gradient, ++this.steps[i], this.Parameters[i].Decays ? this.Settings.WeightDecay : 0);
        }
    }

    /// <summary>
    /// Where one step of descent at <see cref="LearningRate"/> would take parameter <paramref name="index"/>, differentiable in the gradient;
    /// what an unrolled search step evaluates (METHOD: w′). For SGD with momentum and decay, as DARTS; for the Adam family
    /// plain descent, as the released code of prompt-fusion discovery.
    /// </summary>
    public virtual Tensor VirtualStep(int index, Tensor gradient) => this.Parameters[index].Value - (gradient * this.LearningRate);

    /// <summary>Everything a later run needs to continue to the bit, as tensors by name.</summary>
    /// <remarks>The tensors belong to the optimizer, but for <c>steps</c>, which belongs to the caller.</remarks>
    public IEnumerable<KeyValuePair<string, Tensor>> State(string prefix)
    {
        yield return new($"{prefix}.steps", tensor(this.steps));
        for (var i = 0; i < this.Parameters.Count; i++)
        {
            foreach (var (kind, value) in this.Buffers(i))
                yield return new($"{prefix}.{kind}.{this.Parameters[i].Name}", value);
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
            foreach (var (kind, value) in this.Buffers(i))
            {
                using var saved = read($"{prefix}.{kind}.{this.Parameters[i].Name}");
                value.copy_(saved);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        this.Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>The step of one parameter; runs without gradients, in a scope of its own.</summary>
    private protected abstract void Step(int index, Parameter parameter, Tensor gradient, long step, double decay);

    /// <summary>The state of one parameter, by kind.</summary>
    private protected abstract IEnumerable<(string Kind, Tensor Value)> Buffers(int index);

    /// <summary>A zero tensor per parameter that no scope disposes.</summary>
    private protected Tensor[] Zeros()
    {
        using var guard = no_grad();
        return [.. this.Parameters.Select(parameter => zeros([.. parameter.Value.shape], dtype: parameter.Value.dtype, device: parameter.Value.device).DetachFromDisposeScope())];
    }

    /// <summary>Frees the state.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (!disposing)
            return;
        for (var i = 0; i < this.Parameters.Count; i++)
        {
            foreach (var (_, value) in this.Buffers(i))
                value.Dispose();
        }
    }
}
