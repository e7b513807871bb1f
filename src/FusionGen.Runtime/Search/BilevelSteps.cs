using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Search;

/// <summary>
/// The two kinds of step of a bilevel search: one on the weights, one on α. <see cref="BilevelSearch"/> runs them in turn over the epochs;
/// on their own they let a test or a notebook follow a search step by step.
/// </summary>
public sealed class BilevelSteps : IDisposable
{
    private readonly BilevelProblem problem;
    private readonly IArchitectureGradient order;
    private readonly string[] weightNames;
    private readonly string[] alphaNames;

    /// <summary>Steps of a supernet from its present parameters; it must outlive this object.</summary>
    public BilevelSteps(Supernet network, SearchSettings settings)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(settings);
        this.problem = new BilevelProblem(network, settings);
        this.order = IArchitectureGradient.Of(settings.Order);
        this.weightNames = [.. network.Specs.Where(spec => spec.IsTuned).Select(spec => spec.Name)];
        this.alphaNames = [.. network.Specs.Where(spec => spec.Role == TensorRole.Architecture).Select(spec => spec.Name)];
        this.Weights = Optimizer.Create(settings.Optimizer, [.. this.weightNames.Select(name => new OptimizedParameter(name, network[name]))]);
        this.Architecture = Optimizer.Create(settings.Architecture, [.. this.alphaNames.Select(name => new OptimizedParameter(name, network[name]))]);
        this.Clip = settings.Clip;
    }

    /// <summary>What moves the weights.</summary>
    public Optimizer Weights { get; }

    /// <summary>What moves α.</summary>
    public Optimizer Architecture { get; }

    /// <summary>Largest norm of α's gradient; 0 for no limit.</summary>
    public double Clip { get; init; }

    /// <summary>Largest norm of the weights' gradient; 0 for no limit.</summary>
    public double WeightClip { get; init; }

    /// <summary>Whether α steps before the weights do on the same batch.</summary>
    public bool ArchitectureFirst => this.order.PrecedesWeights;

    /// <summary>
    /// Sees tensors on their way, by name, without owning them: <c>weights.logits</c>, <c>weights.gradient.NAME</c> (after clipping),
    /// <c>weights.norm</c>, <c>architecture.gradient.NAME</c> (before clipping), <c>architecture.clipped.NAME</c>, <c>architecture.norm</c>.
    /// </summary>
    public Action<string, Tensor>? Trace { get; set; }

    /// <summary>One step of the weights; α stays. The figures belong to the caller's scope.</summary>
    /// <returns>Mean cross-entropy before the step, and how many of the batch were classified rightly.</returns>
    public (Tensor Loss, Tensor Correct) StepWeights(Batch batch)
    {
        using var scope = NewDisposeScope();
        var (loss, logits) = this.problem.Network.Loss(batch.Images, batch.Labels, this.problem.ForWeights);
        Meter.Check(loss);
        var gradients = Gradients.Of(loss, this.problem.Weights);
        if (this.WeightClip > 0)
            this.Trace?.Invoke("weights.norm", Gradients.Clip(gradients, this.WeightClip));
        this.Weights.Step(gradients);
        this.Show("weights.gradient", this.weightNames, gradients);
        this.Trace?.Invoke("weights.logits", logits);
        using var guard = no_grad();
        var correct = logits.argmax(1).eq(batch.Labels).sum();
        return (loss.detach().MoveToOuterDisposeScope(), correct.MoveToOuterDisposeScope());
    }

    /// <summary>One step of α; the weights stay. The figures belong to the caller's scope.</summary>
    /// <param name="train">The batch of the lower level; first order does not look at it.</param>
    /// <param name="validation">The batch of the upper level.</param>
    /// <returns>The objective and its parts, detached, and the norm of α's gradient before clipping.</returns>
    public (ArchitectureObjective Objective, Tensor Norm) StepArchitecture(Batch train, Batch validation)
    {
        using var scope = NewDisposeScope();
        var (gradients, objective) = this.order.Compute(this.problem, this.Weights, train, validation);
        this.Show("architecture.gradient", this.alphaNames, gradients);
        var norm = Gradients.Clip(gradients, this.Clip);
        Meter.Check(objective.Total, norm);
        this.Show("architecture.clipped", this.alphaNames, gradients);
        this.Trace?.Invoke("architecture.norm", norm);
        this.Architecture.Step(gradients);
        return (
            new ArchitectureObjective(
                objective.Total.detach().MoveToOuterDisposeScope(),
                objective.Loss.detach().MoveToOuterDisposeScope(),
                objective.NegativeEntropy.detach().MoveToOuterDisposeScope(),
                objective.Cost.detach().MoveToOuterDisposeScope()),
            norm.MoveToOuterDisposeScope());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        this.Weights.Dispose();
        this.Architecture.Dispose();
        this.problem.Dispose();
    }

    private void Show(string kind, string[] names, IReadOnlyList<Tensor?> values)
    {
        if (this.Trace is not { } trace)
            return;
        for (var i = 0; i < names.Length; i++)
        {
            if (values[i] is { } value)
                trace($"{kind}.{names[i]}", value);
        }
    }
}
