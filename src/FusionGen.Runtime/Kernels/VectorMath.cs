using System.Runtime.CompilerServices;

namespace FusionGen.Kernels;

/// <summary>Transcendental functions of a lane.</summary>
internal static class VectorMath
{
    // 1.5·2²³: adding it to a number leaves the nearest integer in the low bits of the sum.
    private const float Rounder = 12582912;

    /// <summary>Where <see cref="NormalAboveHalf"/> ends.</summary>
    public const float NormalEnd = 5.5f;

    /// <summary>Where <see cref="GeluSlopeAboveHalf"/> ends.</summary>
    public const float SlopeEnd = 5.6f;

    /// <summary>
    /// eˣ to about 1 ulp. Below −86.6 the result is 0 rather than nearly so (2e-38); above 88.7 it is infinite; what is not a number stays so.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp<V>(V x)
        where V : struct, ILane<V>
    {
        // Times 2ⁿ⁻¹ and 2, since 2¹²⁸ is no float although e^88.7 is one.
        var p = Reduced(x, out var n);
        var result = (p + p) * V.ShiftToExponent(n, V.Of(0.5f));
        result = V.WhereLess(V.Of(88.72284f), x, V.Of(float.PositiveInfinity), result);
        return V.WhereLess(x, V.Of(-86.6f), V.Of(0), result);
    }

    /// <summary>The same of numbers up to 0, or a little above.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V ExpUpToZero<V>(V x)
        where V : struct, ILane<V>
    {
        var p = Reduced(x, out var n);
        return V.WhereLess(x, V.Of(-86.6f), V.Of(0), p * V.ShiftToExponent(n, V.Of(1)));
    }

    /// <summary>eʳ where x = n·ln 2 + r and |r| ≤ ln 2 / 2; n is left in the low bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Reduced<V>(V x, out V shifted)
        where V : struct, ILane<V>
    {
        // ln 2 is split so that n·(its first part) is exact; the polynomial is a minimax of relative error 3e-9.
        shifted = V.MultiplyAdd(x, V.Of(1.44269504f), V.Of(Rounder));
        var n = shifted - V.Of(Rounder);
        var r = V.MultiplyAdd(n, V.Of(-0.693145752f), x);
        r = V.MultiplyAdd(n, V.Of(-1.42860677e-6f), r);
        var p = V.MultiplyAdd(r, V.Of(1.381454058e-3f), V.Of(8.368745446e-3f));
        p = V.MultiplyAdd(p, r, V.Of(4.166838899e-2f));
        p = V.MultiplyAdd(p, r, V.Of(0.1666652113f));
        p = V.MultiplyAdd(p, r, V.Of(0.4999999404f));
        return V.MultiplyAdd(p * r, r, r) + V.Of(1);
    }

    /// <summary>1/(1+e⁻ˣ).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Sigmoid<V>(V x)
        where V : struct, ILane<V> => V.Of(1) / (V.Of(1) + Exp(V.Of(0) - x));

    /// <summary>
    /// Φ(a) − ½ of the normal distribution at 0 ≤ a ≤ <see cref="NormalEnd"/>, beyond which it is ½ to 2e-8: a·N(a²)/D(a²), a minimax of error 7e-9 whose coefficients are
    /// all positive, so that nothing cancels; of a float little more than its rounding remains (1.5e-7).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V NormalAboveHalf<V>(V a)
        where V : struct, ILane<V> => Odd(
            a, 0.398942232f, 3.38527039e-2f, 4.67726402e-3f, 1.68826242e-4f, 6.35212109e-6f, 2.2749358e-8f, 0.251522064f, 2.86459029e-2f, 1.88444811e-3f, 7.36476795e-5f, 1.19750393e-6f);

    /// <summary>Φ(a) + a·φ(a) − ½, the slope of GELU less ½, at 0 ≤ a ≤ <see cref="SlopeEnd"/>, in the same way: error 1.1e-7, of floats 2.8e-7.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V GeluSlopeAboveHalf<V>(V a)
        where V : struct, ILane<V> => Odd(
            a, 0.797885358f, -3.09752896e-2f, 1.42260641e-2f, 1.9752666e-5f, 3.58992693e-5f, 1.92166894e-7f, 0.294519663f, 4.09837663e-2f, 3.52263986e-3f, 1.92052205e-4f, 8.92815751e-6f);

    /// <summary>a·N(a²)/D(a²), D beginning with 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Odd<V>(V a, float n0, float n1, float n2, float n3, float n4, float n5, float d1, float d2, float d3, float d4, float d5)
        where V : struct, ILane<V>
    {
        var t = a * a;
        var n = V.MultiplyAdd(t, V.Of(n5), V.Of(n4));
        n = V.MultiplyAdd(n, t, V.Of(n3));
        n = V.MultiplyAdd(n, t, V.Of(n2));
        n = V.MultiplyAdd(n, t, V.Of(n1));
        n = V.MultiplyAdd(n, t, V.Of(n0));
        var d = V.MultiplyAdd(t, V.Of(d5), V.Of(d4));
        d = V.MultiplyAdd(d, t, V.Of(d3));
        d = V.MultiplyAdd(d, t, V.Of(d2));
        d = V.MultiplyAdd(d, t, V.Of(d1));
        d = V.MultiplyAdd(d, t, V.Of(1));
        return a * n / d;
    }
}
