using FusionGen.Training;

namespace FusionGen.Search;

/// <summary>∇α L_val(w, α): the weights count as already optimal (DARTS, ξ = 0). One forward and one backward pass.</summary>
internal sealed class FirstOrder : IArchitectureGradient
{
    /// <inheritdoc/>
    public bool PrecedesWeights => false;

    /// <inheritdoc/>
    public ArchitectureGradient Compute(BilevelProblem problem, Optimizer optimizer, Batch train, Batch validation)
    {
        var objective = problem.Objective(validation.Images, validation.Labels, problem.ForAlphas);
        return new ArchitectureGradient(Gradients.Of(objective.Total, problem.Alphas), objective);
    }
}
