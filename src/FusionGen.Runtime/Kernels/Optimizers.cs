using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FusionGen.Kernels;

/// <summary>How an <see cref="Optimizers.Adam"/> step treats decay and ε; the constants of <c>FusionGen.Training</c>'s optimizers.</summary>
public enum AdamKind
{
    /// <summary>Decay is part of the gradient.</summary>
    Adam,

    /// <summary>Decay shrinks the weight before the step.</summary>
    AdamW,

    /// <summary>ε is 1e-6 and added to √v before the bias correction, and decay shrinks the weight after the step.</summary>
    VptAdamW,
}

/// <summary>
/// The steps of optimizers over flat buffers, numerically those of <c>FusionGen.Training</c>. Weights whose decay or rate differ are steps
/// over different parts of the buffers.
/// </summary>
public static class Optimizers
{
    private const double Epsilon = 1e-8;
    private const double VptEpsilon = 1e-6;

    /// <summary>One step of Adam.</summary>
    /// <param name="kind">The variant.</param>
    /// <param name="weights">What moves.</param>
    /// <param name="gradients">Untouched.</param>
    /// <param name="first">Running mean of the gradients.</param>
    /// <param name="second">Running mean of their squares.</param>
    /// <param name="step">The number of this step, from 1.</param>
    /// <param name="rate">Learning rate.</param>
    /// <param name="beta1">Decay of the first mean.</param>
    /// <param name="beta2">Decay of the second mean.</param>
    /// <param name="decay">Weight decay.</param>
    public static void Adam(
        AdamKind kind,
        Span<float> weights,
        ReadOnlySpan<float> gradients,
        Span<float> first,
        Span<float> second,
        long step,
        double rate,
        double beta1,
        double beta2,
        double decay)
    {
        Check.Length(gradients, weights.Length);
        Check.Length(first, weights.Length);
        Check.Length(second, weights.Length);
        var correction1 = 1 - Math.Pow(beta1, step);
        var correction2 = Math.Sqrt(1 - Math.Pow(beta2, step));
        var vpt = kind == AdamKind.VptAdamW;
        Simd.Run(new AdamLoop
        {
            Weights = weights,
            Gradients = gradients,
            First = first,
            Second = second,
            Beta1 = (float)beta1,
            Beta1Rest = (float)(1 - beta1),
            Beta2 = (float)beta2,
            Beta2Rest = (float)(1 - beta2),
            RootScale = vpt ? 1 : (float)(1 / correction2),
            Epsilon = (float)(vpt ? VptEpsilon : Epsilon),
            Rate = (float)(-rate / correction1 * (vpt ? correction2 : 1)),
            GradientDecay = kind == AdamKind.Adam ? (float)decay : 0,
            Before = kind == AdamKind.AdamW ? (float)(1 - (rate * decay)) : 1,
            After = vpt ? (float)(1 - (rate * decay)) : 1,
        });
    }

    /// <summary>One step of gradient descent, with momentum (no dampening, not Nesterov's) and decay in the gradient.</summary>
    /// <param name="weights">What moves.</param>
    /// <param name="gradients">Untouched.</param>
    /// <param name="momentum">Running sum of the directions, from 0; empty for none.</param>
    /// <param name="rate">Learning rate.</param>
    /// <param name="factor">Of the running sum.</param>
    /// <param name="decay">Weight decay.</param>
    public static void Sgd(Span<float> weights, ReadOnlySpan<float> gradients, Span<float> momentum, double rate, double factor, double decay)
    {
        Check.Length(gradients, weights.Length);
        Check.LengthOrEmpty(momentum, weights.Length);
        Simd.Run(new SgdLoop { Weights = weights, Gradients = gradients, Momentum = momentum, Rate = (float)-rate, Factor = (float)factor, Decay = (float)decay });
    }

