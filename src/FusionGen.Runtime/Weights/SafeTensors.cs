using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using FusionGen.Checkpoints;
using Microsoft.Win32.SafeHandles;
using static TorchSharp.torch;

namespace FusionGen.Weights;

/// <summary>
/// A safetensors file, open for reading. Tensors are read one by one, by offset and not through a mapping:
/// a file that shrinks while it is mapped ends the process, one that shrinks while it is read ends in an error that names it.
/// </summary>
public sealed class SafeTensors : IDisposable
{
    private const int Chunk = 1 << 20;

    private readonly SafeFileHandle file;
    private readonly Dictionary<string, SafeTensorEntry> index;

    private SafeTensors(string path, SafeFileHandle file, SafeTensorsHeader header)
    {
        this.Path = path;
        this.file = file;
        this.Metadata = header.Metadata;
        this.Entries = header.Entries;
        this.index = header.Entries.ToDictionary(entry => entry.Name, StringComparer.Ordinal);
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>What <c>__metadata__</c> says.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Every tensor, in the order of their bytes.</summary>
    public IReadOnlyList<SafeTensorEntry> Entries { get; }

    /// <summary>Opens a file and checks its whole header.</summary>
    /// <exception cref="FusionException">The file is missing, unreadable or damaged; the message names the tensor at fault.</exception>
    public static SafeTensors Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        SafeFileHandle? file = null;
        try
        {
            file = File.OpenHandle(path, options: FileOptions.SequentialScan);
            return new SafeTensors(path, file, SafeTensorsHeader.Read(path, file));
        }
        catch (Exception error)
        {
            file?.Dispose();
            if (error is IOException or UnauthorizedAccessException or NotSupportedException)
                throw new FusionException($"{path}: cannot be read: {error.Message}", ExitCode.Data, error);
            throw;
        }
    }

    /// <summary>Whether the file has a tensor of that name.</summary>
    public bool Has(string name) => this.index.ContainsKey(name);

    /// <summary>The header's entry of a tensor.</summary>
    /// <exception cref="FusionException">The file has none of that name.</exception>
    public SafeTensorEntry Entry(string name) => this.index.TryGetValue(name, out var entry)
        ? entry
        : throw new FusionException($"{this.Path}: has no tensor {SafeTensorsHeader.Quote(name)}", ExitCode.Data);

    /// <summary>Reads a tensor in the type the file has it in, on the CPU.</summary>
    /// <exception cref="FusionException">The file has none of that name, it is too large for one tensor, or the file shrank.</exception>
    public Tensor Read(string name)
    {
        var entry = this.Entry(name);
        if (entry.Length > int.MaxValue)
            throw new FusionException($"{this.Path}: tensor {SafeTensorsHeader.Quote(name)} is larger than 2 GiB", ExitCode.Data);
        var tensor = empty([.. entry.Shape], dtype: TypeOf(entry.Type));
        if (entry.Length == 0)
            return tensor;
        try
        {
            var bytes = tensor.bytes;
            this.ReadBytes(entry, 0, bytes);
            // A bool that is neither 0 nor 1 is undefined behaviour in the library below.
            if (entry.Type == "BOOL" && bytes.ContainsAnyExceptInRange((byte)0, (byte)1))
                throw new FusionException($"{this.Path}: tensor {SafeTensorsHeader.Quote(name)} of dtype BOOL holds other bytes than 0 and 1", ExitCode.Data);
            return tensor;
        }
        catch
        {
            tensor.Dispose();
            throw;
        }
    }

