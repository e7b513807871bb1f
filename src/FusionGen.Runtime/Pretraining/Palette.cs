using System.Numerics;

namespace FusionGen.Pretraining;

/// <summary>A few colours that go together: hues near one another or opposite, as in light on real things.</summary>
internal readonly struct Palette
{
    public const int Count = 5;
    private readonly Vector4[] colours;

    private Palette(Vector4[] colours) => this.colours = colours;

    /// <summary>All black.</summary>
    public static Palette Dark { get; } = new([.. Enumerable.Repeat(Vector4.UnitW, Count)]);

    public Vector4 this[int i] => this.colours[i % Count];

    public Vector4 Mean
    {
        get
        {
            var sum = Vector4.Zero;
            foreach (var colour in this.colours)
                sum += colour;
            return sum / Count;
        }
    }

    /// <summary>Any palette at all.</summary>
    public static Palette Draw(SplitMix random)
    {
        var spread = random.Next(3) switch { 0 => 0.03f, 1 => 0.12f, _ => 0.5f };
        var saturation = random.NextSingle() * (0.3f + (0.7f * random.NextSingle()));
        return Around(random, random.NextSingle(), spread, saturation, 0.1f + (0.9f * random.NextSingle()));
    }

    /// <summary>A palette of one of so many tints, equal sectors of the hues, that stands out against a colour.</summary>
    public static Palette DrawTint(SplitMix random, int tint, int tints, Vector4 ground)
    {
        while (true)
        {
            var hue = (tint + (0.8f * random.NextSingle())) / tints;
            var palette = Around(random, hue, 0.04f, 0.55f + (0.4f * random.NextSingle()), 0.4f + (0.6f * random.NextSingle()));
            if (Vector4.Distance(palette.Mean, ground) > 0.4f)
                return palette;
        }
    }

    private static Palette Around(SplitMix random, float hue, float spread, float saturation, float value)
    {
        var contrast = 0.05f + (0.45f * random.NextSingle());
        var colours = new Vector4[Count];
        for (var i = 0; i < Count; i++)
        {
            colours[i] = FromHsv(
                hue + (spread * random.NextSigned()),
                Math.Clamp(saturation + (0.2f * random.NextSigned()), 0, 1),
                Math.Clamp(value + (contrast * random.NextSigned()), 0, 1));
        }
        return new Palette(colours);
    }

    private static Vector4 FromHsv(float hue, float saturation, float value)
    {
        var h = (hue - MathF.Floor(hue)) * 6;
        return new Vector4(Channel(h, 5, saturation, value), Channel(h, 3, saturation, value), Channel(h, 1, saturation, value), 1);

        static float Channel(float h, int n, float s, float v)
        {
            var k = (n + h) % 6;
            return v - (v * s * Math.Clamp(MathF.Min(k, 4 - k), 0, 1));
        }
    }
}
