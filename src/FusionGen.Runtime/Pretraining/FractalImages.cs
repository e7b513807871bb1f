namespace FusionGen.Pretraining;

/// <summary>
/// Formula-driven images to pretrain on where no photographs may be used: coloured fractals (Kataoka et al. 2020, Nakashima et al. 2022) and filled
/// radial contours (Kataoka et al. 2022), at any place, size and angle, on gradients and noise. What an image shows depends on
/// (seed, index, variety) alone, so there is nothing to store and no end of it. A class is a shape in a tint; its images share nothing else.
/// </summary>
public sealed class FractalImages
{
    /// <summary>Every shape comes in so many tints.</summary>
    public const int Tints = 4;

    /// <summary>Fewest classes there can be.</summary>
    public const int FewestClasses = 2 * Tints;

    /// <summary>Least side of an image in pixels.</summary>
    public const int SmallestSize = 16;

    private readonly long seed;
    private readonly IteratedFunctionSystem[] fractals;
    private readonly RadialContour[] contours;

    /// <summary>Draws the shapes: three in five are fractals, the rest contours.</summary>
    /// <param name="classes">Number of classes, at least 8.</param>
    /// <param name="seed">Of classes and images.</param>
    /// <param name="size">Side of an image in pixels.</param>
    public FractalImages(int classes, long seed, int size = 64)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(classes, FewestClasses);
        ArgumentOutOfRangeException.ThrowIfLessThan(size, SmallestSize);
        this.Classes = classes;
        this.Size = size;
        this.seed = seed;
        var shapes = (classes + Tints - 1) / Tints;
        this.contours = new RadialContour[shapes * 2 / 5];
        this.fractals = new IteratedFunctionSystem[shapes - this.contours.Length];
        for (var i = 0; i < this.fractals.Length; i++)
            this.fractals[i] = IteratedFunctionSystem.Draw(SplitMix.For(seed, $"fractal {i}"));
        for (var i = 0; i < this.contours.Length; i++)
            this.contours[i] = RadialContour.Draw(SplitMix.For(seed, $"contour {i}"));
    }

    /// <summary>Number of classes.</summary>
    public int Classes { get; }

    /// <summary>Side of an image in pixels.</summary>
    public int Size { get; }

    /// <summary>The class of an image: every run of <see cref="Classes"/> images has each class once.</summary>
    public int Label(long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        return (int)(index % this.Classes);
    }

    /// <summary>Renders an image, (<see cref="Size"/>, <see cref="Size"/>, 3) bytes; safe to call from many threads.</summary>
    /// <param name="index">Which.</param>
    /// <param name="rgb">Where it goes.</param>
    /// <param name="variety">0 for shapes upright in the middle of a plain ground up to 1 for any place, size, angle and ground: a course for beginners.</param>
    public void Render(long index, Span<byte> rgb, float variety = 1)
    {
        if (rgb.Length != this.Size * this.Size * 3)
            throw new ArgumentException($"an image is {this.Size}×{this.Size}×3 bytes, the buffer {rgb.Length}", nameof(rgb));
        var random = SplitMix.For(this.seed, $"image {index}");
        var (shape, tint) = Math.DivRem(this.Label(index), Tints);
        var canvas = Canvas.OfThread(this.Size);
        var background = random.NextSingle() < variety ? Palette.Draw(random) : Palette.Dark;
        canvas.Ground(random, background);
        for (var clutter = random.NextSingle() < 0.3f * variety ? 1 + random.Next(2) : 0; clutter > 0; clutter--)
            canvas.Clutter(random, Palette.Draw(random));
        var palette = Palette.DrawTint(random, tint, Tints, background.Mean);
        if (shape < this.fractals.Length)
        {
            // The root-mean-square radius of a fractal is about two thirds of what the eye takes for its radius; fractals keep their upright.
            var placement = Placement.Draw(random, this.Size, 0.14f, 0.3f, reach: 1.3f, turn: MathF.PI / 7, variety);
            // As many points as keep the density of the light about the same at every size.
            var points = canvas.Points((int)Math.Clamp(14 * placement.Radius * placement.Radius, 1500, 9000));
            var system = this.fractals[shape].Vary(random, 0.08 * variety);
            system.Play(random, points);
            canvas.Fractal(random, points, placement.Matrix(), palette, system.Count);
        }
        else
        {
            var placement = Placement.Draw(random, this.Size, 0.11f, 0.35f, reach: 1, turn: MathF.PI, variety);
            Span<float> radii = stackalloc float[RadialContour.Angles];
            this.contours[shape - this.fractals.Length].Trace(random, 0.06 * variety, radii);
            canvas.Contour(random, radii, placement.Matrix(), palette, variety);
        }
        canvas.Develop(random, rgb, variety);
    }
}
