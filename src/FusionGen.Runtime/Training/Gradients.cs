using static TorchSharp.torch;

namespace FusionGen.Training;

/// <summary>What is done with a list of gradients as a whole.</summary>
public static class Gradients
{
    /// <summary>
    /// ∂loss/∂parameters; null where the loss does not depend on one. The caller disposes them, or its scope does.
    /// </summary>
    /// <param name="loss">A scalar.</param>
    /// <param name="parameters">Tensors that require gradients.</param>
    /// <param name="differentiable">Whether the gradients themselves can be differentiated.</param>
    public static IReadOnlyList<Tensor?> Of(Tensor loss, IReadOnlyList<Tensor> parameters, bool differentiable = false)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        var gradients = autograd.grad([loss], [.. parameters], create_graph: differentiable, retain_graph: differentiable, allow_unused: true);
        // An unused tensor's gradient is undefined, which providers show as null or as an invalid handle.
        return [.. gradients.Select(gradient => gradient is null || gradient.IsInvalid ? null : gradient)];
    }

    /// <summary>The Euclidean norm of all gradients together, a scalar tensor.</summary>
    public static Tensor Norm(IReadOnlyList<Tensor?> gradients)
    {
        using var scope = NewDisposeScope();
        var norms = gradients.Where(gradient => gradient is not null).Select(gradient => gradient!.norm()).ToList();
        return (norms.Count == 0 ? zeros(1).norm() : stack(norms).norm()).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Scales gradients in place so that their norm is at most <paramref name="limit"/>, as <c>clip_grad_norm_</c>:
    /// by limit/(norm + 1e-6) where that is below 1. Nothing is read back from the device.
    /// </summary>
    /// <param name="gradients">The gradients.</param>
    /// <param name="limit">Largest norm; 0 clips nothing.</param>
    /// <returns>The norm before clipping.</returns>
    public static Tensor Clip(IReadOnlyList<Tensor?> gradients, double limit)
    {
        var norm = Norm(gradients);
        if (limit <= 0)
            return norm;
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var factor = (norm + 1e-6).reciprocal().mul_(limit).clamp_max_(1.0);
        foreach (var gradient in gradients)
            gradient?.mul_(factor);
        return norm;
    }
}
