using FusionGen.Kernels;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FusionGen.Training;

/// <summary>
/// Adam (Kingma and Ba 2015) with decay in the gradient (<see cref="OptimizerKind.Adam"/>), decoupled from it as in Loshchilov and Hutter 2019
/// (<see cref="OptimizerKind.AdamW"/>), or as VPT's own variant has it (<see cref="OptimizerKind.VptAdamW"/>): ε is 1e-6 and added to √v before
/// the bias correction, and decay shrinks the updated weight.
/// </summary>
internal sealed class Adam : Optimizer
{
    private const double Epsilon = 1e-8;
    private const double VptEpsilon = 1e-6;

    public Adam(IReadOnlyList<OptimizedParameter> parameters, OptimizerSettings settings)
        : base(parameters, settings, "moment1", "moment2")
    {
    }

    private protected override void Step(int index, Parameter parameter, Tensor gradient, long step, double rate, double decay)
    {
        var (kind, beta1, beta2) = (this.Settings.Kind, this.Settings.Beta1, this.Settings.Beta2);
        if (kind == OptimizerKind.Adam && decay != 0)
            gradient = gradient.add(parameter, alpha: decay);
        else if (kind == OptimizerKind.AdamW && decay != 0)
            parameter.mul_(1 - (rate * decay));
        var (first, second) = (this.BufferOf(0)[index], this.BufferOf(1)[index]);
        first.mul_(beta1).add_(gradient, alpha: 1 - beta1);
        second.mul_(beta2).addcmul_(gradient, gradient, value: 1 - beta2);
        var correction1 = 1 - Math.Pow(beta1, step);
        var correction2 = Math.Sqrt(1 - Math.Pow(beta2, step));
        var scale = rate / correction1;
        var denominator = second.sqrt();
        if (kind == OptimizerKind.VptAdamW)
        {
            parameter.addcdiv_(first, denominator.add_(VptEpsilon), value: -scale * correction2);
            if (decay != 0)
                parameter.mul_(1 - (rate * decay));
        }
        else
        {
            parameter.addcdiv_(first, denominator.div_(correction2).add_(Epsilon), value: -scale);
        }
    }

    private protected override void Step(Span<float> weights, ReadOnlySpan<float> gradients, Range at, long step, double rate, double decay) => Optimizers.Adam(
        this.Settings.Kind switch { OptimizerKind.AdamW => AdamKind.AdamW, OptimizerKind.Adam => AdamKind.Adam, _ => AdamKind.VptAdamW },
        weights, gradients, this.BufferOf(0).Span[at], this.BufferOf(1).Span[at], step, rate, this.Settings.Beta1, this.Settings.Beta2, decay);
}
