namespace FusionGen.Data;

/// <summary>Opens a data set by its one-line description.</summary>
public static class DataSource
{
    /// <summary>Forms of a description, for help texts.</summary>
    public const string Forms =
        "sprites:location, sprites:orientation (with ?colour=true&clutter=4&train=800&val=200&test=2000), folder:PATH, csv:PATH, vtab:PATH, fgvc:PATH, tfds:PATH (with #train=train[:800],val=train[800:1000],test=test)";

    /// <summary>Opens a data set.</summary>
    /// <param name="source">One of <see cref="Forms"/>.</param>
    /// <param name="seed">Of rendered data, and of the validation split where the source has none.</param>
    /// <param name="validationShare">Share of the training pictures of each class set aside where the source has no validation split.</param>
    /// <exception cref="FusionException">The description, a folder, a list or a file in it is wrong.</exception>
    public static ImageDataset Open(string source, long seed, double validationShare = 0.1) => Open(source, seed, validationShare, DataFault.Refuse);

    /// <summary>Opens what can be opened of a data set and reports what is wrong with the rest.</summary>
    /// <param name="source">One of <see cref="Forms"/>.</param>
    /// <param name="seed">As above.</param>
    /// <param name="validationShare">As above.</param>
    /// <param name="report">Hears every fault of a list, a record or a path.</param>
    /// <exception cref="FusionException">So much is wrong that nothing can be opened.</exception>
    public static ImageDataset Open(string source, long seed, double validationShare, Action<DataFault> report)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(report);
        ArgumentOutOfRangeException.ThrowIfNegative(validationShare);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(validationShare, 1);
        var colon = source.IndexOf(':', StringComparison.Ordinal);
        var (kind, rest) = colon < 0 ? ("", source) : (source[..colon], source[(colon + 1)..]);
        return kind switch
        {
            "sprites" => Sprites.Open(rest, seed),
            "folder" => ImageFolder.Open(rest, seed, validationShare),
            "csv" => Manifest.Open(rest, seed, validationShare, report),
            "vtab" => VtabFolder.Open(rest, report),
            "fgvc" => FgvcFolder.Open(rest, seed, validationShare, report),
            "tfds" => TfdsFolder.Open(rest, seed, validationShare, report),
            _ => throw new FusionException($"data '{source}' is none of {Forms}", ExitCode.Spec),
        };
    }
}
