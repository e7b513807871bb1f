using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Search;

/// <summary>
/// The two kinds of step of a bilevel search: one on the weights, one on α. <see cref="BilevelSearch"/> runs them in turn over the epochs;
/// on their own they let a test or a notebook follow a search step by step.
/// </summary>
public sealed class BilevelSteps : IDisposable
{
    /// <summary>Steps of a supernet from its present parameters; it must outlive this object.</summary>
    /// <param name="network">Moved by the steps.</param>
    /// <param name="settings">How.</param>
    /// <param name="weightClip">Largest norm of the weights' gradient; 0 for no limit.</param>
    public BilevelSteps(Supernet network, SearchSettings settings, double weightClip = 0)
    {
        ArgumentNullException.ThrowIfNull(settings);
        this.Weights = WeightSteps.Of(network, settings.Optimizer, weightClip);
        this.Architecture = ArchitectureSteps.Of(network, this.Weights.Optimizer, settings);
        this.ArchitectureFirst = IArchitectureGradient.Of(settings.Order).PrecedesWeights;
    }

    /// <summary>The lower level's.</summary>
    public WeightSteps Weights { get; }

    /// <summary>The upper level's.</summary>
    public ArchitectureSteps Architecture { get; }

    /// <summary>Whether α steps before the weights do on the same batch.</summary>
    public bool ArchitectureFirst { get; }

    /// <summary>Sees tensors of both on their way (<see cref="ParameterSteps.Trace"/>).</summary>
    public Action<string, Tensor>? Trace
    {
        get => this.Weights.Trace;
        set => (this.Weights.Trace, this.Architecture.Trace) = (value, value);
    }

    /// <summary>One step of the weights; α stays.</summary>
    public void StepWeights(Batch batch) => this.Weights.Step(batch);

    /// <summary>One step of α; the weights stay.</summary>
    /// <param name="train">The batch of the lower level; first order does not look at it.</param>
    /// <param name="validation">The batch of the upper level.</param>
    public void StepArchitecture(Batch train, Batch validation) => this.Architecture.Step(train, validation);

    /// <inheritdoc/>
    public void Dispose()
    {
        this.Weights.Dispose();
        this.Architecture.Dispose();
    }
}
