using System.Buffers.Binary;
using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Text;

namespace FusionGen.Runtime.Tests.Weights;

/// <summary>A tensor to be written.</summary>
internal sealed record Named(string Name, long[] Shape, float[] Values)
{
    public static Named Of(string name, params long[] shape) => new(name, shape, [.. Enumerable.Range(0, (int)shape.Aggregate(1L, (a, b) => a * b)).Select(i => (i % 97) - 48f)]);
}

/// <summary>Writes weights the way their publishers do, from the formats' descriptions: the counterpart of what the readers read.</summary>
internal static class WeightWriters
{
    private static readonly byte[] LegacyMagic = [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19];

    public static void SafeTensors(string path, IEnumerable<Named> tensors)
    {
        var all = tensors.ToList();
        var header = new StringBuilder("{");
        var offset = 0L;
        foreach (var tensor in all)
            header.Append(header.Length > 1 ? "," : "").Append($"\"{tensor.Name}\":{{\"dtype\":\"F32\",\"shape\":[{string.Join(',', tensor.Shape)}],\"data_offsets\":[{offset},{offset += 4L * tensor.Values.Length}]}}");
        using var stream = File.Create(path);
        var bytes = Encoding.UTF8.GetBytes(header.Append('}').ToString());
        stream.Write(BitConverter.GetBytes((long)bytes.Length));
        stream.Write(bytes);
        foreach (var tensor in all)
            stream.Write(MemoryMarshal.AsBytes<float>(tensor.Values));
    }

    public static void Numpy(string path, IEnumerable<Named> tensors, bool compressed = false) =>
        Zip(path, tensors.Select(tensor => ($"{tensor.Name}.npy", (Action<Stream>)(stream => Array(stream, tensor)))), compressed);

    public static void Zip(string path, IEnumerable<(string Name, Action<Stream> Write)> records, bool compressed = false)
    {
        using var archive = new ZipArchive(File.Create(path), ZipArchiveMode.Create);
        foreach (var (name, write) in records)
        {
            using var stream = archive.CreateEntry(name, compressed ? CompressionLevel.Optimal : CompressionLevel.NoCompression).Open();
            write(stream);
        }
    }

    public static byte[] ArrayHeader(string description)
    {
        var text = description + "\n";
        return [0x93, .. "NUMPY"u8, 1, 0, (byte)(text.Length & 255), (byte)(text.Length >> 8), .. Encoding.ASCII.GetBytes(text)];
    }

    /// <summary>The archive of today's torch.save; <paramref name="wrap"/> puts the state dict into another dict.</summary>
    public static void Torch(string path, IReadOnlyList<Named> tensors, string? wrap = null) => Zip(path,
    [
        ("archive/data.pkl", stream => stream.Write(StateDict(tensors, wrap))),
        ("archive/version", stream => stream.Write("3\n"u8)),
        .. tensors.Select((tensor, i) => ($"archive/data/{i}", (Action<Stream>)(stream => stream.Write(MemoryMarshal.AsBytes<float>(tensor.Values))))),
    ]);

    /// <summary>The row of pickles of before 1.6.</summary>
    public static void TorchLegacy(string path, IReadOnlyList<Named> tensors, string? wrap = null)
    {
        using var stream = File.Create(path);
        stream.Write(LegacyStart);
        stream.Write(StateDict(tensors, wrap, legacy: true));
        stream.Write(new PickleWriter().List([.. tensors.Select((_, i) => $"{i}")]).End());
        foreach (var tensor in tensors)
        {
            stream.Write(BitConverter.GetBytes((long)tensor.Values.Length));
            stream.Write(MemoryMarshal.AsBytes<float>(tensor.Values));
        }
    }

    public static byte[] LegacyStart =>
    [
        0x80, 2, 0x8A, 10, .. LegacyMagic, (byte)'.', 0x80, 2, (byte)'M', 0xE9, 3, (byte)'.',
        .. new PickleWriter().Op('}').Op('(').Text("little_endian").Op('\u0088').Op('u').End(),
    ];

    public static byte[] StateDict(IReadOnlyList<Named> tensors, string? wrap = null, bool legacy = false)
    {
        var pickle = new PickleWriter();
        if (wrap is not null)
            pickle.Op('}').Op('(').Text("epoch").Integer(299).Text(wrap);
        pickle.Global("collections", "OrderedDict").Op(')').Op('R').Op('(');
        foreach (var (tensor, i) in tensors.Select((tensor, i) => (tensor, i)))
            pickle.Text(tensor.Name).Tensor($"{i}", "FloatStorage", tensor.Values.Length, 0, tensor.Shape, Contiguous(tensor.Shape), legacy);
        // The state dict's _metadata attribute.
        pickle.Op('u').Op('}').Op('(').Text("_metadata").Global("collections", "OrderedDict").Op(')').Op('R').Op('u').Op('b');
        if (wrap is not null)
            pickle.Op('u');
        return pickle.End();
    }

    public static long[] Contiguous(long[] shape)
    {
        var strides = new long[shape.Length];
        for (var (axis, step) = (shape.Length - 1, 1L); axis >= 0; step *= shape[axis--])
            strides[axis] = step;
        return strides;
    }

    private static void Array(Stream stream, Named tensor)
    {
        stream.Write(ArrayHeader($"{{'descr': '<f4', 'fortran_order': False, 'shape': ({string.Join(", ", tensor.Shape)}{(tensor.Shape.Length == 1 ? "," : "")}), }}"));
        stream.Write(MemoryMarshal.AsBytes<float>(tensor.Values));
    }
}

/// <summary>Writes pickles of protocol 2, one operation at a time.</summary>
internal sealed class PickleWriter
{
    private readonly List<byte> bytes = [0x80, 2];

    public PickleWriter Op(char operation, params byte[] argument)
    {
        this.bytes.Add((byte)operation);
        this.bytes.AddRange(argument);
        return this;
    }

    public PickleWriter Text(string text)
    {
        var encoded = Encoding.UTF8.GetBytes(text);
        return this.Op('X', [.. BitConverter.GetBytes(encoded.Length), .. encoded]);
    }

    public PickleWriter Integer(long value)
    {
        if (value is >= int.MinValue and <= int.MaxValue)
            return this.Op('J', BitConverter.GetBytes((int)value));
        var wide = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(wide, value);
        return this.Op('\u008a', [8, .. wide]);
    }

    public PickleWriter Global(string module, string name) => this.Op('c', Encoding.ASCII.GetBytes($"{module}\n{name}\n"));

    public PickleWriter List(IEnumerable<string> texts)
    {
        this.Op(']').Op('(');
        foreach (var text in texts)
            this.Text(text);
        return this.Op('e');
    }

    public PickleWriter Integers(IEnumerable<long> values)
    {
        this.Op('(');
        foreach (var value in values)
            this.Integer(value);
        return this.Op('t');
    }

    public PickleWriter Storage(string key, string type, long count, bool legacy = false)
    {
        this.Op('(').Text("storage").Global("torch", type).Text(key).Text("cpu").Integer(count);
        if (legacy)
            this.Op('N');
        return this.Op('t').Op('Q');
    }

    public PickleWriter Tensor(string key, string type, long count, long offset, IEnumerable<long> shape, IEnumerable<long> strides, bool legacy = false) => this
        .Global("torch._utils", "_rebuild_tensor_v2").Op('(').Storage(key, type, count, legacy).Integer(offset).Integers(shape).Integers(strides)
        .Op('\u0089').Global("collections", "OrderedDict").Op(')').Op('R').Op('t').Op('R');

    public byte[] End() => [.. this.Op('.').bytes];
}
