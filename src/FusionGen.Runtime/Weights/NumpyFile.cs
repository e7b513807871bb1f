using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace FusionGen.Weights;

/// <summary>NumPy's archive of named arrays, <c>.npz</c>, compressed or not; in it, arrays in C's or Fortran's order, without Python objects.</summary>
internal sealed partial class NumpyFile : WeightFile
{
    private const int LongestHeader = 1 << 16;
    private const int LargestRank = 32;
    private const string Extension = ".npy";

    private readonly ZipFile archive;

    /// <summary>Reads the header of every array of an archive, which it then owns.</summary>
    /// <exception cref="FusionException">One is damaged or of another kind.</exception>
    public NumpyFile(ZipFile archive)
        : base(archive.Path, "NumPy npz", [.. archive.Records.Where(record => !record.Name.EndsWith('/')).Select(record => Header(archive, record))]) => this.archive = archive;

    /// <summary>How an array starts.</summary>
    public static ReadOnlySpan<byte> Magic => [0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y'];

    /// <inheritdoc/>
    private protected override void Dispose(bool disposing) => this.archive.Dispose();

    /// <inheritdoc/>
    private protected override void ReadBytes(WeightEntry entry, long from, Span<byte> target)
    {
        var place = (Array)entry;
        this.archive.Read(place.Record, place.Start + from, target);
    }

    [GeneratedRegex(@"^\{\s*'descr'\s*:\s*'([^']{1,16})'\s*,\s*'fortran_order'\s*:\s*(True|False)\s*,\s*'shape'\s*:\s*\(([0-9L, ]*)\)\s*,?\s*\}\s*$")]
    private static partial Regex Description { get; }

    private static Array Header(ZipFile archive, ZipRecord record)
    {
        FusionException Refused(string what) => archive.Damaged($"array {SafeTensorsHeader.Quote(record.Name)} {what}");

        if (!record.Name.EndsWith(Extension, StringComparison.Ordinal))
            throw Refused("is no .npy");
        Span<byte> start = stackalloc byte[12];
        archive.ReadUnverified(record, 0, start[..(int)Math.Min(12, record.Length)]);
        if (record.Length < 12 || !start.StartsWith(Magic) || start[6] is < 1 or > 3)
            throw Refused("does not start as NumPy's arrays do");
        var wide = start[6] > 1;
        var length = wide ? BinaryPrimitives.ReadUInt32LittleEndian(start[8..]) : BinaryPrimitives.ReadUInt16LittleEndian(start[8..]);
        var offset = wide ? 12 : 10;
        if (length > LongestHeader || length > record.Length - offset)
            throw Refused("has a header that is too long");
        var bytes = new byte[length];
        archive.ReadUnverified(record, offset, bytes);
        if (Description.Match(Encoding.Latin1.GetString(bytes)) is not { Success: true } match)
            throw Refused("has a header that is not understood; arrays of plain numbers are read");
        var type = match.Groups[1].Value switch
        {
            "<f8" => "F64",
            "<f4" => "F32",
            "<f2" => "F16",
            // JAX's bfloat16 is unknown to NumPy, which writes it as two raw bytes.
            "|V2" or "<V2" => "BF16",
            "<i8" => "I64",
            "<i4" => "I32",
            "<i2" => "I16",
            "|i1" => "I8",
            "|u1" => "U8",
            "|b1" => "BOOL",
            var other => throw Refused($"has dtype {SafeTensorsHeader.Quote(other)}; little-endian numbers are read, objects never"),
        };
        var shape = new List<long>();
        var count = (Int128)1;
        foreach (var dimension in match.Groups[3].Value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (!long.TryParse(dimension.TrimEnd('L'), NumberStyles.None, CultureInfo.InvariantCulture, out var size) || shape.Count == LargestRank)
                throw Refused("has a shape that is not understood");
            shape.Add(size);
            count = Int128.Min(count * size, long.MaxValue);
        }
        var data = record.Length - offset - length;
        if (count * ElementType.SizeOf(type) != data)
            throw Refused(string.Create(CultureInfo.InvariantCulture, $"of shape ({string.Join(", ", shape)}) and dtype {type} does not fill its {data} bytes"));
        var name = record.Name[..^Extension.Length];
        return new Array(name, type, shape, record, offset + length) { Strides = match.Groups[2].Value == "True" && shape.Count > 1 ? FortranStrides(shape) : null };
    }

    private static List<long> FortranStrides(List<long> shape)
    {
        var strides = new List<long> { 1 };
        foreach (var size in shape.SkipLast(1))
            strides.Add(strides[^1] * size);
        return strides;
    }

    private sealed record Array(string Name, string Type, IReadOnlyList<long> Shape, ZipRecord Record, long Start) : WeightEntry(Name, Type, Shape);
}
