using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace FusionGen.Weights;

/// <summary>A tensor of a safetensors file, by the header's word for it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type"><c>F64 F32 F16 BF16 I64 I32 U8 BOOL</c>.</param>
/// <param name="Shape">Its dimensions; none for a scalar.</param>
/// <param name="Offset">Where its bytes start, from the start of the file.</param>
/// <param name="Length">How many bytes it has.</param>
internal sealed record SafeTensorEntry(string Name, string Type, IReadOnlyList<long> Shape, long Offset, long Length) : WeightEntry(Name, Type, Shape);

/// <summary>
/// The JSON header of a safetensors file, read as if an enemy had written it: nothing is allocated by a size before that size
/// was held against the length of the file, and tensors must cover the data exactly, without overlap or gap.
/// </summary>
internal sealed class SafeTensorsHeader
{
    // The reference implementation refuses larger headers too.
    private const long LargestHeader = 100_000_000;
    private const int LargestRank = 64;
    private const int DeepestNesting = 4;

    private readonly string path;
    private readonly long dataStart;
    private readonly long dataLength;
    private readonly Dictionary<string, string> metadata = new(StringComparer.Ordinal);
    private readonly List<SafeTensorEntry> entries = [];
    private readonly HashSet<string> names = new(StringComparer.Ordinal);

    private SafeTensorsHeader(string path, long dataStart, long dataLength)
    {
        this.path = path;
        this.dataStart = dataStart;
        this.dataLength = dataLength;
    }

    public IReadOnlyDictionary<string, string> Metadata => this.metadata;

    /// <summary>By offset.</summary>
    public IReadOnlyList<SafeTensorEntry> Entries => this.entries;

    /// <summary>A name out of a file, fit for a message: no control characters, no novel.</summary>
    public static string Quote(string name)
    {
        var text = new StringBuilder("'");
        foreach (var c in name.Length > 120 ? string.Concat(name.AsSpan(0, 120), "…") : name)
            text.Append(char.IsControl(c) || char.IsSurrogate(c) ? '?' : c);
        return text.Append('\'').ToString();
    }

    public static SafeTensorsHeader Read(MappedFile file)
    {
        var (path, length) = (file.Path, file.Length);
        if (length < 8)
            throw Damaged(path, "shorter than the 8 bytes that give its header's length; not a safetensors file");
        var size = BinaryPrimitives.ReadUInt64LittleEndian(file.Bytes(0, 8));
        if (size > LargestHeader || (long)size > length - 8)
            throw Damaged(path, string.Create(CultureInfo.InvariantCulture, $"its header claims {size} bytes, the file has {length}; truncated, or not a safetensors file"));
        var header = new SafeTensorsHeader(path, 8 + (long)size, length - 8 - (long)size);
        try
        {
            header.Parse(file.Bytes(8, (int)size));
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException)
        {
            // Utf8JsonReader reports broken UTF-8 in a string as InvalidOperationException.
            throw Damaged(path, $"its header is not valid: {error.Message}", error);
        }
        header.CheckCoverage();
        return header;
    }

    private static FusionException Damaged(string path, string what, Exception? cause = null) => new($"{path}: {what}", ExitCode.Data, cause);

    private FusionException DamagedTensor(string tensor, string what) => Damaged(this.path, $"tensor {Quote(tensor)} {what}");

