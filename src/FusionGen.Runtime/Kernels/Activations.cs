using System.Runtime.CompilerServices;

namespace FusionGen.Kernels;

/// <summary>A nonlinearity.</summary>
public enum Activation
{
    /// <summary>x·Φ(x) with the exact normal distribution.</summary>
    Gelu,

    /// <summary>x·σ(x).</summary>
    Silu,

    /// <summary>max(x, 0).</summary>
    Relu,

    /// <summary>σ(x) = 1/(1+e⁻ˣ).</summary>
    Sigmoid,
}

/// <summary>Nonlinearities f and their gradients. A bias row, where given, is added to x first, so that nobody has to store the sum.</summary>
public static class Activations
{
    private static readonly float[] NoBias = [0];

    /// <summary>target = f(x + bias). The target may be x.</summary>
    /// <param name="kind">f.</param>
    /// <param name="x">Any shape.</param>
    /// <param name="bias">Added to every row of x; empty for none.</param>
    /// <param name="target">As x.</param>
    public static void Forward(Activation kind, ReadOnlySpan<float> x, ReadOnlySpan<float> bias, Span<float> target)
    {
        if (bias.IsEmpty)
            bias = NoBias;
        switch (kind)
        {
            case Activation.Gelu:
                Loops.Map(default(Gelu), x, bias, target);
                break;
            case Activation.Silu:
                Loops.Map(default(Silu), x, bias, target);
                break;
            case Activation.Relu:
                Loops.Map(default(Relu), x, bias, target);
                break;
            case Activation.Sigmoid:
                Loops.Map(default(Sigmoid), x, bias, target);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(kind));
        }
    }

    /// <summary>dX = f′(x + bias)·dY, or dX += that. dX may be dY.</summary>
    /// <param name="kind">f.</param>
    /// <param name="x">What the forward pass was given.</param>
    /// <param name="bias">What the forward pass was given; empty for none.</param>
    /// <param name="dY">Gradient of the result.</param>
    /// <param name="dX">Gradient of x; the bias's is its sum over rows.</param>
    /// <param name="accumulate">Whether to add to dX.</param>
    public static void Backward(
        Activation kind, ReadOnlySpan<float> x, ReadOnlySpan<float> bias, ReadOnlySpan<float> dY, Span<float> dX, bool accumulate = false)
    {
        Check.Length(dY, dX.Length);
        if (bias.IsEmpty)
            bias = NoBias;
        switch (kind)
        {
            case Activation.Gelu:
                Loops.Map(default(GeluSlope), x, bias, dY, dX, accumulate);
                break;
            case Activation.Silu:
                Loops.Map(default(SiluSlope), x, bias, dY, dX, accumulate);
                break;
            case Activation.Relu:
                Loops.Map(default(ReluSlope), x, bias, dY, dX, accumulate);
                break;
            case Activation.Sigmoid:
                Loops.Map(default(SigmoidSlope), x, bias, dY, dX, accumulate);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(kind));
        }
    }

    /// <summary>The smaller one; what is not a number stays so.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V AtMost<V>(V x, V limit)
        where V : struct, ILane<V> => V.WhereLess(limit, x, limit, x);

    private readonly struct Gelu : IFunction
    {
        // x·Φ(x) is x less |x|·(1 − Φ(|x|)) for positive x, and minus that for negative.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<V>(V x, V y, V z)
            where V : struct, ILane<V>
        {
            x += y;
            var a = AtMost(V.Abs(x), V.Of(VectorMath.NormalEnd));
            return V.Max(V.Of(0), x) - (a * (V.Of(0.5f) - VectorMath.NormalAboveHalf(a)));
        }
    }

    private readonly struct GeluSlope : IFunction
    {
        // Φ(x) + x·φ(x), less ½ an odd function.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<V>(V x, V y, V z)
            where V : struct, ILane<V>
        {
            x += y;
            var slope = VectorMath.GeluSlopeAboveHalf(AtMost(V.Abs(x), V.Of(VectorMath.SlopeEnd)));
            return z * (V.Of(0.5f) + V.WhereLess(x, V.Of(0), V.Of(0) - slope, slope));
        }
    }

    private readonly struct Silu : IFunction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<V>(V x, V y, V z)
            where V : struct, ILane<V>
        {
            x += y;
            return x * VectorMath.Sigmoid(x);
        }
    }

    private readonly struct SiluSlope : IFunction
    {
        // σ·(1 + x·(1 − σ)).
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<V>(V x, V y, V z)
            where V : struct, ILane<V>
        {
            x += y;
            var sigmoid = VectorMath.Sigmoid(x);
            return z * (sigmoid * V.MultiplyAdd(x, V.Of(1) - sigmoid, V.Of(1)));
        }
    }

    private readonly struct Relu : IFunction
    {
        // The comparison this way round lets through what is not a number.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<V>(V x, V y, V z)
            where V : struct, ILane<V>
        {
            x += y;
            return V.WhereLess(x, V.Of(0), V.Of(0), x);
        }
    }

    private readonly struct ReluSlope : IFunction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<V>(V x, V y, V z)
            where V : struct, ILane<V> => V.WhereLess(V.Of(0), x + y, z, V.Of(0));
    }

    private readonly struct Sigmoid : IFunction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<V>(V x, V y, V z)
            where V : struct, ILane<V> => VectorMath.Sigmoid(x + y);
    }

    private readonly struct SigmoidSlope : IFunction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<V>(V x, V y, V z)
            where V : struct, ILane<V>
        {
            var sigmoid = VectorMath.Sigmoid(x + y);
            return z * (sigmoid * (V.Of(1) - sigmoid));
        }
    }
}
