using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using FusionGen.Checkpoints;
using static TorchSharp.torch;

namespace FusionGen.Weights;

/// <summary>A safetensors file, open for reading.</summary>
public sealed class SafeTensors : WeightFile
{
    private const int Chunk = 1 << 20;

    private readonly MappedFile file;

    /// <summary>Reads and checks the whole header of a file, which it then owns.</summary>
    internal SafeTensors(MappedFile file)
        : this(file, SafeTensorsHeader.Read(file))
    {
    }

    private SafeTensors(MappedFile file, SafeTensorsHeader header)
        : base(file.Path, "safetensors", header.Entries)
    {
        this.file = file;
        this.Metadata = header.Metadata;
    }

    /// <summary>What <c>__metadata__</c> says.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Opens a file and checks its whole header.</summary>
    /// <exception cref="FusionException">The file is missing, unreadable or damaged; the message names the tensor at fault.</exception>
    public static new SafeTensors Open(string path)
    {
        var file = MappedFile.Open(path);
        try
        {
            return new SafeTensors(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Reads a tensor in the type the file has it in, on the CPU.</summary>
    /// <exception cref="FusionException">The file has none of that name, it is too large for one tensor, or the file shrank.</exception>
    public Tensor Read(string name)
    {
        var entry = (SafeTensorEntry)this.Entry(name);
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
            foreach (var entry in this.Entries.Cast<SafeTensorEntry>().OrderBy(entry => entry.Name, StringComparer.Ordinal))
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
    private protected override void Dispose(bool disposing) => this.file.Dispose();

    /// <inheritdoc/>
    private protected override void ReadBytes(WeightEntry entry, long from, Span<byte> target)
    {
        try
        {
            this.file.CopyTo(((SafeTensorEntry)entry).Offset + from, target);
        }
        catch (FusionException error)
        {
            throw new FusionException($"{this.Path}: tensor {SafeTensorsHeader.Quote(entry.Name)} cannot be read: the file ends inside it", ExitCode.Data, error);
        }
    }

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
}