    private void Parse(ReadOnlySpan<byte> json)
    {
        if (json.IsEmpty || json[0] != '{')
            throw Damaged(this.path, "its header does not start with '{'; not a safetensors file");
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = DeepestNesting });
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            if (!this.names.Add(name))
                throw Damaged(this.path, $"tensor {Quote(name)} is named twice");
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartObject)
                throw Damaged(this.path, $"the header's entry {Quote(name)} is not an object");
            if (name == "__metadata__")
                this.ParseMetadata(ref reader);
            else
                this.ParseTensor(ref reader, name);
        }
        // Spaces may pad the header; anything else after the object makes the reader throw.
        while (reader.Read())
        {
        }
    }

    private void ParseMetadata(ref Utf8JsonReader reader)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var key = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
                throw Damaged(this.path, $"metadata {Quote(key)} is not a string");
            if (!this.metadata.TryAdd(key, reader.GetString()!))
                throw Damaged(this.path, $"metadata {Quote(key)} is given twice");
        }
    }

    private void ParseTensor(ref Utf8JsonReader reader, string name)
    {
        string? type = null;
        List<long>? shape = null;
        List<long>? offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var key = reader.GetString()!;
            reader.Read();
            var repeated = key switch
            {
                "dtype" => type is not null,
                "shape" => shape is not null,
                "data_offsets" => offsets is not null,
                _ => throw this.DamagedTensor(name, $"has an unknown field {Quote(key)}"),
            };
            if (repeated)
                throw this.DamagedTensor(name, $"has its {key} twice");
            if (key == "dtype")
                type = reader.TokenType == JsonTokenType.String ? reader.GetString() : throw this.DamagedTensor(name, "has a dtype that is not a string");
            else if (key == "shape")
                shape = this.Numbers(ref reader, name, key, LargestRank);
            else
                offsets = this.Numbers(ref reader, name, key, 2);
        }
        if (type is null || shape is null || offsets is not [var begin, var end])
            throw this.DamagedTensor(name, "lacks one of dtype, shape and two data_offsets");
        var size = ElementType.SizeOf(type);
        if (size == 0 || type is "I16" or "I8")
            throw this.DamagedTensor(name, $"has dtype {Quote(type)}; F64, F32, F16, BF16, I64, I32, U8 and BOOL can be read");
        if (begin > end || end > this.dataLength)
            throw this.DamagedTensor(name, string.Create(CultureInfo.InvariantCulture, $"claims bytes {begin} to {end} of {this.dataLength}; the file is truncated or damaged"));
        if (BytesOf(shape, size) != end - begin)
            throw this.DamagedTensor(name, string.Create(CultureInfo.InvariantCulture, $"of shape ({string.Join(", ", shape)}) and dtype {type} does not fill the {end - begin} bytes it claims"));
        this.entries.Add(new SafeTensorEntry(name, type, shape, this.dataStart + begin, end - begin));
    }

    /// <summary>−1 where the product does not fit 64 bits.</summary>
    private static long BytesOf(List<long> shape, int size)
    {
        if (shape.Contains(0))
            return 0;
        var bytes = (Int128)size;
        foreach (var dimension in shape)
        {
            bytes *= dimension;
            if (bytes > long.MaxValue)
                return -1;
        }
        return (long)bytes;
    }

    private List<long> Numbers(ref Utf8JsonReader reader, string name, string key, int limit)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
            throw this.DamagedTensor(name, $"has a {key} that is not a list");
        var numbers = new List<long>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out var number) || number < 0)
                throw this.DamagedTensor(name, $"has a {key} that is not all whole, non-negative numbers");
            if (numbers.Count == limit)
                throw this.DamagedTensor(name, string.Create(CultureInfo.InvariantCulture, $"has a {key} of more than {limit} numbers"));
            numbers.Add(number);
        }
        return numbers;
    }

    private void CheckCoverage()
    {
        this.entries.Sort((a, b) => (a.Offset, a.Length).CompareTo((b.Offset, b.Length)));
        var covered = this.dataStart;
        foreach (var entry in this.entries)
        {
            if (entry.Offset != covered)
                throw this.DamagedTensor(entry.Name, entry.Offset < covered ? "overlaps the one before it" : "leaves a gap after the one before it");
            covered += entry.Length;
        }
        if (covered != this.dataStart + this.dataLength)
            throw Damaged(this.path, string.Create(CultureInfo.InvariantCulture, $"{this.dataStart + this.dataLength - covered} bytes at its end belong to no tensor"));
    }
}
