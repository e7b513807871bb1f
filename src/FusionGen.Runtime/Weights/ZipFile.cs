using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.IO.Compression;
using System.Text;

namespace FusionGen.Weights;

/// <summary>A record of a zip archive.</summary>
/// <param name="Name">Its path inside the archive.</param>
/// <param name="Offset">Where its bytes start.</param>
/// <param name="Stored">How many bytes of the archive it takes.</param>
/// <param name="Length">How many bytes it says it has.</param>
/// <param name="Checksum">Of these.</param>
/// <param name="IsDeflated">Whether it is compressed.</param>
internal sealed record ZipRecord(string Name, long Offset, long Stored, long Length, uint Checksum, bool IsDeflated);

/// <summary>
/// A zip archive, read as if an enemy had written it: names stay inside the archive and are given once, records neither overlap nor leave the file, and
/// a record's bytes are handed out only after its length and checksum were found to be true, in a buffer of fixed size.
/// </summary>
internal sealed class ZipFile : IDisposable
{
    private const int MostRecords = 100_000;
    private const int LongestName = 1024;
    private const int ChunkBytes = 1 << 16;

    /// <summary>Deflate's best: 258 bytes of two bits.</summary>
    private const long BestRatio = 1032;

    private readonly MappedFile file;
    private readonly HashSet<ZipRecord> verified = [];
    private (ZipRecord Record, Stream Stream, long Position)? inflating;

    /// <summary>Reads and checks the directory of an archive, which it then owns.</summary>
    /// <exception cref="FusionException">It is damaged or hostile.</exception>
    public ZipFile(MappedFile file)
    {
        this.file = file;
        this.Records = this.ReadDirectory();
    }

    /// <summary>The archive.</summary>
    public string Path => this.file.Path;

    /// <summary>Every record, by offset.</summary>
    public IReadOnlyList<ZipRecord> Records { get; }

    /// <summary>An error of this archive.</summary>
    public FusionException Damaged(string what, Exception? cause = null) => new($"{this.Path}: {what}", ExitCode.Data, cause);

    /// <summary>Reads bytes of a record that is what it says to be.</summary>
    /// <exception cref="FusionException">It is longer, shorter or another than it says.</exception>
    public void Read(ZipRecord record, long from, Span<byte> target)
    {
        if (!this.verified.Contains(record))
            this.Verify(record);
        this.verified.Add(record);
        this.ReadUnverified(record, from, target);
    }

