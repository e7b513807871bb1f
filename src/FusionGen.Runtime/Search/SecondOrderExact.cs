using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Search;

/// <summary>
/// ∇α L_val(w − ξ∇w L_train(w, α), α), exactly: the step is differentiated too (double backward), as the released code of prompt-fusion discovery does.
/// About four times the work of a training step.
/// </summary>
internal sealed class SecondOrderExact : IArchitectureGradient
{
    /// <inheritdoc/>
    public bool PrecedesWeights => false;

    /// <inheritdoc/>
    public ArchitectureGradient Compute(BilevelProblem problem, Optimizer optimizer, Batch train, Batch validation)
    {
        using var loss = problem.Loss(train.Images, train.Labels, problem.Whole);
        var gradients = Gradients.Of(loss, problem.Weights, differentiable: true);
        var stepped = new Tensor[gradients.Count];
        for (var i = 0; i < stepped.Length; i++)
            stepped[i] = gradients[i] is { } gradient ? optimizer.VirtualStep(i, gradient) : problem.Weights[i];
        var objective = problem.Objective(validation.Images, validation.Labels, problem.At(stepped));
        return new ArchitectureGradient(Gradients.Of(objective.Total, problem.Alphas), objective);
    }
}
