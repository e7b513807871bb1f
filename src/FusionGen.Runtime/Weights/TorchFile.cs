using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;

namespace FusionGen.Weights;

/// <summary>
/// A checkpoint as <c>torch.save</c> writes it: a zip archive since PyTorch 1.6, a row of pickles with raw storages before. Its tensors are those of
/// the state dict in it: the checkpoint itself, or the entry that holds one.
/// </summary>
internal sealed class TorchFile : WeightFile
{
    /// <summary>Where training scripts put the state dict, the likelier first.</summary>
    private static readonly string[] Customary = ["model", "state_dict", "model_state_dict", "model_state", "net", "network", "module"];

    private static readonly BigInteger LegacyMagic = BigInteger.Parse("1950a86a20f9469cfc6c", NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private readonly IDisposable owner;
    private readonly Reader read;

    private TorchFile(string path, string format, IDisposable owner, IReadOnlyList<View> entries, Reader read)
        : base(path, format, entries)
    {
        this.owner = owner;
        this.read = read;
    }

    private delegate void Reader(TorchStorage storage, long from, Span<byte> target);

    /// <summary>Reads the pickle of an archive, which the result then owns.</summary>
    /// <exception cref="FusionException">It is damaged, hostile or holds more than tensors and plain values.</exception>
    public static TorchFile OpenArchive(ZipFile archive)
    {
        var pickles = archive.Records.Where(record => record.Name == "data.pkl" || record.Name.EndsWith("/data.pkl", StringComparison.Ordinal)).ToList();
        if (pickles is not [var pickle])
            throw archive.Damaged("holds more than one data.pkl");
        var root = pickle.Name[..^"data.pkl".Length];
        if (archive.Records.Any(record => record.Name == root + "constants.pkl"))
            throw archive.Damaged("a TorchScript program; save the module's state dict instead: torch.save(model.state_dict(), path)");
        if (pickle.Length > Unpickler.LargestPickle)
            throw archive.Damaged(string.Create(CultureInfo.InvariantCulture, $"its pickle is longer than {Unpickler.LargestPickle} bytes"));
        var bytes = new byte[pickle.Length];
        archive.Read(pickle, 0, bytes);
        var value = Unpickler.Load(bytes, archive.Path).Value;
        var records = archive.Records.ToDictionary(record => record.Name, StringComparer.Ordinal);
        if (records.TryGetValue(root + "byteorder", out var order))
        {
            var text = new byte[Math.Min(order.Length, 8)];
            archive.Read(order, 0, text);
            if (!text.AsSpan().SequenceEqual("little"u8))
                throw archive.Damaged("its numbers are not in little-endian order");
        }
        var entries = StateDict(archive.Path, value);
        foreach (var storage in entries.Select(entry => entry.Storage).Distinct())
        {
            if (!records.TryGetValue($"{root}data/{storage.Key}", out var record))
                throw archive.Damaged($"has no storage {SafeTensorsHeader.Quote(storage.Key)}");
            if (record.Length != (Int128)storage.Count * ElementType.SizeOf(storage.Type))
                throw archive.Damaged(string.Create(CultureInfo.InvariantCulture, $"storage {SafeTensorsHeader.Quote(storage.Key)} of {storage.Count} elements of {storage.Type} has {record.Length} bytes"));
        }
        return new TorchFile(archive.Path, "PyTorch, zip", archive, entries, (storage, from, target) => archive.Read(records[$"{root}data/{storage.Key}"], from, target));
    }

    /// <summary>Reads the pickles of a file from before PyTorch 1.6, which the result then owns.</summary>
    /// <exception cref="FusionException">It is damaged, hostile or holds more than tensors and plain values.</exception>
    public static TorchFile OpenLegacy(MappedFile file)
    {
        var at = 0L;
        Pickle Next()
        {
            var pickle = Unpickler.Load(file.Bytes(at, (int)Math.Min(file.Length - at, Unpickler.LargestPickle)), file.Path);
            at += pickle.Length;
            return pickle;
        }

        if (Next().Value is not BigInteger magic || magic != LegacyMagic)
            throw Damaged(file.Path, "a pickle, but not one that torch.save wrote");
        if (Next().Value is not 1001L)
            throw Damaged(file.Path, "a checkpoint of an unknown version of PyTorch's format");
        if (Next().Value is not PickleDict system || (system.TryGet("little_endian", out var order) && order is not true))
            throw Damaged(file.Path, "its numbers are not in little-endian order");
        var checkpoint = Next();
        var entries = StateDict(file.Path, checkpoint.Value);
        var offsets = Storages(file, checkpoint, Next().Value, at);
        return new TorchFile(file.Path, "PyTorch, before 1.6", file, entries, (storage, from, target) => file.CopyTo(offsets[storage.Key] + from, target));
    }

    /// <inheritdoc/>
    private protected override void Dispose(bool disposing) => this.owner.Dispose();

    /// <inheritdoc/>
    private protected override void ReadBytes(WeightEntry entry, long from, Span<byte> target)
    {
        var place = (View)entry;
        this.read(place.Storage, (place.Start * ElementType.SizeOf(entry.Type)) + from, target);
    }

    private static FusionException Damaged(string path, string what) => new($"{path}: {what}", ExitCode.Data);

    private static List<View> StateDict(string path, object? value)
    {
        if (value is not PickleDict top)
            throw Damaged(path, "holds no dict of tensors");
        var dict = top;
        if (!HasTensors(top))
        {
            var nested = top.Entries.Where(pair => pair.Key is string && pair.Value is PickleDict inner && HasTensors(inner)).Select(pair => (string)pair.Key).ToList();
            var chosen = nested is [var only] ? only : Customary.FirstOrDefault(nested.Contains)
                ?? throw Damaged(path, nested.Count == 0
                    ? "holds no dict of tensors"
                    : $"holds several dicts of tensors ({string.Join(", ", nested.Take(10).Select(SafeTensorsHeader.Quote))}) and none under a customary name ({string.Join(", ", Customary)})");
            top.TryGet(chosen, out var found);
            dict = (PickleDict)found!;
        }
        return [.. dict.Entries.Where(pair => pair.Value is TorchTensor).Select(pair => pair.Key is string name
            ? new View(name, (TorchTensor)pair.Value!)
            : throw Damaged(path, "holds tensors without names"))];
    }

    private static bool HasTensors(PickleDict dict) => dict.Entries.Any(pair => pair.Value is TorchTensor);

    /// <summary>Where the storages are that follow the pickles: of each, in the order of the keys, how many elements it has, and then these, to the end of the file.</summary>
    private static Dictionary<string, long> Storages(MappedFile file, Pickle checkpoint, object? keys, long at)
    {
        if (keys is not PickleList list || list.Items.Count != checkpoint.Storages.Count)
            throw Damaged(file.Path, "its list of storages does not fit its tensors");
        var offsets = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var item in list.Items)
        {
            if (item is not string key || !checkpoint.Storages.TryGetValue(key, out var storage) || !offsets.TryAdd(key, at + 8))
                throw Damaged(file.Path, "its list of storages does not fit its tensors");
            var count = BinaryPrimitives.ReadInt64LittleEndian(file.Bytes(at, 8));
            var length = (Int128)storage.Count * ElementType.SizeOf(storage.Type);
            if (count != storage.Count || length > file.Length - at - 8)
                throw Damaged(file.Path, string.Create(CultureInfo.InvariantCulture, $"storage {SafeTensorsHeader.Quote(key)} of {storage.Count} elements of {storage.Type} has {count}, or leaves the file"));
            at += 8 + (long)length;
        }
        return at == file.Length ? offsets : throw Damaged(file.Path, string.Create(CultureInfo.InvariantCulture, $"{file.Length - at} bytes at its end belong to no storage"));
    }

    private sealed record View(string Name, TorchStorage Storage, long Start, IReadOnlyList<long> Shape) : WeightEntry(Name, Storage.Type, Shape)
    {
        public View(string name, TorchTensor tensor)
            : this(name, tensor.Storage, tensor.Offset, tensor.Shape) => this.Strides = tensor.Strides;
    }
}