    /// <summary>Reads bytes of a record without looking at the rest of it.</summary>
    /// <exception cref="FusionException">It ends before.</exception>
    public void ReadUnverified(ZipRecord record, long from, Span<byte> target)
    {
        if (from > record.Length - target.Length)
            throw this.Damaged($"record {SafeTensorsHeader.Quote(record.Name)} is too short");
        if (!record.IsDeflated)
        {
            this.file.CopyTo(record.Offset + from, target);
            return;
        }
        try
        {
            var stream = this.InflateTo(record, from);
            this.inflating = null;
            stream.ReadExactly(target);
            this.inflating = (record, stream, from + target.Length);
        }
        catch (Exception error) when (error is InvalidDataException or EndOfStreamException)
        {
            throw this.Damaged($"record {SafeTensorsHeader.Quote(record.Name)} is not validly compressed, or shorter than it says", error);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        this.inflating?.Stream.Dispose();
        this.file.Dispose();
    }

    private DeflateStream Inflate(ZipRecord record) => new DeflateStream(this.file.Stream(record.Offset, record.Stored), CompressionMode.Decompress);

    /// <summary>A stream that stands at a position; goes on where the last read ended if it can.</summary>
    private Stream InflateTo(ZipRecord record, long from)
    {
        var (stream, position) = (Stream.Null, 0L);
        if (this.inflating is { } open && open.Record == record && open.Position <= from)
        {
            (stream, position) = (open.Stream, open.Position);
        }
        else
        {
            this.inflating?.Stream.Dispose();
            stream = this.Inflate(record);
        }
        var buffer = ArrayPool<byte>.Shared.Rent(ChunkBytes);
        try
        {
            for (int read; position < from; position += read)
            {
                read = (int)Math.Min(ChunkBytes, from - position);
                stream.ReadExactly(buffer, 0, read);
            }
            return stream;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private void Verify(ZipRecord record)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(ChunkBytes);
        try
        {
            using var stream = record.IsDeflated ? this.Inflate(record) : this.file.Stream(record.Offset, record.Stored);
            var (crc, length) = (0u, 0L);
            for (int read; (read = stream.Read(buffer, 0, ChunkBytes)) > 0 && length <= record.Length; length += read)
                crc = Crc32.Append(crc, buffer.AsSpan(0, read));
            if (length != record.Length)
                throw this.Damaged(string.Create(CultureInfo.InvariantCulture, $"record {SafeTensorsHeader.Quote(record.Name)} says it has {record.Length} bytes and has {(length > record.Length ? "more" : "fewer")}"));
            if (crc != record.Checksum)
                throw this.Damaged($"record {SafeTensorsHeader.Quote(record.Name)} does not have its checksum; the file is damaged");
        }
        catch (InvalidDataException error)
        {
            throw this.Damaged($"record {SafeTensorsHeader.Quote(record.Name)} is not validly compressed", error);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private List<ZipRecord> ReadDirectory()
    {
        var (start, size, count) = this.FindDirectory();
        var records = new List<ZipRecord>((int)count);
        var names = new HashSet<string>(StringComparer.Ordinal);
        var bytes = this.file.Bytes(start, (int)size);
        for (var i = 0L; i < count; i++)
        {
            if (bytes.Length < 46 || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != 0x02014B50)
                throw this.Damaged(string.Create(CultureInfo.InvariantCulture, $"entry {i} of the archive's directory is damaged"));
            var (name, extra, comment) = (Short(bytes, 28), Short(bytes, 30), Short(bytes, 32));
            if (bytes.Length < 46 + name + extra + comment)
                throw this.Damaged("the archive's directory is cut short");
            var record = this.ReadRecord(bytes[..(46 + name + extra)], name, start);
            if (!names.Add(record.Name))
                throw this.Damaged($"record {SafeTensorsHeader.Quote(record.Name)} is there twice");
            records.Add(record);
            bytes = bytes[(46 + name + extra + comment)..];
        }
        records.Sort((a, b) => (a.Offset, a.Stored).CompareTo((b.Offset, b.Stored)));
        for (var i = 1; i < records.Count; i++)
        {
            if (records[i].Offset < records[i - 1].Offset + records[i - 1].Stored)
                throw this.Damaged($"records {SafeTensorsHeader.Quote(records[i - 1].Name)} and {SafeTensorsHeader.Quote(records[i].Name)} overlap");
        }
        return records;
    }

    /// <summary>Where the directory is: at the end, before a comment; in the 64-bit form through a locator before that.</summary>
    private (long Start, long Size, long Count) FindDirectory()
    {
        var tailLength = (int)Math.Min(this.file.Length, 22 + ushort.MaxValue);
        var tail = this.file.Bytes(this.file.Length - tailLength, tailLength);
        var at = tailLength - 22;
        while (at >= 0 && !(BinaryPrimitives.ReadUInt32LittleEndian(tail[at..]) == 0x06054B50 && Short(tail, at + 20) == tailLength - at - 22))
            at--;
        if (at < 0)
            throw this.Damaged("has no end of a zip archive; truncated");
        var (count, size, start, end) = ((long)Short(tail, at + 10), (long)Int(tail, at + 12), (long)Int(tail, at + 16), this.file.Length - tailLength + at);
        if (Short(tail, at + 4) != 0 || Short(tail, at + 6) != 0 || Short(tail, at + 8) != count)
            throw this.Damaged("a zip archive of several volumes");
        if (at >= 20 && BinaryPrimitives.ReadUInt32LittleEndian(tail[(at - 20)..]) == 0x07064B50)
        {
            var where = BinaryPrimitives.ReadUInt64LittleEndian(tail[(at - 12)..]);
            if (where > (ulong)(end - 20 - 56))
                throw this.Damaged("the archive's 64-bit directory is not where it says");
            end = (long)where;
            var wide = this.file.Bytes(end, 56);
            if (BinaryPrimitives.ReadUInt32LittleEndian(wide) != 0x06064B50)
                throw this.Damaged("the archive's 64-bit directory is damaged");
            (count, size, start) = (this.Long(wide, 32), this.Long(wide, 40), this.Long(wide, 48));
        }
        if (start > end || size > end - start)
            throw this.Damaged("the archive's directory is not inside the file");
        if (count > MostRecords || count > size / 46)
            throw this.Damaged(string.Create(CultureInfo.InvariantCulture, $"its directory of {size} bytes claims {count} records; up to {MostRecords} are read"));
        return size <= MostRecords * (46L + LongestName) ? (start, size, count) : throw this.Damaged("the archive's directory is too large");
    }

    private ZipRecord ReadRecord(ReadOnlySpan<byte> entry, int nameLength, long directory)
    {
        var encoded = entry.Slice(46, nameLength);
        var name = this.Name(encoded);
        var quoted = SafeTensorsHeader.Quote(name);
        if ((Short(entry, 8) & 1) != 0)
            throw this.Damaged($"record {quoted} is encrypted");
        var method = Short(entry, 10);
        if (method is not (0 or 8))
            throw this.Damaged(string.Create(CultureInfo.InvariantCulture, $"record {quoted} is compressed by method {method}; stored and deflated ones are read"));
        var (stored, length, local) = ((long)Int(entry, 20), (long)Int(entry, 24), (long)Int(entry, 42));
        this.Widen(entry[(46 + nameLength)..], ref length, ref stored, ref local);
        if (method == 0 && stored != length)
            throw this.Damaged($"record {quoted} is stored, but its two lengths differ");
        if (length > (BestRatio * stored) + BestRatio)
            throw this.Damaged(string.Create(CultureInfo.InvariantCulture, $"record {quoted} claims that {stored} bytes inflate to {length}, which no compression can"));
        if (local > directory - 30)
            throw this.Damaged($"record {quoted} is not inside the file");
        var header = this.file.Bytes(local, 30);
        if (BinaryPrimitives.ReadUInt32LittleEndian(header) != 0x04034B50)
            throw this.Damaged($"record {quoted} does not start where the directory says");
        var offset = local + 30 + Short(header, 26) + Short(header, 28);
        if (Short(header, 26) != nameLength || offset > directory || stored > directory - offset || !this.file.Bytes(local + 30, nameLength).SequenceEqual(encoded))
            throw this.Damaged($"record {quoted} is another than the directory says, or not inside the file");
        return new ZipRecord(name, offset, stored, length, Int(entry, 16), method == 8);
    }

    /// <summary>Replaces 32-bit fields that say so by the 64-bit ones of the extra field.</summary>
    private void Widen(ReadOnlySpan<byte> extra, ref long length, ref long stored, ref long local)
    {
        while (extra.Length >= 4)
        {
            var (kind, size) = (Short(extra, 0), Short(extra, 2));
            if (size > extra.Length - 4)
                throw this.Damaged("an extra field of the archive's directory is cut short");
            if (kind == 1)
            {
                var fields = extra.Slice(4, size);
                this.Widen(ref length, ref fields);
                this.Widen(ref stored, ref fields);
                this.Widen(ref local, ref fields);
            }
            extra = extra[(4 + size)..];
        }
    }

    private void Widen(ref long field, ref ReadOnlySpan<byte> fields)
    {
        if (field != uint.MaxValue || fields.Length < 8)
            return;
        field = this.Long(fields, 0);
        fields = fields[8..];
    }

    private string Name(ReadOnlySpan<byte> encoded)
    {
        var name = Encoding.UTF8.GetString(encoded);
        if (encoded.Length > LongestName)
            throw this.Damaged("a record's name is too long");
        if (name.Length == 0 || name.Contains('\\', StringComparison.Ordinal) || name.Contains(':', StringComparison.Ordinal) || name.Any(char.IsControl)
            || name.StartsWith('/') || name.Split('/').Contains(".."))
            throw this.Damaged($"record {SafeTensorsHeader.Quote(name)} has a path that leaves the archive or is malformed");
        return name;
    }

    private static ushort Short(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static uint Int(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private long Long(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]) is >= 0 and var value
        ? value
        : throw this.Damaged("a length of the archive's directory does not fit 63 bits");
}
