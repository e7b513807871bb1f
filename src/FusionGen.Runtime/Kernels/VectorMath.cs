using System.Runtime.CompilerServices;

namespace FusionGen.Kernels;

/// <summary>Transcendental functions of a lane.</summary>
internal static class VectorMath
{
    // 1.5·2²³: adding it to a number leaves the nearest integer in the low bits of the sum.
    private const float Rounder = 12582912;

    /// <summary>
    /// eˣ to about 1 ulp. Below −86.6 the result is 0 rather than nearly so (2e-38); above 88.7 it is infinite; what is not a number stays so.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp<V>(V x)
        where V : struct, ILane<V>
    {
        // x = n·ln 2 + r with |r| <= ln 2 / 2, and the polynomial is a minimax of eʳ. ln 2 is split so that n·(its first part) is exact.
        var shifted = V.MultiplyAdd(x, V.Of(1.44269504f), V.Of(Rounder));
        var n = shifted - V.Of(Rounder);
        var r = V.MultiplyAdd(n, V.Of(-0.693145752f), x);
        r = V.MultiplyAdd(n, V.Of(-1.42860677e-6f), r);
        var p = V.MultiplyAdd(r, V.Of(1.989098087e-4f), V.Of(1.393364103e-3f));
        p = V.MultiplyAdd(p, r, V.Of(8.333310934e-3f));
        p = V.MultiplyAdd(p, r, V.Of(4.166646501e-2f));
        p = V.MultiplyAdd(p, r, V.Of(0.1666666668f));
        p = V.MultiplyAdd(p, r, V.Of(0.5000000013f));
        p = V.MultiplyAdd(p * r, r, r) + V.Of(1);
        // Times 2ⁿ⁻¹ and 2, since 2¹²⁸ is no float although e^88.7 is one.
        var result = (p + p) * V.ShiftToExponent(shifted, V.Of(0.5f));
        result = V.WhereLess(V.Of(88.72284f), x, V.Of(float.PositiveInfinity), result);
        return V.WhereLess(x, V.Of(-86.6f), V.Of(0), result);
    }

    /// <summary>1/(1+e⁻ˣ).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Sigmoid<V>(V x)
        where V : struct, ILane<V> => V.Of(1) / (V.Of(1) + Exp(V.Of(0) - x));

    /// <summary>
    /// What the exact (erf) GELU and its derivative are made of: the upper tail of the normal distribution at |x|, 1 − Φ(|x|) = ½ erfc(|x|/√2),
    /// and e^(−x²/2). The tail is e^(−x²/2) times a polynomial in u = 1/(1 + |x|/4), a minimax of relative error 1e-9.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V NormalTail<V>(V x, out V bell)
        where V : struct, ILane<V>
    {
        var u = V.Of(1) / V.MultiplyAdd(V.Abs(x), V.Of(0.25f), V.Of(1));
        bell = Exp(x * x * V.Of(-0.5f));
        var p = V.MultiplyAdd(u, V.Of(0.03755898648f), V.Of(-0.2146295941f));
        p = V.MultiplyAdd(p, u, V.Of(0.4348382999f));
        p = V.MultiplyAdd(p, u, V.Of(-0.3803113682f));
        p = V.MultiplyAdd(p, u, V.Of(0.3363548863f));
        p = V.MultiplyAdd(p, u, V.Of(-0.03220524932f));
        p = V.MultiplyAdd(p, u, V.Of(0.1230601035f));
        p = V.MultiplyAdd(p, u, V.Of(0.09530748535f));
        p = V.MultiplyAdd(p, u, V.Of(0.1000264503f));
        return bell * (p * u);
    }
}
