using System.Numerics;

namespace FusionGen.Pretraining;

/// <summary>Where, how large, how turned and how sheared a shape lies in the frame; lengths in pixels.</summary>
internal readonly record struct Placement(Vector2 Centre, float Radius, float Angle, float Stretch, bool Flip)
{
    /// <summary>A place at which a shape that reaches about <paramref name="reach"/> radii from its centre stays mostly inside.</summary>
    /// <param name="random">Source.</param>
    /// <param name="size">Side of the frame.</param>
    /// <param name="smallest">Smallest radius, as a part of the side.</param>
    /// <param name="largest">Largest radius, likewise.</param>
    /// <param name="reach">Extent of the shape in radii.</param>
    /// <param name="variety">0 for the middle of every range, 1 for all of it.</param>
    public static Placement Draw(SplitMix random, int size, float smallest, float largest, float reach, float variety)
    {
        var radius = 0.5f * size * (smallest + largest + (variety * random.NextSigned() * (largest - smallest)));
        var room = variety * MathF.Max(0.08f * size, (0.5f * size) - (0.8f * reach * radius));
        return new Placement(
            new Vector2((0.5f * size) + (random.NextSigned() * room), (0.5f * size) + (random.NextSigned() * room)),
            radius,
            random.NextSigned() * MathF.PI * variety,
            MathF.Exp(random.NextSigned() * 0.3f * variety),
            random.NextSingle() < 0.5f * variety);
    }

    /// <summary>From a shape of radius 1 to pixels.</summary>
    public Matrix3x2 Matrix() =>
        Matrix3x2.CreateScale(this.Flip ? -this.Radius * this.Stretch : this.Radius * this.Stretch, this.Radius / this.Stretch) *
        Matrix3x2.CreateRotation(this.Angle) *
        Matrix3x2.CreateTranslation(this.Centre);
}

/// <summary>Single-precision draws.</summary>
internal static class SplitMixSingles
{
    /// <summary>Uniform in [0, 1).</summary>
    public static float NextSingle(this SplitMix random) => (random.NextUInt64() >> 40) * (1f / (1 << 24));

    /// <summary>Uniform in [-1, 1).</summary>
    public static float NextSigned(this SplitMix random) => (2 * random.NextSingle()) - 1;
}
