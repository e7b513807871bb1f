using static TorchSharp.torch;

namespace FusionGen.Static;

/// <summary>Who computes a network.</summary>
public enum Engine
{
    /// <summary>Modules on libtorch, with its autograd: any device, any type, the oracle.</summary>
    Eager,

    /// <summary>The compiled program, on the CPU in float32.</summary>
    Static,
}

/// <summary>A static program's loss as a tensor that autograd differentiates like any other.</summary>
internal static class StaticLoss
{
    /// <summary>
    /// The loss as ⟨g, θ⟩ − ⟨g, θ⟩ + L with the subtrahend a constant: its value is L, its gradient g. So optimizers, mixtures and search
    /// orders need not know who computed it.
    /// </summary>
    public static (Tensor Loss, Tensor Logits) Of(StaticEngine engine, Tensor images, Tensor labels, IReadOnlyList<Tensor> values, Mixture? mixture)
    {
        using var scope = NewDisposeScope();
        var value = engine.Gradients(images, Array.ConvertAll(labels.data<long>().ToArray(), label => (int)label), values, mixture);
        var logits = tensor(engine.Logits.ToArray(), [labels.shape[0], engine.Logits.Length / labels.shape[0]]);
        var targets = new List<Tensor>();
        var gradients = new List<float>();
        foreach (var gradient in engine.Program.Gradients)
        {
            var target = gradient.Parameter >= 0 ? values[gradient.Parameter] : (gradient.IsLog ? mixture!.LogWeights : mixture!.Weights)[gradient.Layer]!;
            if (!target.requires_grad)
                continue;
            targets.Add(target.reshape(-1));
            gradients.AddRange(engine[gradient]);
        }
        var loss = tensor((float)value);
        if (targets.Count > 0)
        {
            var product = (cat(targets.ToArray()) * tensor(gradients.ToArray())).sum();
            loss = product - product.detach() + loss;
        }
        return (loss.MoveToOuterDisposeScope(), logits.MoveToOuterDisposeScope());
    }
}
