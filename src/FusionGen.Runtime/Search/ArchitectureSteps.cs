using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Search;

/// <summary>
/// Steps of α: the objective of a validation batch, its gradient through the lower level, clipped, and the optimizer's move; the weights stay.
/// The network's engine makes them: the static program on flat memory, or the eager modules under autograd. Figures are the objective and, of it, the cross-entropy;
/// the norm of α's gradient before clipping; Σ π ln π; Σ π·cost. Traced are <c>architecture.gradient.NAME</c> (before clipping), <c>architecture.clipped.NAME</c>
/// and <c>architecture.norm</c>.
/// </summary>
public abstract class ArchitectureSteps : ParameterSteps
{
    private protected ArchitectureSteps(Supernet network, Optimizer lower, SearchSettings settings)
        : base(Optimizer.Create(settings.Architecture, network.Alphas.Parameters(network)), new Meter(5, network.Location)) =>
        (this.Network, this.Lower, this.Settings) = (network, lower, settings);

    private protected Supernet Network { get; }

    /// <summary>What moves the weights: says where their next step would lead.</summary>
    private protected Optimizer Lower { get; }

    private protected SearchSettings Settings { get; }

    /// <summary>Steps of a supernet's α; it must outlive this object.</summary>
    /// <param name="network">Moved by the steps.</param>
    /// <param name="lower">What moves the weights.</param>
    /// <param name="settings">How.</param>
    public static ArchitectureSteps Of(Supernet network, Optimizer lower, SearchSettings settings)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(settings);
        return (network.Training, settings.Order) switch
        {
            (null, _) => new EagerArchitectureSteps(network, lower, settings),
            (_, SearchOrder.SecondExact) when network.Accelerator is { } accelerator =>
                throw new FusionException($"exact second order takes its inner step through the eager modules, and those are not on {accelerator.Device}: choose the eager engine there, or second-fd", ExitCode.Spec),
            ({ } engine, SearchOrder.SecondExact) => new StaticExactSteps(network, engine, lower, settings),
            ({ } engine, SearchOrder.SecondFd) => new StaticCentralSteps(network, engine, lower, settings),
            ({ } engine, SearchOrder.SecondForward) => new StaticForwardSteps(network, engine, lower, settings),
            ({ } engine, _) => new StaticArchitectureSteps(network, engine, lower, settings),
        };
    }

    /// <summary>One step.</summary>
    /// <param name="train">The batch of the lower level; first order does not look at it.</param>
    /// <param name="validation">The batch of the upper level.</param>
    /// <exception cref="FusionException">The objective or its gradient is not a number; nothing has moved.</exception>
    public abstract void Step(Batch train, Batch validation);
}

/// <summary>By the eager modules and autograd: any order, any device, any type.</summary>
internal sealed class EagerArchitectureSteps(Supernet network, Optimizer lower, SearchSettings settings) : ArchitectureSteps(network, lower, settings)
{
    private readonly BilevelProblem problem = new(network, settings);
    private readonly IArchitectureGradient order = IArchitectureGradient.Of(settings.Order);

    public override void Step(Batch train, Batch validation)
    {
        using var scope = NewDisposeScope();
        var (gradients, objective) = this.order.Compute(this.problem, this.Lower, train, validation);
        if (this.Trace is { } before)
            this.Optimizer.Show("architecture.gradient", gradients, before);
        var norm = Gradients.Clip(gradients, this.Settings.Clip);
        Meter.Check(objective.Total, norm);
        this.Optimizer.Step(gradients);
        this.Figures.Add(validation.Size, objective.Total, objective.Loss, norm, objective.NegativeEntropy, objective.Cost);
        if (this.Trace is not { } after)
            return;
        this.Optimizer.Show("architecture.clipped", gradients, after);
        after("architecture.norm", norm);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            this.problem.Dispose();
        base.Dispose(disposing);
    }
}
