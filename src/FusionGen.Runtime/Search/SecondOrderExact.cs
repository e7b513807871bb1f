using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Search;

/// <summary>
/// ∇α L_val(w − ξ∇w L_train(w, α), α), exactly: the step is differentiated too (double backward), as the released code of prompt-fusion discovery does.
/// About four times the work of a training step.
/// </summary>
internal sealed class SecondOrderExact : IArchitectureGradient
{
    /// <exception cref="FusionException">There is no libtorch.</exception>
    public SecondOrderExact() => LibTorch.Require("exact second order");

    /// <inheritdoc/>
    public bool PrecedesWeights => false;

    /// <inheritdoc/>
    public ArchitectureGradient Compute(BilevelProblem problem, Optimizer optimizer, Batch train, Batch validation)
    {
        var objective = problem.Objective(validation.Images, validation.Labels, problem.At(Step(problem, optimizer, train)));
        return new ArchitectureGradient(Gradients.Of(objective.Total, problem.Alphas), objective);
    }

    /// <summary>w′ as a function of α.</summary>
    public static Tensor[] Step(BilevelProblem problem, Optimizer optimizer, Batch train)
    {
        using var loss = problem.Loss(train.Images, train.Labels, problem.Whole);
        var gradients = Gradients.Of(loss, problem.Weights, differentiable: true);
        return [.. gradients.Select((gradient, i) => gradient is null ? problem.Weights[i] : optimizer.VirtualStep(i, gradient))];
    }
}