    /// <summary>SHA-256 over names, types, shapes and bytes of the tensors that <paramref name="which"/> chooses, by name; hex.</summary>
    public string Digest(Func<string, bool>? which = null)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = ArrayPool<byte>.Shared.Rent(Chunk);
        try
        {
            foreach (var entry in this.Entries.OrderBy(entry => entry.Name, StringComparer.Ordinal))
            {
                if (which?.Invoke(entry.Name) == false)
                    continue;
                hash.AppendData(Encoding.UTF8.GetBytes($"{entry.Name}\n{entry.Type}\n{string.Join(',', entry.Shape)}\n"));
                for (var at = 0L; at < entry.Length; at += Chunk)
                {
                    var part = buffer.AsSpan(0, (int)Math.Min(Chunk, entry.Length - at));
                    this.ReadBytes(entry, at, part);
                    hash.AppendData(part);
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>
    /// Writes tensors and metadata, whole or not at all. Header order and layout follow the reference implementation:
    /// larger element types first, then by name, header padded with spaces to 8 bytes.
    /// </summary>
    /// <exception cref="FusionException">The file cannot be written.</exception>
    public static void Write(string path, IEnumerable<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        var ordered = tensors.OrderByDescending(pair => pair.Value.ElementSize).ThenBy(pair => pair.Key, StringComparer.Ordinal).ToList();
        var header = Header(ordered, metadata);
        AtomicFile.Write(path, stream =>
        {
            Span<byte> prefix = stackalloc byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(prefix, header.Length);
            stream.Write(prefix);
            stream.Write(header);
            foreach (var (_, tensor) in ordered)
            {
                using var scope = NewDisposeScope();
                if (tensor.NumberOfElements > 0)
                    stream.Write(tensor.detach().cpu().contiguous().bytes);
            }
        });
    }

    /// <inheritdoc/>
    public void Dispose() => this.file.Dispose();

    private static byte[] Header(List<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                json.WriteStartObject("__metadata__");
                foreach (var (key, value) in metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal))
                    json.WriteString(key, value);
                json.WriteEndObject();
            }
            var offset = 0L;
            foreach (var (name, tensor) in tensors)
            {
                json.WriteStartObject(name);
                json.WriteString("dtype", NameOf(tensor.dtype));
                json.WriteStartArray("shape");
                foreach (var size in tensor.shape)
                    json.WriteNumberValue(size);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                json.WriteNumberValue(offset += tensor.NumberOfElements * tensor.ElementSize);
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        var header = new byte[(buffer.WrittenCount + 7) & ~7];
        header.AsSpan().Fill((byte)' ');
        buffer.WrittenSpan.CopyTo(header);
        return header;
    }

    private static ScalarType TypeOf(string type) => type switch
    {
        "F64" => ScalarType.Float64,
        "F32" => ScalarType.Float32,
        "F16" => ScalarType.Float16,
        "BF16" => ScalarType.BFloat16,
        "I64" => ScalarType.Int64,
        "I32" => ScalarType.Int32,
        "U8" => ScalarType.Byte,
        _ => ScalarType.Bool,
    };

    private static string NameOf(ScalarType type) => type switch
    {
        ScalarType.Float64 => "F64",
        ScalarType.Float32 => "F32",
        ScalarType.Float16 => "F16",
        ScalarType.BFloat16 => "BF16",
        ScalarType.Int64 => "I64",
        ScalarType.Int32 => "I32",
        ScalarType.Byte => "U8",
        ScalarType.Bool => "BOOL",
        _ => throw new ArgumentException($"tensors of type {type} are not written to safetensors files"),
    };

    private void ReadBytes(SafeTensorEntry entry, long from, Span<byte> target)
    {
        try
        {
            for (var done = 0; done < target.Length;)
            {
                var read = RandomAccess.Read(this.file, target[done..], entry.Offset + from + done);
                if (read == 0)
                    throw new EndOfStreamException("the file ends inside the tensor");
                done += read;
            }
        }
        catch (IOException error)
        {
            var name = SafeTensorsHeader.Quote(entry.Name);
            throw new FusionException(string.Create(CultureInfo.InvariantCulture, $"{this.Path}: tensor {name} cannot be read: {error.Message}"), ExitCode.Data, error);
        }
    }
}
