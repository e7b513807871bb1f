using System.Numerics;

namespace FusionGen.Pretraining;

/// <summary>
/// An iterated function system: a few contracting affine maps whose attractor is the fractal. A class is one system and its instances are
/// small variations of it (Kataoka et al. 2020). Maps are drawn by their singular values, R(θ)·diag(σ)·R(φ)·diag(±1), which makes every
/// system contract and, within the band of Σ(σ₁ + 2σ₂) of Anderson and Farrell 2022, its attractor rich.
/// </summary>
internal sealed class IteratedFunctionSystem
{
    private const int BurnIn = 24;
    private const float LargestSingularValue = 0.97f;
    private readonly Map[] maps;

    private IteratedFunctionSystem(Map[] maps) => this.maps = maps;

    public int Count => this.maps.Length;

    /// <summary>A system whose attractor fills a good part of its frame, neither dust nor a blob.</summary>
    public static IteratedFunctionSystem Draw(SplitMix random)
    {
        var points = new Vector3[4096];
        while (true)
        {
            var system = DrawContracting(random);
            system.Play(random, points);
            if (Fill(points) is > 0.12 and < 0.6)
                return system;
        }
    }

    /// <summary>The same system a little changed: another instance of its class.</summary>
    public IteratedFunctionSystem Vary(SplitMix random, double amount) => new([.. this.maps.Select(map => map with
    {
        Theta = map.Theta + (Signed(random) * amount),
        Phi = map.Phi + (Signed(random) * amount),
        Sigma1 = Math.Min(LargestSingularValue, map.Sigma1 * (1 + (Signed(random) * amount))),
        Sigma2 = Math.Min(LargestSingularValue, map.Sigma2 * (1 + (Signed(random) * amount))),
        X = map.X + (Signed(random) * amount),
        Y = map.Y + (Signed(random) * amount),
    })]);

    /// <summary>
    /// The chaos game: points of the attractor, centred on their mean with root-mean-square radius 1. Z is the index of the last map.
    /// </summary>
    public void Play(SplitMix random, Span<Vector3> points)
    {
        var matrices = new Matrix3x2[this.maps.Length];
        var thresholds = new double[this.maps.Length];
        var total = 0.0;
        for (var i = 0; i < this.maps.Length; i++)
        {
            matrices[i] = this.maps[i].Matrix();
            // A floor keeps maps that nearly project to a line (determinant near 0) visible.
            total += Math.Max(0.02, Math.Abs(matrices[i].GetDeterminant()));
            thresholds[i] = total;
        }

        // A table turns the choice of a map into one look-up; 1/1024 is far below what the eye or the task can tell.
        Span<byte> table = stackalloc byte[1024];
        for (int i = 0, map = 0; i < table.Length; i++)
        {
            while (map < thresholds.Length - 1 && (i + 0.5) / table.Length * total > thresholds[map])
                map++;
            table[i] = (byte)map;
        }

        var point = Vector2.Zero;
        var bits = 0UL;
        var mean = Vector2.Zero;
        for (var i = -BurnIn; i < points.Length; i++)
        {
            bits = ((i + BurnIn) % 6) == 0 ? random.NextUInt64() : bits >> 10;
            var map = table[(int)(bits & 1023)];
            point = Vector2.Transform(point, matrices[map]);
            if (i < 0)
                continue;
            points[i] = new Vector3(point, map);
            mean += point;
        }

        mean /= points.Length;
        var square = 0f;
        foreach (var p in points)
            square += (new Vector2(p.X, p.Y) - mean).LengthSquared();
        var scale = 1 / MathF.Max(1e-6f, MathF.Sqrt(square / points.Length));
        foreach (ref var p in points)
            p = new Vector3((p.X - mean.X) * scale, (p.Y - mean.Y) * scale, p.Z);
    }

    private static IteratedFunctionSystem DrawContracting(SplitMix random)
    {
        var count = 2 + random.Next(4);
        while (true)
        {
            var maps = new Map[count];
            var sum = 0.0;
            for (var i = 0; i < count; i++)
            {
                var sigma1 = random.NextDouble() * LargestSingularValue;
                var sigma2 = random.NextDouble() * sigma1;
                sum += sigma1 + (2 * sigma2);
                maps[i] = new Map(
                    random.NextDouble() * 2 * Math.PI,
                    random.NextDouble() * 2 * Math.PI,
                    sigma1,
                    sigma2,
                    random.Next(2) == 0 ? 1 : -1,
                    random.Next(2) == 0 ? 1 : -1,
                    Signed(random),
                    Signed(random));
            }
            if (sum >= 0.5 * (5 + count) && sum <= 0.5 * (6 + count))
                return new IteratedFunctionSystem(maps);
        }
    }

    /// <summary>Share of a 32×32 grid over ±2 root-mean-square radii that the points touch.</summary>
    private static double Fill(ReadOnlySpan<Vector3> points)
    {
        const int side = 32;
        Span<bool> touched = stackalloc bool[side * side];
        foreach (var p in points)
        {
            var x = (int)((p.X + 2) * (side / 4));
            var y = (int)((p.Y + 2) * (side / 4));
            if ((uint)x < side && (uint)y < side)
                touched[(y * side) + x] = true;
        }
        return touched.Count(true) / (double)touched.Length;
    }

    private static double Signed(SplitMix random) => (random.NextDouble() * 2) - 1;

    private readonly record struct Map(double Theta, double Phi, double Sigma1, double Sigma2, int FlipX, int FlipY, double X, double Y)
    {
        public Matrix3x2 Matrix()
        {
            var (s, c) = Math.SinCos(this.Theta);
            var (u, v) = Math.SinCos(this.Phi);
            // Row vectors: x' = x·M, the transpose of R(θ)·diag(σ)·R(φ)·diag(±1).
            return new Matrix3x2(
                (float)(this.FlipX * ((c * this.Sigma1 * v) - (s * this.Sigma2 * u))),
                (float)(this.FlipX * ((s * this.Sigma1 * v) + (c * this.Sigma2 * u))),
                (float)(this.FlipY * ((-c * this.Sigma1 * u) - (s * this.Sigma2 * v))),
                (float)(this.FlipY * ((-s * this.Sigma1 * u) + (c * this.Sigma2 * v))),
                (float)this.X,
                (float)this.Y);
        }
    }
}
