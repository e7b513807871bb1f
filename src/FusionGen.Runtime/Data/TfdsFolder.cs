using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace FusionGen.Data;

/// <summary>
/// A data set as TensorFlow Datasets prepares it: <c>name-split.tfrecord-00000-of-00004</c>, with <c>dataset_info.json</c>, <c>features.json</c> and <c>label.labels.txt</c>
/// for its sizes and names where they are there. Behind <c>#</c>, which splits to use, and parts of them in TFDS's own notation:
/// <c>#train=train[:800],val=train[800:1000],test=test,label=label</c>.
/// </summary>
internal static partial class TfdsFolder
{
    private const int MostClasses = 65_536;
    private static readonly string[] Keys = ["train", "val", "test", "image", "label"];

    public static ImageDataset Open(string source, long seed, double validationShare, Action<DataFault> report)
    {
        var hash = source.IndexOf('#', StringComparison.Ordinal);
        var root = hash < 0 ? source : source[..hash];
        var options = Options(hash < 0 ? "" : source[(hash + 1)..]);
        if (!Directory.Exists(root))
            throw new FusionException($"{root}: no such folder", ExitCode.Data);
        var splits = Splits(root, report);
        if (splits.Count == 0)
            throw new FusionException($"{root}: has no name-split.tfrecord-00000-of-00001; name the folder of a version, as in tfds:cifar100/3.0.2", ExitCode.Data);
        var (image, label) = (options.GetValueOrDefault("image", "image"), options.GetValueOrDefault("label", "label"));
        var names = Names(root, label);
        var records = new Dictionary<string, Records>(StringComparer.Ordinal);
        Records Part(string part, string fallback)
        {
            if (!options.TryGetValue(part, out var wanted) && !splits.ContainsKey(fallback))
                return Records.None;
            var (split, from, to) = Slice(wanted ?? fallback);
            if (!splits.TryGetValue(split, out var files))
                throw new FusionException($"{root}: has no split '{split}'; it has {string.Join(", ", splits.Keys.Order(StringComparer.Ordinal))}", ExitCode.Data);
            if (!records.TryGetValue(split, out var all))
                records.Add(split, all = Records.Read(files, image, label, names?.Length ?? MostClasses, report));
            return all[(from?.Of(all.Labels.Length) ?? 0)..(to?.Of(all.Labels.Length) ?? all.Labels.Length)];
        }

        var (train, val, test) = (Part("train", "train"), Part("val", "validation"), Part("test", "test"));
        if (train.Labels.Length == 0)
            throw new FusionException($"{root}: no training records; name a split, as in #train=train", ExitCode.Data);
        string[] classes = names ?? [.. Enumerable.Range(0, 1 + train.Labels.Concat(val.Labels).Concat(test.Labels).Max()).Select(Text)];
        if (classes.Length < 2)
            throw new FusionException($"{root}: one class; two are the least", ExitCode.Data);
        var isHeldOut = val.Labels.Length == 0 && validationShare > 0;
        if (isHeldOut)
            (train, val) = train.Stratify(seed, validationShare);
        return new ImageDataset(Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(root))), classes, train.ToSplit(image), val.ToSplit(image), test.ToSplit(image)) { IsValHeldOut = isHeldOut };
    }

    private static Dictionary<string, string> Options(string text)
    {
        var options = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var option in text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            var equals = option.IndexOf('=', StringComparison.Ordinal);
            if (equals < 0 || !Keys.Contains(option[..equals]) || !options.TryAdd(option[..equals], option[(equals + 1)..]))
                throw new FusionException($"'{option}': behind # stand {string.Join("=…, ", Keys)}=…, each once, with commas between", ExitCode.Spec);
        }
        return options;
    }

    /// <summary>The shards of every split in their order; that one is missing is reported.</summary>
    private static Dictionary<string, List<RecordFile>> Splits(string root, Action<DataFault> report)
    {
        var shards = Directory.EnumerateFiles(root).Select(path => (Path: path, Match: Shard().Match(Path.GetFileName(path)))).Where(shard => shard.Match.Success)
            .Select(shard => (shard.Path, Stem: shard.Match.Groups["stem"].Value, Split: shard.Match.Groups["split"].Value, Index: Number(shard.Match, "index"), Count: Number(shard.Match, "count")))
            .OrderBy(shard => shard.Path, StringComparer.Ordinal).ToList();
        var folder = new PictureFolder(root);
        var sizes = Sizes(root);
        var splits = new Dictionary<string, List<RecordFile>>(StringComparer.Ordinal);
        foreach (var group in shards.GroupBy(shard => shard.Split, StringComparer.Ordinal))
        {
            var (stem, count) = (group.First().Stem, group.First().Count);
            if (group.Any(shard => shard.Stem != stem || shard.Count != count))
                throw new FusionException($"{root}: split '{group.Key}' is there in two divisions; keep one", ExitCode.Data);
            var there = group.Select(shard => shard.Index).ToHashSet();
            foreach (var index in Enumerable.Range(0, count).Where(index => !there.Contains(index)))
                report(new DataFault(FaultKind.Missing, string.Create(CultureInfo.InvariantCulture, $"{Path.Combine(root, $"{stem}-{group.Key}.tfrecord-{index:00000}-of-{count:00000}")}: is missing")));
            var files = new List<RecordFile>();
            foreach (var shard in group)
            {
                if (folder.Find(Path.GetFileName(shard.Path), root, 0, report) is not null)
                    files.Add(new RecordFile(shard.Path, report));
            }
            if (sizes.TryGetValue(group.Key, out var expected) && expected != files.Sum(file => (long)file.Count))
                report(new DataFault(FaultKind.Miscounted, string.Create(CultureInfo.InvariantCulture, $"{root}: split '{group.Key}' has {files.Sum(file => (long)file.Count)} records, dataset_info.json says {expected}")));
            splits.Add(group.Key, files);
        }
        return splits;
    }

    /// <summary>Records of each split by <c>dataset_info.json</c>; empty where it is not there.</summary>
    private static Dictionary<string, long> Sizes(string root)
    {
        var sizes = new Dictionary<string, long>(StringComparer.Ordinal);
        if (Document(root, "dataset_info.json") is not { } info || !info.TryGetProperty("splits", out var splits) || splits.ValueKind != JsonValueKind.Array)
            return sizes;
        foreach (var split in splits.EnumerateArray())
        {
            if (split.ValueKind == JsonValueKind.Object && split.TryGetProperty("name", out var name) && name.ValueKind == JsonValueKind.String
                && split.TryGetProperty("shardLengths", out var lengths) && lengths.ValueKind == JsonValueKind.Array)
                sizes[name.GetString()!] = lengths.EnumerateArray().Sum(length => Whole(length) ?? 0);
        }
        return sizes;
    }

    /// <summary>The classes' names: of <c>label.labels.txt</c>, else numbers up to what <c>features.json</c> says; null where neither is there.</summary>
    private static string[]? Names(string root, string label)
    {
        var list = Path.Combine(root, $"{Path.GetFileName(label)}.labels.txt");
        if (File.Exists(list))
        {
            var names = DataFile.Text(list).Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
            return names.Length <= MostClasses && names.Distinct(StringComparer.Ordinal).Count() == names.Length
                ? names
                : throw new FusionException($"{list}: {(names.Length > MostClasses ? "too many classes" : "names a class twice")}", ExitCode.Data);
        }
        var count = Document(root, "features.json") is { } features ? Classes(features, label) : null;
        return count is null ? null
            : count is >= 2 and <= MostClasses ? [.. Enumerable.Range(0, (int)count).Select(Text)]
            : throw new FusionException($"{Path.Combine(root, "features.json")}: says {count} classes", ExitCode.Data);
    }

    /// <summary><c>numClasses</c> of a feature, wherever this version of TFDS puts it.</summary>
    private static long? Classes(JsonElement element, string label, bool isWithin = false)
    {
        if (element.ValueKind != JsonValueKind.Object)
            return null;
        foreach (var property in element.EnumerateObject())
        {
            if (isWithin && property.Name is "numClasses" or "num_classes" && Whole(property.Value) is { } count)
                return count;
            if (Classes(property.Value, label, isWithin || property.Name == label) is { } below)
                return below;
        }
        return null;
    }

    private static JsonElement? Document(string root, string name)
    {
        var path = Path.Combine(root, name);
        if (!File.Exists(path))
            return null;
        try
        {
            using var document = JsonDocument.Parse(DataFile.Read(path));
            return document.RootElement.ValueKind == JsonValueKind.Object ? document.RootElement.Clone() : throw new JsonException("wanted { … }");
        }
        catch (JsonException error)
        {
            throw new FusionException(string.Create(CultureInfo.InvariantCulture, $"{path}({(error.LineNumber ?? 0) + 1}): is no JSON: {error.Message}"), ExitCode.Data, error);
        }
    }

    // TFDS writes its 64-bit numbers as texts.
    private static long? Whole(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Number when element.TryGetInt64(out var number) && number >= 0 => number,
        JsonValueKind.String when long.TryParse(element.GetString(), NumberStyles.None, CultureInfo.InvariantCulture, out var number) => number,
        _ => null,
    };

    private static (string Split, Bound? From, Bound? To) Slice(string text)
    {
        var match = Part().Match(text);
        return match.Success
            ? (match.Groups["split"].Value, Bound.Parse(match.Groups["from"].Value), Bound.Parse(match.Groups["to"].Value))
            : throw new FusionException($"'{text}' is no split; write train, train[:800], train[80%:] or train[100:200]", ExitCode.Spec);
    }

    private static int Number(Match match, string group) => int.Parse(match.Groups[group].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture);

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^(?<stem>.+)-(?<split>[A-Za-z0-9_]+)\.tfrecord-(?<index>[0-9]{5})-of-(?<count>[0-9]{5})$", RegexOptions.CultureInvariant)]
    private static partial Regex Shard();

    [GeneratedRegex(@"^(?<split>[A-Za-z0-9_]+)(\[(?<from>[0-9]{0,9}%?):(?<to>[0-9]{0,9}%?)\])?$", RegexOptions.CultureInvariant)]
    private static partial Regex Part();

    /// <summary>A bound of a slice.</summary>
    private sealed record Bound(int Value, bool IsPercent)
    {
        public static Bound? Parse(string text) => text.TrimEnd('%') is { Length: > 0 } digits ? new(int.Parse(digits, NumberStyles.None, CultureInfo.InvariantCulture), text[^1] == '%') : null;

        /// <summary>As TFDS rounds: to the nearest record.</summary>
        public int Of(int count) => Math.Min(count, this.IsPercent ? (int)Math.Round(count * Math.Min(100, this.Value) / 100.0) : this.Value);
    }

    /// <summary>Records of a split with their labels.</summary>
    private sealed record Records((RecordFile File, int Index)[] At, int[] Labels)
    {
        public static Records None { get; } = new([], []);

        public Records this[Range range] => range.Start.Value < range.End.Value ? new(this.At[range], this.Labels[range]) : None;

        public static Records Read(List<RecordFile> files, string image, string label, int classes, Action<DataFault> report)
        {
            var (at, labels) = (new List<(RecordFile, int)>(), new List<int>());
            foreach (var file in files)
            {
                for (var i = 0; i < file.Count; i++)
                {
                    try
                    {
                        var example = new ExampleReader(file.Peek(i));
                        var number = example.Number(label);
                        if (number < 0 || number >= classes)
                        {
                            report(new DataFault(FaultKind.Label, string.Create(CultureInfo.InvariantCulture, $"{file.Name(i)}: label {number}; there are {classes} classes")));
                            continue;
                        }
                        example.Picture(image);
                        at.Add((file, i));
                        labels.Add((int)number);
                    }
                    catch (FormatException error)
                    {
                        report(new DataFault(FaultKind.Malformed, $"{file.Name(i)}: {error.Message}"));
                    }
                }
            }
            return new Records([.. at], [.. labels]);
        }

        /// <summary>Sets a share of every class aside.</summary>
        public (Records Train, Records Val) Stratify(long seed, double share)
        {
            var aside = Enumerable.Range(0, this.Labels.Length).GroupBy(i => this.Labels[i]).SelectMany(members => LabelledFiles.Aside([.. members], seed, Text(members.Key), share)).ToHashSet();
            return (this.Where(i => !aside.Contains(i)), this.Where(aside.Contains));
        }

        public Split ToSplit(string image) => new(
            this.Labels,
            i =>
            {
                var (file, index) = this.At[i];
                return ImageFile.Decode(new ExampleReader(file.Read(index)).Picture(image), file.Name(index));
            },
            i => this.At[i].File.Name(this.At[i].Index));

        private Records Where(Func<int, bool> wanted)
        {
            var chosen = Enumerable.Range(0, this.Labels.Length).Where(wanted).ToList();
            return new([.. chosen.Select(i => this.At[i])], [.. chosen.Select(i => this.Labels[i])]);
        }
    }
}
