using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using FusionGen.Weights;

namespace FusionGen.Data;

/// <summary>
/// A TFRecord file: records of a length (8 bytes), its checksum (4), data, and the data's checksum (4), little-endian, the checksums CRC-32C and masked.
/// Lengths are checked when it is opened, data when it is read.
/// </summary>
internal sealed class RecordFile
{
    private const int Before = sizeof(ulong) + sizeof(uint);
    private const int After = sizeof(uint);

    // A shorter one cannot hold a picture and a label; keeps the index smaller than the file.
    private const int Shortest = 32;

    private readonly MappedFile file;
    private readonly List<(long Offset, int Length)> records = [];

    /// <summary>Opens a file and finds its records, as far as they can be found.</summary>
    /// <exception cref="FusionException">It is missing or unreadable.</exception>
    public RecordFile(string path, Action<DataFault> report)
    {
        this.file = MappedFile.Open(path);
        for (var at = 0L; at < this.file.Length;)
        {
            if (this.file.Length - at < Before + After)
            {
                report(this.Fault(FaultKind.Malformed, $"ends within record {this.Count + 1}"));
                return;
            }
            var head = this.file.Bytes(at, Before);
            var length = BinaryPrimitives.ReadUInt64LittleEndian(head);
            if (Masked(head[..sizeof(ulong)]) != BinaryPrimitives.ReadUInt32LittleEndian(head[sizeof(ulong)..]))
            {
                report(this.Fault(FaultKind.Malformed, $"the checksum of the length of record {this.Count + 1} is wrong; no TFRecord file, or a damaged one"));
                return;
            }
            if (length < Shortest || length > int.MaxValue || (long)length > this.file.Length - at - Before - After)
            {
                report(this.Fault(FaultKind.Malformed, $"record {this.Count + 1} says that it has {length} bytes; {(length < Shortest ? "too few for a picture" : "the file ends before")}"));
                return;
            }
            this.records.Add((at + Before, (int)length));
            at += Before + (long)length + After;
        }
    }

    /// <summary>Its name.</summary>
    public string Path => this.file.Path;

    /// <summary>Records.</summary>
    public int Count => this.records.Count;

    /// <summary>A record's data, unchecked; valid as long as this object.</summary>
    public ReadOnlySpan<byte> Peek(int index) => this.file.Bytes(this.records[index].Offset, this.records[index].Length);

    /// <summary>A record's data; valid as long as this object.</summary>
    /// <exception cref="FusionException">Its checksum is wrong.</exception>
    public ReadOnlySpan<byte> Read(int index)
    {
        var (offset, length) = this.records[index];
        var data = this.file.Bytes(offset, length);
        return Masked(data) == BinaryPrimitives.ReadUInt32LittleEndian(this.file.Bytes(offset + length, After))
            ? data
            : throw new FusionException($"{this.Name(index)}: its checksum is wrong; the file is damaged", ExitCode.Data);
    }

    /// <summary>What errors call a record.</summary>
    public string Name(int index) => string.Create(CultureInfo.InvariantCulture, $"{this.file.Path}, record {index + 1}");

    /// <summary>CRC-32C, turned and shifted as TensorFlow does so that checksums of checksummed data stay sound.</summary>
    internal static uint Masked(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (var value in bytes)
            crc = BitOperations.Crc32C(crc, value);
        return BitOperations.RotateRight(~crc, 15) + 0xA282EAD8;
    }

    private DataFault Fault(FaultKind kind, string what) => new(kind, $"{this.file.Path}: {what}");
}
