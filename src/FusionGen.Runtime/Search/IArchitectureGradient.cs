using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Search;

/// <summary>∂ objective/∂α and what it was computed from. The tensors belong to the caller's scope.</summary>
/// <param name="Gradients">One for each of <see cref="BilevelProblem.Alphas"/>.</param>
/// <param name="Objective">The objective where the gradient was taken: at w for first order, at w′ for second.</param>
public sealed record ArchitectureGradient(IReadOnlyList<Tensor?> Gradients, ArchitectureObjective Objective);

/// <summary>A way to differentiate the upper level's objective through the lower level (METHOD: first order, exact, finite differences).</summary>
public interface IArchitectureGradient
{
    /// <summary>Whether α steps before the weights do on the same batch (DARTS) or after (the released code of prompt-fusion discovery).</summary>
    bool PrecedesWeights { get; }

    /// <summary>The gradient at the network's present parameters, which stay as they are.</summary>
    /// <param name="problem">The two levels.</param>
    /// <param name="optimizer">What moves the weights: says where its next step would lead.</param>
    /// <param name="train">The batch of the lower level.</param>
    /// <param name="validation">The batch of the upper level.</param>
    ArchitectureGradient Compute(BilevelProblem problem, Optimizer optimizer, Batch train, Batch validation);

    /// <summary>The way of an order.</summary>
    static IArchitectureGradient Of(SearchOrder order) => order switch
    {
        SearchOrder.SecondExact => new SecondOrderExact(),
        SearchOrder.SecondFd => new SecondOrderDifferences(isCentral: true),
        SearchOrder.SecondForward => new SecondOrderDifferences(isCentral: false),
        _ => new FirstOrder(),
    };
}