    /// <summary>Scales gradients so that their norm is at most <paramref name="limit"/>, by limit/(norm + 1e-6) where that is below 1.</summary>
    /// <param name="gradients">The gradients.</param>
    /// <param name="limit">Largest norm; 0 clips nothing.</param>
    /// <returns>The norm before clipping.</returns>
    public static double Clip(Span<float> gradients, double limit)
    {
        var norm = Math.Sqrt(Loops.Sum(default(Elementwise.Product), gradients, gradients));
        var factor = limit / (norm + 1e-6);
        // Written so that a norm that is not a number spoils the gradients, as it does in training.
        if (limit > 0 && !(factor >= 1))
            Elementwise.Scale(gradients, (float)factor, gradients);
        return norm;
    }

    private ref struct AdamLoop : ILoop
    {
        public Span<float> Weights;
        public ReadOnlySpan<float> Gradients;
        public Span<float> First;
        public Span<float> Second;
        public float Beta1;
        public float Beta1Rest;
        public float Beta2;
        public float Beta2Rest;
        public float RootScale;
        public float Epsilon;
        public float Rate;
        public float GradientDecay;
        public float Before;
        public float After;

        public readonly void Run<V>()
            where V : struct, ILane<V>
        {
            ref var weights = ref MemoryMarshal.GetReference(this.Weights);
            ref var gradients = ref MemoryMarshal.GetReference(this.Gradients);
            ref var first = ref MemoryMarshal.GetReference(this.First);
            ref var second = ref MemoryMarshal.GetReference(this.Second);
            for (nint i = 0; i < this.Weights.Length; i += V.Count)
            {
                var left = this.Weights.Length - i;
                var weight = Simd.Load<V>(ref Unsafe.Add(ref weights, i), left);
                var gradient = V.MultiplyAdd(weight, V.Of(this.GradientDecay), Simd.Load<V>(ref Unsafe.Add(ref gradients, i), left));
                var m = V.MultiplyAdd(Simd.Load<V>(ref Unsafe.Add(ref first, i), left), V.Of(this.Beta1), gradient * V.Of(this.Beta1Rest));
                var v = V.MultiplyAdd(Simd.Load<V>(ref Unsafe.Add(ref second, i), left), V.Of(this.Beta2), gradient * gradient * V.Of(this.Beta2Rest));
                var root = V.MultiplyAdd(V.Sqrt(v), V.Of(this.RootScale), V.Of(this.Epsilon));
                weight = V.MultiplyAdd(m / root, V.Of(this.Rate), weight * V.Of(this.Before)) * V.Of(this.After);
                Simd.Store(m, ref Unsafe.Add(ref first, i), left);
                Simd.Store(v, ref Unsafe.Add(ref second, i), left);
                Simd.Store(weight, ref Unsafe.Add(ref weights, i), left);
            }
        }
    }

    private ref struct SgdLoop : ILoop
    {
        public Span<float> Weights;
        public ReadOnlySpan<float> Gradients;
        public Span<float> Momentum;
        public float Rate;
        public float Factor;
        public float Decay;

        public readonly void Run<V>()
            where V : struct, ILane<V>
        {
            ref var weights = ref MemoryMarshal.GetReference(this.Weights);
            ref var gradients = ref MemoryMarshal.GetReference(this.Gradients);
            ref var momentum = ref MemoryMarshal.GetReference(this.Momentum);
            for (nint i = 0; i < this.Weights.Length; i += V.Count)
            {
                var left = this.Weights.Length - i;
                var weight = Simd.Load<V>(ref Unsafe.Add(ref weights, i), left);
                var direction = V.MultiplyAdd(weight, V.Of(this.Decay), Simd.Load<V>(ref Unsafe.Add(ref gradients, i), left));
                if (!this.Momentum.IsEmpty)
                {
                    direction = V.MultiplyAdd(Simd.Load<V>(ref Unsafe.Add(ref momentum, i), left), V.Of(this.Factor), direction);
                    Simd.Store(direction, ref Unsafe.Add(ref momentum, i), left);
                }
                Simd.Store(V.MultiplyAdd(direction, V.Of(this.Rate), weight), ref Unsafe.Add(ref weights, i), left);
            }
        }
    }
}
