namespace FusionGen.Data;

/// <summary>What is subtracted from a channel in [0, 1], and what it is then divided by.</summary>
public sealed record Normalization
{
    private readonly float[] scale = new float[3];
    private readonly float[] shift = new float[3];

    private Normalization(string name, ReadOnlySpan<double> mean, ReadOnlySpan<double> deviation)
    {
        this.Name = name;
        for (var channel = 0; channel < 3; channel++)
        {
            this.scale[channel] = (float)(1 / (255 * deviation[channel]));
            this.shift[channel] = (float)(-mean[channel] / deviation[channel]);
        }
    }

    /// <summary>Statistics of ImageNet, as VPT and PFD feed every backbone.</summary>
    public static Normalization ImageNet { get; } = new("imagenet", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

    /// <summary>Mean and deviation one half: [-1, 1].</summary>
    public static Normalization Half { get; } = new("half", [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]);

    /// <summary>[0, 1] as it is.</summary>
    public static Normalization None { get; } = new("none", [0, 0, 0], [1, 1, 1]);

    /// <summary>Every normalization there is.</summary>
    public static IReadOnlyList<Normalization> All { get; } = [ImageNet, Half, None];

    /// <summary>Name in specs and on the command line.</summary>
    public string Name { get; }

    /// <summary>The normalization of a name.</summary>
    /// <exception cref="FusionException">There is none of that name.</exception>
    public static Normalization Of(string name) => All.FirstOrDefault(one => one.Name == name)
        ?? throw new FusionException($"no normalization is called '{name}'; there are {string.Join(", ", All.Select(one => one.Name))}", ExitCode.Spec);

    /// <summary>Turns pixels (side, side, 3) of 8 bits into channels (3, side, side).</summary>
    public void Apply(ReadOnlySpan<byte> pixels, Span<float> channels)
    {
        var area = pixels.Length / 3;
        var red = channels[..area];
        var green = channels.Slice(area, area);
        var blue = channels.Slice(2 * area, area);
        for (var i = 0; i < area; i++)
        {
            red[i] = (pixels[3 * i] * this.scale[0]) + this.shift[0];
            green[i] = (pixels[(3 * i) + 1] * this.scale[1]) + this.shift[1];
            blue[i] = (pixels[(3 * i) + 2] * this.scale[2]) + this.shift[2];
        }
    }

    /// <summary>Normalises channels (3, side, side) of values in [0, 255] in place.</summary>
    public void Apply(Span<float> channels)
    {
        var area = channels.Length / 3;
        for (var i = 0; i < channels.Length; i++)
            channels[i] = (channels[i] * this.scale[i / area]) + this.shift[i / area];
    }
}
