using FusionGen.Kernels;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FusionGen.Training;

/// <summary>Stochastic gradient descent with momentum (no dampening, not Nesterov's) and decay in the gradient.</summary>
internal sealed class Sgd : Optimizer
{
    private readonly bool hasMomentum;

    public Sgd(IReadOnlyList<OptimizedParameter> parameters, OptimizerSettings settings)
        : base(parameters, settings, settings.Momentum == 0 ? [] : ["momentum"]) => this.hasMomentum = settings.Momentum != 0;

    /// <inheritdoc/>
    public override Tensor VirtualStep(int index, Tensor gradient)
    {
        var (_, value, decays, rate) = this.Parameters[index];
        var direction = decays && this.Settings.WeightDecay != 0 ? gradient.add(value, alpha: this.Settings.WeightDecay) : gradient;
        if (this.hasMomentum)
            direction = direction.add(this.BufferOf(0)[index], alpha: this.Settings.Momentum);
        return value - (direction * (this.LearningRate * rate));
    }

    /// <inheritdoc/>
    private protected override void VirtualStep(Span<float> weights, Span<float> gradients, Range at, double rate, double decay)
    {
        // The momentum stays: it is added to the gradient beforehand.
        if (this.hasMomentum)
            Elementwise.Scale(this.BufferOf(0).Span[at], (float)this.Settings.Momentum, gradients, accumulate: true);
        Optimizers.Sgd(weights, gradients, default, rate, 0, decay);
    }

    // The first buffer of torch.optim.SGD is the gradient itself; from a buffer of zeros that is the same number.
    private protected override void Step(int index, Parameter parameter, Tensor gradient, long step, double rate, double decay)
    {
        if (decay != 0)
            gradient = gradient.add(parameter, alpha: decay);
        if (this.hasMomentum)
            gradient = this.BufferOf(0)[index].mul_(this.Settings.Momentum).add_(gradient);
        parameter.add_(gradient, alpha: -rate);
    }

    private protected override void Step(Span<float> weights, ReadOnlySpan<float> gradients, Range at, long step, double rate, double decay) =>
        Optimizers.Sgd(weights, gradients, this.hasMomentum ? this.BufferOf(0).Span[at] : default, rate, this.Settings.Momentum, decay);
}
