namespace FusionGen.Data;

/// <summary>Opens a data set by its one-line description.</summary>
public static class DataSource
{
    /// <summary>Forms of a description, for help texts.</summary>
    public const string Forms =
        "sprites:location, sprites:orientation (with ?colour=true&clutter=4&train=800&val=200&test=2000), folder:PATH, csv:PATH";

    /// <summary>Opens a data set.</summary>
    /// <param name="source">One of <see cref="Forms"/>.</param>
    /// <param name="seed">Of rendered data, and of the validation split where the source has none.</param>
    /// <param name="validationShare">Share of the training pictures of each class set aside where the source has no validation split.</param>
    /// <exception cref="FusionException">The description, a folder, a manifest or a file in it is wrong.</exception>
    public static ImageDataset Open(string source, long seed, double validationShare = 0.1)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentOutOfRangeException.ThrowIfNegative(validationShare);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(validationShare, 1);
        var colon = source.IndexOf(':', StringComparison.Ordinal);
        var (kind, rest) = colon < 0 ? ("", source) : (source[..colon], source[(colon + 1)..]);
        return kind switch
        {
            "sprites" => Sprites.Open(rest, seed),
            "folder" => ImageFolder.Open(rest, seed, validationShare),
            "csv" => Manifest.Open(rest, seed, validationShare),
            _ => throw new FusionException($"data '{source}' is none of {Forms}", ExitCode.Spec),
        };
    }
}
