using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Search;

/// <summary>
/// ∇α L_val(w′, α) − ξ ∇²αw L_train(w, α) ∇w′ L_val(w′, α), the product with the Hessian by differences of ∇α L_train along ∇w′: central ones at
/// w ± R∇w′, R = 0.01/‖∇w′‖ (DARTS, Liu, Simonyan, Yang 2019, eq. 8), five passes with the weights' step; or a forward one from w, whose
/// gradient the inner step leaves, four. No second derivative of any operator.
/// </summary>
/// <param name="isCentral">Central or forward.</param>
internal sealed class SecondOrderDifferences(bool isCentral) : IArchitectureGradient
{
    /// <summary>R·‖∇w′‖ of central differences.</summary>
    public const double Radius = 0.01;

    /// <summary>
    /// R·‖∇w′‖ of forward differences: their error grows with R, where that of central ones does with R². At so small an R it is that of DARTS' own,
    /// and rounding in float32 adds less: from the exact gradient 1.4e-5 to 3.8e-4 of it, where central ones at theirs are 3.3e-5 to 5.7e-4 away.
    /// </summary>
    public const double ForwardRadius = 0.0003;

    /// <inheritdoc/>
    public bool PrecedesWeights => true;

    /// <inheritdoc/>
    public ArchitectureGradient Compute(BilevelProblem problem, Optimizer optimizer, Batch train, Batch validation)
    {
        var (stepped, atStart) = this.Step(problem, optimizer, train);
        var objective = problem.Objective(validation.Images, validation.Labels, problem.At(stepped));
        var gradients = Gradients.Of(objective.Total, [.. problem.Alphas, .. stepped]);
        var direct = gradients.Take(problem.Alphas.Count).ToArray();
        var vector = gradients.Skip(problem.Alphas.Count).ToArray();

        using var norm = Gradients.Norm(vector);
        var length = isCentral ? Radius : ForwardRadius;
        using var radius = norm.reciprocal() * length;
        var plus = AlphaGradients(problem, train, vector, radius, +1);
        var minus = isCentral ? AlphaGradients(problem, train, vector, radius, -1) : atStart;
        using var guard = no_grad();
        using var scale = norm * (-optimizer.LearningRate / ((isCentral ? 2 : 1) * length));
        for (var i = 0; i < direct.Length; i++)
        {
            if (plus[i] is not { } up || minus[i] is not { } down)
                continue;
            using var product = (up - down) * scale;
            direct[i] = direct[i] is { } first ? first.add_(product) : product.clone();
        }
        return new ArchitectureGradient(direct, objective);
    }

    /// <summary>w′ as leaves of their own; and α's gradient at w, where it is wanted.</summary>
    private (Tensor[] Stepped, IReadOnlyList<Tensor?> AlphaGradients) Step(BilevelProblem problem, Optimizer optimizer, Batch train)
    {
        using var loss = problem.Loss(train.Images, train.Labels, isCentral ? problem.ForWeights : problem.Whole);
        var gradients = Gradients.Of(loss, isCentral ? [.. problem.Weights] : [.. problem.Weights, .. problem.Alphas]);
        using var guard = no_grad();
        var stepped = new Tensor[problem.Weights.Count];
        for (var i = 0; i < stepped.Length; i++)
        {
            using var gradient = gradients[i];
            stepped[i] = (gradient is null ? problem.Weights[i].clone() : optimizer.VirtualStep(i, gradient)).detach().requires_grad_();
        }
        return (stepped, [.. gradients.Skip(stepped.Length)]);
    }

    private static IReadOnlyList<Tensor?> AlphaGradients(BilevelProblem problem, Batch train, Tensor?[] vector, Tensor radius, int sign)
    {
        var weights = new Tensor[vector.Length];
        using (no_grad())
        {
            for (var i = 0; i < weights.Length; i++)
                weights[i] = vector[i] is { } direction ? problem.Weights[i] + (direction * radius * sign) : problem.Weights[i].detach();
        }
        using var loss = problem.Loss(train.Images, train.Labels, problem.At(weights));
        return Gradients.Of(loss, problem.Alphas);
    }
}
