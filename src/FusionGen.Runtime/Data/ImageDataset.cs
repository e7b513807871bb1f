namespace FusionGen.Data;

/// <summary>Labelled pictures, decoded when asked for.</summary>
public sealed class Split
{
    private readonly int[] labels;
    private readonly Func<int, Picture> read;
    private readonly Func<int, string>? name;

    /// <summary>A split of so many labels.</summary>
    /// <param name="labels">Class of each picture.</param>
    /// <param name="read">Decodes or renders a picture; called from many threads.</param>
    /// <param name="name">The file that a picture is, or the record of a file; null where pictures are rendered.</param>
    public Split(int[] labels, Func<int, Picture> read, Func<int, string>? name = null)
    {
        ArgumentNullException.ThrowIfNull(labels);
        ArgumentNullException.ThrowIfNull(read);
        this.labels = labels;
        this.read = read;
        this.name = name;
    }

    /// <summary>The pictures of several splits, one after another.</summary>
    public static Split Of(params IReadOnlyList<Split> parts)
    {
        var index = parts.SelectMany(part => Enumerable.Range(0, part.Count).Select(i => (part, i))).ToArray();
        return new Split([.. index.Select(at => at.part.Label(at.i))], at => index[at].part.Read(index[at].i), at => index[at].part.Name(index[at].i));
    }

    /// <summary>Number of pictures.</summary>
    public int Count => this.labels.Length;

    /// <summary>Class of a picture.</summary>
    public int Label(int index) => this.labels[index];

    /// <summary>The file that a picture is, or the record of a file; its number where it is rendered.</summary>
    public string Name(int index) => this.name?.Invoke(index) ?? index.ToString(System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>The picture itself.</summary>
    /// <exception cref="FusionException">Its file is unreadable; the message names it.</exception>
    public Picture Read(int index) => this.read(index);
}

/// <summary>A classification task.</summary>
/// <param name="Name">What reports call it.</param>
/// <param name="ClassNames">Name of each class.</param>
/// <param name="Train">What is trained on.</param>
/// <param name="Val">What is selected on, and what α steps on.</param>
/// <param name="Test">What accuracy is reported on; empty where the source has none.</param>
public sealed record ImageDataset(string Name, IReadOnlyList<string> ClassNames, Split Train, Split Val, Split Test)
{
    /// <summary>Whether the validation pictures were set aside from the training split, because the source has none.</summary>
    public bool IsValHeldOut { get; init; }

    /// <summary>What is trained on once nothing is left to be selected; training and validation pictures unless the source has a list of its own.</summary>
    public Split TrainVal
    {
        get => field ?? Split.Of(this.Train, this.Val);
        init;
    }

    /// <summary>Number of classes.</summary>
    public int Classes => this.ClassNames.Count;
}
