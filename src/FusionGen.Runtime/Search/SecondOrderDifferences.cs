using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Search;

/// <summary>
/// ∇α L_val(w′, α) − ξ ∇²αw L_train(w, α) ∇w′ L_val(w′, α), the product with the Hessian by central differences of ∇α L_train
/// at w ± R∇w′, R = 0.01/‖∇w′‖ (DARTS, Liu, Simonyan, Yang 2019, eq. 8). Five passes, no second derivative of any operator.
/// </summary>
internal sealed class SecondOrderDifferences : IArchitectureGradient
{
    /// <summary>R·‖∇w′‖.</summary>
    public const double Radius = 0.01;

    /// <inheritdoc/>
    public bool PrecedesWeights => true;

    /// <inheritdoc/>
    public ArchitectureGradient Compute(BilevelProblem problem, Optimizer optimizer, Batch train, Batch validation)
    {
        var stepped = Step(problem, optimizer, train);
        var objective = problem.Objective(validation.Images, validation.Labels, problem.At(stepped));
        var gradients = Gradients.Of(objective.Total, [.. problem.Alphas, .. stepped]);
        var direct = gradients.Take(problem.Alphas.Count).ToArray();
        var vector = gradients.Skip(problem.Alphas.Count).ToArray();

        using var norm = Gradients.Norm(vector);
        using var radius = norm.reciprocal() * Radius;
        var plus = AlphaGradients(problem, train, vector, radius, +1);
        var minus = AlphaGradients(problem, train, vector, radius, -1);
        using var guard = no_grad();
        using var scale = norm * (-optimizer.LearningRate / (2 * Radius));
        for (var i = 0; i < direct.Length; i++)
        {
            if (plus[i] is not { } up || minus[i] is not { } down)
                continue;
            using var product = (up - down) * scale;
            direct[i] = direct[i] is { } first ? first.add_(product) : product.clone();
        }
        return new ArchitectureGradient(direct, objective);
    }

    /// <summary>w′ as leaves of their own.</summary>
    private static Tensor[] Step(BilevelProblem problem, Optimizer optimizer, Batch train)
    {
        using var loss = problem.Loss(train.Images, train.Labels, problem.ForWeights);
        var gradients = Gradients.Of(loss, problem.Weights);
        using var guard = no_grad();
        var stepped = new Tensor[gradients.Count];
        for (var i = 0; i < stepped.Length; i++)
        {
            using var gradient = gradients[i];
            stepped[i] = (gradient is null ? problem.Weights[i].clone() : optimizer.VirtualStep(i, gradient)).detach().requires_grad_();
        }
        return stepped;
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
