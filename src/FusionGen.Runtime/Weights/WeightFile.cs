using System.Buffers;
using System.Globalization;
using System.Runtime.InteropServices;

namespace FusionGen.Weights;

/// <summary>
/// A file of named tensors in any of the formats that weights are published in, open for reading. Everything the file says of itself is checked when it
/// is opened, and nothing is allocated by what it claims: tensors are read into the caller's memory, as float32.
/// </summary>
public abstract class WeightFile : IDisposable
{
    private const int ChunkBytes = 1 << 16;

    /// <summary>A view may spread over that many times its own elements: reading it takes a buffer of its spread.</summary>
    private const long LargestSpread = 16;

    private readonly Dictionary<string, WeightEntry> index;

    /// <summary>A file with its tensors.</summary>
    private protected WeightFile(string path, string format, IReadOnlyList<WeightEntry> entries)
    {
        this.Path = path;
        this.Format = format;
        this.Entries = entries;
        this.index = entries.ToDictionary(entry => entry.Name, StringComparer.Ordinal);
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Its format, in words.</summary>
    public string Format { get; }

    /// <summary>Every tensor, in the file's order.</summary>
    public IReadOnlyList<WeightEntry> Entries { get; }

    /// <summary>Opens a file; its content says which format it has: safetensors, an index of safetensors, NumPy's npz or a PyTorch checkpoint.</summary>
    /// <exception cref="FusionException">The file is missing, unreadable, damaged, hostile or of none of these formats.</exception>
    public static WeightFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return path.EndsWith(".json", StringComparison.OrdinalIgnoreCase) ? ShardedFile.Open(path) : OpenOne(path);
    }

    /// <summary>Whether the file has a tensor of that name.</summary>
    public bool Has(string name) => this.index.ContainsKey(name);

    /// <summary>The tensor of that name.</summary>
    /// <exception cref="FusionException">The file has none of that name.</exception>
    public WeightEntry Entry(string name) => this.index.TryGetValue(name, out var entry)
        ? entry
        : throw new FusionException($"{this.Path}: has no tensor {SafeTensorsHeader.Quote(name)}", ExitCode.Data);

    /// <summary>Reads elements of a floating-point tensor, the last dimension fastest, as float32.</summary>
    /// <param name="entry">One of <see cref="Entries"/>.</param>
    /// <param name="from">The first element to read.</param>
    /// <param name="target">As many elements as it is long.</param>
    /// <exception cref="FusionException">It holds no floating-point numbers, is spread too far to be read, or the file shrank.</exception>
    public void Read(WeightEntry entry, long from, Span<float> target)
    {
        ArgumentNullException.ThrowIfNull(entry);
        if (!entry.IsFloat)
            throw new FusionException($"{this.Path}: tensor {SafeTensorsHeader.Quote(entry.Name)} is {entry.Type}, not floating point", ExitCode.Data);
        if (from < 0 || target.Length > entry.Count - from)
            throw new ArgumentOutOfRangeException(nameof(from), from, $"tensor '{entry.Name}' has {entry.Count} elements");
        if (entry.Strides is null)
            this.ReadRun(entry, from, target);
        else
            this.Gather(entry, entry.Strides, from, target);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        this.Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Opens a file that is no index of others.</summary>
    internal static WeightFile OpenOne(string path)
    {
        var file = MappedFile.Open(path);
        try
        {
            var head = file.Bytes(0, (int)Math.Min(262, file.Length));
            if (head.StartsWith("PK\u0003\u0004"u8) || head.StartsWith("PK\u0005\u0006"u8))
                return Archived(new ZipFile(file));
            if (head.StartsWith(NumpyFile.Magic))
                throw new FusionException($"{path}: a single NumPy array; weights are archives of named arrays, .npz", ExitCode.Data);
            if (head.Length == 262 && head[257..].SequenceEqual("ustar"u8))
                throw new FusionException($"{path}: a tar archive, as PyTorch wrote before 0.1.10; load and save it with a newer one", ExitCode.Data);
            return head.Length > 1 && head[0] == 0x80 && head[1] is > 0 and < 6 ? TorchFile.OpenLegacy(file) : new SafeTensors(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Releases the file.</summary>
    private protected abstract void Dispose(bool disposing);

    /// <summary>Reads bytes of a tensor's storage, from its first element on.</summary>
    private protected abstract void ReadBytes(WeightEntry entry, long from, Span<byte> target);

    /// <summary>The same of another file, for files that are made of others.</summary>
    private protected static void ReadBytesOf(WeightFile file, WeightEntry entry, long from, Span<byte> target) => file.ReadBytes(entry, from, target);

    private static WeightFile Archived(ZipFile archive) =>
        archive.Records.Any(record => record.Name.EndsWith(".npy", StringComparison.Ordinal)) ? new NumpyFile(archive)
        : archive.Records.Any(record => record.Name == "data.pkl" || record.Name.EndsWith("/data.pkl", StringComparison.Ordinal)) ? TorchFile.OpenArchive(archive)
        : throw new FusionException($"{archive.Path}: a zip archive, but neither NumPy's (it holds no .npy) nor PyTorch's (it holds no data.pkl)", ExitCode.Data);

    private void ReadRun(WeightEntry entry, long from, Span<float> target)
    {
        var size = ElementType.SizeOf(entry.Type);
        if (entry.Type == "F32" && BitConverter.IsLittleEndian)
        {
            this.ReadBytes(entry, from * size, MemoryMarshal.AsBytes(target));
            return;
        }
        var buffer = ArrayPool<byte>.Shared.Rent(ChunkBytes);
        try
        {
            for (var done = 0; done < target.Length;)
            {
                var part = target.Slice(done, Math.Min(ChunkBytes / size, target.Length - done));
                var bytes = buffer.AsSpan(0, part.Length * size);
                this.ReadBytes(entry, (from + done) * size, bytes);
                ElementType.ToSingle(entry.Type, bytes, part);
                done += part.Length;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private void Gather(WeightEntry entry, IReadOnlyList<long> strides, long from, Span<float> target)
    {
        var extent = entry.Extent;
        if (extent > int.MaxValue || extent > LargestSpread * entry.Count)
            throw new FusionException(string.Create(CultureInfo.InvariantCulture, $"{this.Path}: tensor {SafeTensorsHeader.Quote(entry.Name)} is a view of {entry.Count} elements spread over {extent}; save a copy of it instead"), ExitCode.Data);
        var window = new float[extent];
        this.ReadRun(entry, 0, window);
        var (shape, steps, last) = (entry.Shape.ToArray(), strides.ToArray(), strides.Count - 1);
        var place = new long[shape.Length];
        for (var (rest, axis) = (from, last); axis >= 0; axis--)
            (rest, place[axis]) = Math.DivRem(rest, shape[axis]);
        for (var done = 0; done < target.Length;)
        {
            var at = 0L;
            for (var axis = 0; axis <= last; axis++)
                at += place[axis] * steps[axis];
            var row = target.Slice(done, (int)Math.Min(shape[last] - place[last], target.Length - done));
            for (var i = 0; i < row.Length; i++, at += steps[last])
                row[i] = window[at];
            done += row.Length;
            place[last] += row.Length;
            for (var axis = last; axis > 0 && place[axis] == shape[axis]; axis--)
                (place[axis], place[axis - 1]) = (0, place[axis - 1] + 1);
        }
    }
}
