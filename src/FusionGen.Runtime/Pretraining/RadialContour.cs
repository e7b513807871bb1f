namespace FusionGen.Pretraining;

/// <summary>
/// A closed outline r(θ), the other kind of class (radial contours, Kataoka et al. 2022): Gielis' superformula, which spans ellipses, polygons
/// and stars, bent by a few harmonics. Natural silhouettes and simple sprites look like these more than like fractals.
/// </summary>
internal sealed class RadialContour
{
    public const int Angles = 512;
    private const int Harmonics = 5;
    private readonly double symmetry;
    private readonly double n1;
    private readonly double n2;
    private readonly double aspect;
    private readonly double[] cosines;
    private readonly double[] sines;

    private RadialContour(double symmetry, double n1, double n2, double aspect, double[] cosines, double[] sines)
    {
        this.symmetry = symmetry;
        this.n1 = n1;
        this.n2 = n2;
        this.aspect = aspect;
        this.cosines = cosines;
        this.sines = sines;
    }

    public static RadialContour Draw(SplitMix random)
    {
        // 0: round; 2: lens; 3 … 8: polygons when n₁ is large, stars when it is small.
        ReadOnlySpan<int> symmetries = [0, 2, 3, 3, 4, 4, 5, 6, 8];
        var bend = random.NextDouble() < 0.4 ? 0 : 0.08 + (0.22 * random.NextDouble());
        var cosines = new double[Harmonics];
        var sines = new double[Harmonics];
        for (var k = 0; k < Harmonics; k++)
        {
            cosines[k] = random.NextGaussian() * bend / Math.Sqrt(k + 1);
            sines[k] = random.NextGaussian() * bend / Math.Sqrt(k + 1);
        }
        return new RadialContour(
            symmetries[random.Next(symmetries.Length)],
            Math.Exp((random.NextDouble() * 4.2) - 1.4),
            Math.Exp((random.NextDouble() * 2.4) - 0.2),
            1 + (1.2 * random.NextDouble() * random.NextDouble()),
            cosines,
            sines);
    }

    /// <summary>r at <see cref="Angles"/> equal steps of θ, mean square 1, with a little change of the instance's own.</summary>
    public void Trace(SplitMix random, double amount, Span<float> radii)
    {
        Span<double> c = stackalloc double[Harmonics];
        Span<double> s = stackalloc double[Harmonics];
        for (var k = 0; k < Harmonics; k++)
        {
            c[k] = this.cosines[k] + (random.NextGaussian() * amount * 0.3);
            s[k] = this.sines[k] + (random.NextGaussian() * amount * 0.3);
        }
        var power = this.n1 * Math.Exp(random.NextGaussian() * amount);
        var stretch = this.aspect * Math.Exp(random.NextGaussian() * amount);
        var square = 0.0;
        for (var i = 0; i < Angles; i++)
        {
            var theta = 2 * Math.PI * i / Angles;
            var (sin, cos) = Math.SinCos(this.symmetry * theta / 4);
            // n₂ = n₃, and the exponent keeps n₂/n₁ from flattening stars to needles.
            var log = -Math.Log(Math.Pow(Math.Abs(cos), this.n2) + Math.Pow(Math.Abs(sin), this.n2)) / power;
            for (var k = 0; k < Harmonics; k++)
            {
                var (sk, ck) = Math.SinCos((k + 1) * theta);
                log += (c[k] * ck) + (s[k] * sk);
            }
            // An ellipse of that aspect and unit area.
            var (st, ct) = Math.SinCos(theta);
            log -= 0.5 * Math.Log((ct * ct / stretch) + (st * st * stretch));
            var r = Math.Exp(Math.Clamp(log, -2, 2));
            square += r * r;
            radii[i] = (float)r;
        }
        var scale = (float)(1 / Math.Sqrt(square / Angles));
        foreach (ref var r in radii)
            r *= scale;
    }
}
