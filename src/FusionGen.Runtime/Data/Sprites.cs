using System.Globalization;
using System.Numerics;

namespace FusionGen.Data;

/// <summary>
/// Rendered sprites in the manner of dSprites (Matthey et al. 2017): a square, an ellipse or a heart of some scale, angle and place, 64×64.
/// Two tasks with VTAB-1k's split sizes: <c>location</c>, the sixteenth of the range that x is in, and <c>orientation</c>, the sixteenth
/// of a turn. With colour, sprite and ground have random colours that differ; clutter adds small bars and triangles below the sprite.
/// </summary>
public sealed class Sprites
{
    /// <summary>Side of a picture.</summary>
    public const int Size = 64;

    private const int Bins = 16;
    private const float SmallestRadius = 6;
    private const float LargestRadius = 12;
    private const float NearestToEdge = LargestRadius + 1;
    private const int Samples = 4;

    private readonly long seed;
    private readonly bool isLocation;
    private readonly bool colour;
    private readonly int clutter;

    private Sprites(long seed, bool isLocation, bool colour, int clutter)
    {
        this.seed = seed;
        this.isLocation = isLocation;
        this.colour = colour;
        this.clutter = clutter;
    }

    private enum Shape
    {
        Square,
        Ellipse,
        Heart,
    }

