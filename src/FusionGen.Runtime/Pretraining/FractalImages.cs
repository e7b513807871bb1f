namespace FusionGen.Pretraining;

/// <summary>
/// Formula-driven images to pretrain on where no photographs may be used: coloured fractals (Kataoka et al. 2020, Nakashima et al. 2022) and filled
/// radial contours (Kataoka et al. 2022), at any place, size and angle, on gradients and noise. What an image shows depends on
/// (seed, index, variety) alone, so there is nothing to store and no end of it. What there is to tell of an image: its kind, a shape in a tint,
/// and, coarsely, where the shape is and which way it is long. A network that only had to tell the kind would learn to forget the rest.
/// </summary>
public sealed class FractalImages
{
    /// <summary>Every shape comes in so many tints.</summary>
    public const int Tints = 4;

    /// <summary>Columns, and rows, that the frame is told apart in.</summary>
    public const int Cells = 5;

    /// <summary>Parts of half a turn that the direction a shape is longest in is told apart in.</summary>
    public const int Directions = 8;

    /// <summary>Fewest classes there can be: the logits of all factors, two shapes' kinds among them.</summary>
    public const int FewestClasses = (2 * Tints) + (2 * Cells) + Directions;

    /// <summary>Least side of an image in pixels.</summary>
    public const int SmallestSize = 16;

    private readonly long seed;
    private readonly IteratedFunctionSystem[] fractals;
    private readonly RadialContour[] contours;

    /// <summary>Draws the shapes: three in five are fractals, the rest contours.</summary>
    /// <param name="classes">Number of logits of all factors together, at least <see cref="FewestClasses"/>; kinds have what the others leave.</param>
    /// <param name="seed">Of classes and images.</param>
    /// <param name="size">Side of an image in pixels.</param>
    public FractalImages(int classes, long seed, int size = 64)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(classes, FewestClasses);
        ArgumentOutOfRangeException.ThrowIfLessThan(size, SmallestSize);
        var kinds = classes - (2 * Cells) - Directions;
        this.Factors =
        [
            new("kind", 0, kinds),
            new("column", kinds, Cells),
            new("row", kinds + Cells, Cells),
            new("direction", kinds + (2 * Cells), Directions),
        ];
        this.Size = size;
        this.seed = seed;
        var shapes = (kinds + Tints - 1) / Tints;
        this.contours = new RadialContour[shapes * 2 / 5];
        this.fractals = new IteratedFunctionSystem[shapes - this.contours.Length];
        for (var i = 0; i < this.fractals.Length; i++)
            this.fractals[i] = IteratedFunctionSystem.Draw(SplitMix.For(seed, $"fractal {i}"));
        for (var i = 0; i < this.contours.Length; i++)
            this.contours[i] = RadialContour.Draw(SplitMix.For(seed, $"contour {i}"));
    }

    /// <summary>What there is to tell of an image, the kind first.</summary>
    public IReadOnlyList<ImageFactor> Factors { get; }

    /// <summary>Side of an image in pixels.</summary>
    public int Size { get; }

    /// <summary>The kind of an image: every run of as many images as there are kinds has each kind once.</summary>
    public int Kind(long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        return (int)(index % this.Factors[0].Count);
    }

    /// <summary>Renders an image, (<see cref="Size"/>, <see cref="Size"/>, 3) bytes; safe to call from many threads.</summary>
    /// <param name="index">Which.</param>
    /// <param name="rgb">Where it goes.</param>
    /// <param name="values">Where its value of every factor goes.</param>
    /// <param name="variety">0 for shapes upright in the middle of a plain ground up to 1 for any place, size, angle and ground: a course for beginners.</param>
    public void Render(long index, Span<byte> rgb, Span<int> values, float variety = 1)
    {
        if (rgb.Length != this.Size * this.Size * 3)
            throw new ArgumentException($"an image is {this.Size}×{this.Size}×3 bytes, the buffer {rgb.Length}", nameof(rgb));
        if (values.Length != this.Factors.Count)
            throw new ArgumentException($"an image has {this.Factors.Count} values, the buffer {values.Length}", nameof(values));
        var random = SplitMix.For(this.seed, $"image {index}");
        values[0] = this.Kind(index);
        var (shape, tint) = Math.DivRem(values[0], Tints);
        var canvas = Canvas.OfThread(this.Size);
        var background = random.NextSingle() < variety ? Palette.Draw(random) : Palette.Dark;
        canvas.Ground(random, background);
        for (var clutter = random.NextSingle() < 0.3f * variety ? 1 + random.Next(2) : 0; clutter > 0; clutter--)
            canvas.Clutter(random, Palette.Draw(random));
        var palette = Palette.DrawTint(random, tint, Tints, background.Mean);
        ShapeMoments moments;
        if (shape < this.fractals.Length)
        {
            // The root-mean-square radius of a fractal is about two thirds of what the eye takes for its radius.
            var placement = Placement.Draw(random, this.Size, 0.14f, 0.3f, reach: 1.3f, variety);
            // As many points as keep the density of the light about the same at every size.
            var points = canvas.Points((int)Math.Clamp(14 * placement.Radius * placement.Radius, 1500, 9000));
            var system = this.fractals[shape].Vary(random, 0.08 * variety);
            system.Play(random, points);
            moments = ShapeMoments.Of(points).Through(placement.Matrix());
            canvas.Fractal(random, points, placement.Matrix(), palette, system.Count);
        }
        else
        {
            var placement = Placement.Draw(random, this.Size, 0.11f, 0.35f, reach: 1, variety);
            Span<float> radii = stackalloc float[RadialContour.Angles];
            this.contours[shape - this.fractals.Length].Trace(random, 0.06 * variety, radii);
            moments = ShapeMoments.Of(radii).Through(placement.Matrix());
            canvas.Contour(random, radii, placement.Matrix(), palette, variety);
        }
        canvas.Develop(random, rgb, variety);
        values[1] = Cell(moments.Mean.X);
        values[2] = Cell(moments.Mean.Y);
        values[3] = Math.Min((int)(moments.Axis / MathF.PI * Directions), Directions - 1);

        int Cell(float at) => Math.Clamp((int)(at / this.Size * Cells), 0, Cells - 1);
    }
}
