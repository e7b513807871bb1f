namespace FusionGen.Data;

/// <summary>
/// How a picture becomes the network's input; the published protocols differ, so each goes by its name (METHOD §4, §7.1). A mode has a part that
/// is the same in every epoch, whose result is cached, and a part that is drawn anew.
/// </summary>
public sealed class Preprocessing
{
    // 256 pixels resized for 224 cropped, at any input size.
    private const double Margin = 256.0 / 224;

    private readonly Resampling? resampling;
    private readonly bool crops;
    private readonly bool flips;

    private Preprocessing(string name, Resampling? resampling, bool crops = false, bool flips = false)
    {
        this.Name = name;
        this.resampling = resampling;
        this.crops = crops;
        this.flips = flips;
    }

    /// <summary>PFD: shorter side to 256/224 of the input, bicubic; random crop in training, centre crop otherwise; no flip.</summary>
    public static Preprocessing Pfd { get; } = new("pfd", Resampling.Bicubic, crops: true);

    /// <summary>VPT on VTAB: squashed to the input size, bilinear without antialias; no augmentation.</summary>
    public static Preprocessing VptVtab { get; } = new("vpt-vtab", null);

    /// <summary>VPT on FGVC: shorter side to 256/224 of the input, bilinear; random crop and flip in training, centre crop otherwise.</summary>
    public static Preprocessing VptFgvc { get; } = new("vpt-fgvc", Resampling.Bilinear, crops: true, flips: true);

    /// <summary>NOAH and SA2VP on VTAB: squashed to the input size, bicubic with antialias; no augmentation.</summary>
    public static Preprocessing Squash { get; } = new("squash", Resampling.Bicubic);

    /// <summary>Every mode there is.</summary>
    public static IReadOnlyList<Preprocessing> All { get; } = [Pfd, VptVtab, VptFgvc, Squash];

    /// <summary>Name in specs and on the command line.</summary>
    public string Name { get; }

    /// <summary>The mode of a name.</summary>
    /// <exception cref="FusionException">There is none of that name.</exception>
    public static Preprocessing Of(string name) => All.FirstOrDefault(mode => mode.Name == name)
        ?? throw new FusionException($"no preprocessing is called '{name}'; there are {string.Join(", ", All.Select(mode => mode.Name))}", ExitCode.Spec);

    /// <summary>The part that is the same in every epoch.</summary>
    public Picture Settle(Picture picture, int size)
    {
        ArgumentNullException.ThrowIfNull(picture);
        if (this.resampling is null)
            return picture;
        if (!this.crops)
            return this.resampling.Resize(picture, size, size);
        var shorter = (int)Math.Round(size * Margin);
        // torchvision's Resize: the longer side is truncated.
        var (width, height) = picture.Width <= picture.Height
            ? (shorter, (int)((double)shorter * picture.Height / picture.Width))
            : ((int)((double)shorter * picture.Width / picture.Height), shorter);
        return this.resampling.Resize(picture, width, height);
    }

    /// <summary>The rest: input (3, size, size) of a settled picture.</summary>
    /// <param name="settled">What <see cref="Settle"/> gave.</param>
    /// <param name="size">Side of the input.</param>
    /// <param name="augmentation">Draws crop and flip; null for none, as outside of training.</param>
    /// <param name="normalization">Applied last.</param>
    /// <param name="channels">Where the input goes.</param>
    public void Take(Picture settled, int size, SplitMix? augmentation, Normalization normalization, Span<float> channels)
    {
        ArgumentNullException.ThrowIfNull(settled);
        ArgumentNullException.ThrowIfNull(normalization);
        if (this.resampling is null)
        {
            Resampling.Squash(settled, size, channels);
            normalization.Apply(channels);
            return;
        }
        var (left, top) = augmentation is null
            ? (Middle(settled.Width - size), Middle(settled.Height - size))
            : (augmentation.Next(settled.Width - size + 1), augmentation.Next(settled.Height - size + 1));
        var crop = settled.Crop(left, top, size, size);
        if (this.flips && augmentation?.Next(2) == 1)
            crop = crop.Mirror();
        normalization.Apply(crop.Pixels, channels);

        // torchvision's CenterCrop rounds halves to even.
        static int Middle(int room) => (int)Math.Round(room / 2.0, MidpointRounding.ToEven);
    }
}
