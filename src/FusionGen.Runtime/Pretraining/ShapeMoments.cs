using System.Numerics;

namespace FusionGen.Pretraining;

/// <summary>Where the mass of a shape is: its mean, and its covariance about it.</summary>
internal readonly record struct ShapeMoments(Vector2 Mean, float Xx, float Xy, float Yy)
{
    /// <summary>The direction the shape is longest in, in [0, π).</summary>
    public float Axis
    {
        get
        {
            var angle = 0.5f * MathF.Atan2(2 * this.Xy, this.Xx - this.Yy);
            return angle < 0 ? angle + MathF.PI : angle;
        }
    }

    /// <summary>Of points of equal mass.</summary>
    public static ShapeMoments Of(ReadOnlySpan<Vector3> points)
    {
        var mean = Vector2.Zero;
        var (xx, xy, yy) = (0f, 0f, 0f);
        foreach (var p in points)
        {
            mean += new Vector2(p.X, p.Y);
            xx += p.X * p.X;
            xy += p.X * p.Y;
            yy += p.Y * p.Y;
        }
        mean /= points.Length;
        return About(mean, xx / points.Length, xy / points.Length, yy / points.Length);
    }

    /// <summary>Of what an outline r(θ), at equal steps of θ, encloses: ∫ rᵏ⁺¹ dr = rᵏ⁺²/(k + 2) along each ray.</summary>
    public static ShapeMoments Of(ReadOnlySpan<float> radii)
    {
        var (area, mean, xx, xy, yy) = (0f, Vector2.Zero, 0f, 0f, 0f);
        for (var i = 0; i < radii.Length; i++)
        {
            var (sin, cos) = MathF.SinCos(MathF.Tau * i / radii.Length);
            var r = radii[i];
            area += r * r / 2;
            mean += r * r * r / 3 * new Vector2(cos, sin);
            var fourth = r * r * r * r / 4;
            xx += fourth * cos * cos;
            xy += fourth * cos * sin;
            yy += fourth * sin * sin;
        }
        return About(mean / area, xx / area, xy / area, yy / area);
    }

    /// <summary>Of the shape after p ↦ p·M.</summary>
    public ShapeMoments Through(Matrix3x2 m) => new(
        Vector2.Transform(this.Mean, m),
        (m.M11 * m.M11 * this.Xx) + (2 * m.M11 * m.M21 * this.Xy) + (m.M21 * m.M21 * this.Yy),
        (m.M11 * m.M12 * this.Xx) + (((m.M11 * m.M22) + (m.M21 * m.M12)) * this.Xy) + (m.M21 * m.M22 * this.Yy),
        (m.M12 * m.M12 * this.Xx) + (2 * m.M12 * m.M22 * this.Xy) + (m.M22 * m.M22 * this.Yy));

    private static ShapeMoments About(Vector2 mean, float xx, float xy, float yy) =>
        new(mean, xx - (mean.X * mean.X), xy - (mean.X * mean.Y), yy - (mean.Y * mean.Y));
}