    /// <summary>Opens <c>location</c> or <c>orientation</c> with options <c>?colour=true&amp;clutter=4&amp;train=800&amp;val=200&amp;test=2000</c>.</summary>
    /// <exception cref="FusionException">The task or an option is unknown.</exception>
    public static ImageDataset Open(string description, long seed)
    {
        ArgumentNullException.ThrowIfNull(description);
        var parts = description.Split('?', 2);
        var (colour, clutter, counts) = (false, 0, new Dictionary<string, int> { ["train"] = 800, ["val"] = 200, ["test"] = 2000 });
        foreach (var option in parts.Length == 1 ? [] : parts[1].Split('&'))
        {
            var pair = option.Split('=', 2);
            var value = pair.Length == 2 ? pair[1] : "";
            var isNumber = int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number);
            if (pair[0] == "colour" && bool.TryParse(value, out var flag))
                colour = flag;
            else if (pair[0] == "clutter" && isNumber && number <= 100)
                clutter = number;
            else if (isNumber && number > 0 && counts.ContainsKey(pair[0]))
                counts[pair[0]] = number;
            else
                throw new FusionException($"sprites: option '{option}' is none of colour=true|false, clutter=0..100, train=N, val=N, test=N", ExitCode.Spec);
        }
        if (parts[0] is not ("location" or "orientation"))
            throw new FusionException($"sprites: task '{parts[0]}' is neither location nor orientation", ExitCode.Spec);
        var sprites = new Sprites(seed, parts[0] == "location", colour, clutter);
        return new ImageDataset(
            $"sprites-{parts[0]}",
            [.. Enumerable.Range(0, Bins).Select(bin => bin.ToString("00", CultureInfo.InvariantCulture))],
            sprites.Part("train", counts["train"]),
            sprites.Part("val", counts["val"]),
            sprites.Part("test", counts["test"]));
    }

    private Split Part(string part, int count) => new(
        [.. Enumerable.Range(0, count).Select(i => this.Draw(part, i).Label)],
        i => this.Render(part, i));

    /// <summary>The factors of a sprite; <paramref name="Angle"/> in turns.</summary>
    private readonly record struct Factors(int Label, Shape Shape, float Radius, float Angle, Vector2 Centre);

    private Factors Draw(string part, int index)
    {
        var random = SplitMix.For(this.seed, $"sprite {part} {index}");
        var label = random.Next(Bins);
        var within = (float)((label + random.NextDouble()) / Bins);
        var other = (float)random.NextDouble();
        // Angles that look the same are one angle: a square's repeat after a quarter turn, an ellipse's after half a turn.
        // In the orientation task labels are uniform, so the first bins are of all shapes, the last of hearts.
        var shapes = this.isLocation || label < Bins / 4 ? 3 : label < Bins / 2 ? 2 : 1;
        var shape = shapes == 3 ? (Shape)random.Next(3) : shapes == 2 ? (Shape)(1 + random.Next(2)) : Shape.Heart;
        var radius = SmallestRadius + ((LargestRadius - SmallestRadius) * (float)random.NextDouble());
        var y = (float)random.NextDouble();
        return this.isLocation
            ? new(label, shape, radius, other, new Vector2(Place(within), Place(y)))
            : new(label, shape, radius, within, new Vector2(Place(other), Place(y)));

        static float Place(float part) => NearestToEdge + (part * (Size - (2 * NearestToEdge)));
    }

    private Picture Render(string part, int index)
    {
        var factors = this.Draw(part, index);
        var random = SplitMix.For(this.seed, $"look {part} {index}");
        var canvas = new Vector3[Size * Size];
        var ink = Vector3.One;
        if (this.colour)
        {
            var (ground, other) = (Colour(random), Colour(random));
            do
            {
                ink = Colour(random);
            }
            while (Vector3.Distance(ink, ground) < 0.5f || Vector3.Distance(ink, other) < 0.5f);
            var (sin, cos) = MathF.SinCos(MathF.Tau * (float)random.NextDouble());
            for (var i = 0; i < canvas.Length; i++)
            {
                var along = (((((i % Size) - (Size / 2)) * cos) + (((i / Size) - (Size / 2)) * sin)) / (Size * 1.5f)) + 0.5f;
                canvas[i] = Vector3.Lerp(ground, other, Math.Clamp(along, 0, 1));
            }
        }
        for (var i = 0; i < this.clutter; i++)
        {
            var matrix = Matrix3x2.CreateScale(1.5f + (2 * (float)random.NextDouble())) *
                Matrix3x2.CreateRotation(MathF.Tau * (float)random.NextDouble()) *
                Matrix3x2.CreateTranslation(Size * (float)random.NextDouble(), Size * (float)random.NextDouble());
            var paint = this.colour ? Colour(random) : new Vector3(0.3f + (0.7f * (float)random.NextDouble()));
            Paint(canvas, matrix, paint, random.Next(2) == 0 ? IsInBar : IsInTriangle);
        }
        var place = Matrix3x2.CreateScale(factors.Radius) * Matrix3x2.CreateRotation(MathF.Tau * factors.Angle) * Matrix3x2.CreateTranslation(factors.Centre);
        Paint(canvas, place, ink, factors.Shape switch { Shape.Square => IsInSquare, Shape.Ellipse => IsInEllipse, _ => IsInHeart });

        var pixels = new byte[Size * Size * 3];
        for (var i = 0; i < canvas.Length; i++)
        {
            pixels[3 * i] = (byte)((canvas[i].X * 255) + 0.5f);
            pixels[(3 * i) + 1] = (byte)((canvas[i].Y * 255) + 0.5f);
            pixels[(3 * i) + 2] = (byte)((canvas[i].Z * 255) + 0.5f);
        }
        return new Picture(Size, Size, pixels);
    }

    private static Vector3 Colour(SplitMix random) => new((float)random.NextDouble(), (float)random.NextDouble(), (float)random.NextDouble());

    /// <summary>Paints a shape of the unit disc, antialiased by a grid of samples in each pixel.</summary>
    private static void Paint(Vector3[] canvas, Matrix3x2 place, Vector3 ink, Func<Vector2, bool> isInside)
    {
        Matrix3x2.Invert(place, out var inverse);
        var reach = MathF.Sqrt(place.GetDeterminant()) * 1.5f;
        for (var y = Math.Max(0, (int)(place.M32 - reach)); y < Math.Min(Size, place.M32 + reach); y++)
        {
            for (var x = Math.Max(0, (int)(place.M31 - reach)); x < Math.Min(Size, place.M31 + reach); x++)
            {
                var inside = 0;
                for (var sample = 0; sample < Samples * Samples; sample++)
                {
                    var offset = new Vector2((sample % Samples) + 0.5f, (sample / Samples) + 0.5f) / Samples;
                    if (isInside(Vector2.Transform(new Vector2(x, y) + offset, inverse)))
                        inside++;
                }
                ref var pixel = ref canvas[(y * Size) + x];
                pixel = Vector3.Lerp(pixel, ink, inside / (float)(Samples * Samples));
            }
        }
    }

    private static bool IsInSquare(Vector2 p) => MathF.Max(MathF.Abs(p.X), MathF.Abs(p.Y)) <= 0.7071f;

    private static bool IsInEllipse(Vector2 p) => (p.X * p.X) + (4 * p.Y * p.Y) <= 1;

    // (x² + y² - 1)³ ≤ x²y³ with its centre of mass, at (0, 0.2935), moved to the centre, and scaled into the unit disc.
    private static bool IsInHeart(Vector2 p)
    {
        var (x, y) = (p.X * 1.3f, 0.2935f - (p.Y * 1.3f));
        var disc = (x * x) + (y * y) - 1;
        return disc * disc * disc <= x * x * y * y * y;
    }

    private static bool IsInBar(Vector2 p) => MathF.Abs(p.X) <= 1 && MathF.Abs(p.Y) <= 0.25f;

    private static bool IsInTriangle(Vector2 p) => p.Y <= 0.5f && (0.866f * MathF.Abs(p.X)) - (0.5f * p.Y) <= 0.5f;
}
