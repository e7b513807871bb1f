using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FusionGen.Training;

/// <summary>Stochastic gradient descent with momentum (no dampening, not Nesterov's) and decay in the gradient.</summary>
internal sealed class Sgd : Optimizer
{
    private readonly Tensor[] momentum;

    public Sgd(IReadOnlyList<OptimizedParameter> parameters, OptimizerSettings settings)
        : base(parameters, settings) => this.momentum = settings.Momentum == 0 ? [] : this.Zeros();

    /// <inheritdoc/>
    public override Tensor VirtualStep(int index, Tensor gradient)
    {
        var (_, value, decays) = this.Parameters[index];
        var direction = decays && this.Settings.WeightDecay != 0 ? gradient.add(value, alpha: this.Settings.WeightDecay) : gradient;
        if (this.momentum.Length > 0)
            direction = direction.add(this.momentum[index], alpha: this.Settings.Momentum);
        return value - (direction * this.LearningRate);
    }

    // The first buffer of torch.optim.SGD is the gradient itself; from a buffer of zeros that is the same number.
    private protected override void Step(int index, Parameter parameter, Tensor gradient, long step, double decay)
    {
        if (decay != 0)
            gradient = gradient.add(parameter, alpha: decay);
        if (this.momentum.Length > 0)
            gradient = this.momentum[index].mul_(this.Settings.Momentum).add_(gradient);
        parameter.add_(gradient, alpha: -this.LearningRate);
    }

    private protected override IEnumerable<(string Kind, Tensor Value)> Buffers(int index) =>
        this.momentum.Length == 0 ? [] : [("momentum", this.momentum[index])];
}
