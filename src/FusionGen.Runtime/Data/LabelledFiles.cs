namespace FusionGen.Data;

/// <summary>Collects image files by split and class and makes a data set of them, in an order that no file system has a say in.</summary>
internal sealed class LabelledFiles(string name)
{
    private readonly Dictionary<string, List<(string Class, string Path)>> files = Parts.ToDictionary(part => part, _ => new List<(string, string)>(), StringComparer.Ordinal);

    public static IReadOnlyList<string> Parts { get; } = ["train", "val", "test"];

    public void Add(string part, string label, string path) => this.files[part].Add((label, path));

    /// <summary>The data set.</summary>
    /// <param name="seed">Of the validation split, where there is none.</param>
    /// <param name="validationShare">Its share of every class; 0 for no such split.</param>
    /// <param name="known">The classes in their order; those of the training split, in ordinal order, if null.</param>
    public ImageDataset ToDataset(long seed, double validationShare, IReadOnlyList<string>? known = null)
    {
        var classes = known ?? [.. this.files["train"].Select(file => file.Class).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        if (classes.Count < 2)
            throw new FusionException($"{name}: {classes.Count} class in the training split; two are the least", ExitCode.Data);
        var index = classes.Select((label, i) => (label, i)).ToDictionary(pair => pair.label, pair => pair.i, StringComparer.Ordinal);
        foreach (var part in Parts)
        {
            var stranger = this.files[part].Find(file => !index.ContainsKey(file.Class));
            if (stranger.Path is not null)
                throw new FusionException($"{stranger.Path}: class '{stranger.Class}' of the {part} split is not in the training split", ExitCode.Data);
            this.files[part].Sort((a, b) => string.CompareOrdinal(a.Path, b.Path));
        }
        var isHeldOut = this.files["val"].Count == 0 && validationShare > 0;
        var (train, val) = isHeldOut ? Stratify(this.files["train"], classes, seed, validationShare) : (this.files["train"], this.files["val"]);
        return new ImageDataset(name, classes, ToSplit(train), ToSplit(val), ToSplit(this.files["test"])) { IsValHeldOut = isHeldOut };

        Split ToSplit(List<(string Class, string Path)> part)
        {
            var paths = part.Select(file => file.Path).ToArray();
            return new Split([.. part.Select(file => index[file.Class])], i => ImageFile.Read(paths[i]), i => paths[i]);
        }
    }

    /// <summary>Sets a share of every class aside, one picture at least where the class has two.</summary>
    private static (List<(string Class, string Path)> Train, List<(string Class, string Path)> Val) Stratify(
        List<(string Class, string Path)> all, IReadOnlyList<string> classes, long seed, double share)
    {
        var members = all.ToLookup(file => file.Class, file => file.Path, StringComparer.Ordinal);
        var aside = new HashSet<string>(classes.SelectMany(label => Aside([.. members[label]], seed, label, share)), StringComparer.Ordinal);
        return ([.. all.Where(file => !aside.Contains(file.Path))], [.. all.Where(file => aside.Contains(file.Path))]);
    }

    /// <summary>The members of a class that are set aside.</summary>
    internal static IEnumerable<T> Aside<T>(T[] members, long seed, string label, double share)
    {
        SplitMix.For(seed, $"validation {label}").Shuffle<T>(members);
        var most = Math.Max(0, members.Length - 1);
        return members.Take(Math.Clamp((int)Math.Round(share * members.Length), Math.Min(1, most), most));
    }
}
