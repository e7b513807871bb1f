using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace FusionGen.Cli.Tests;

/// <summary>A folder of its own with a spec of seconds and pictures of two classes, red and blue squares on noise; deleted afterwards.</summary>
internal sealed class TinyProject : IDisposable
{
    private const int Side = 16;

    /// <summary>Creates it.</summary>
    public TinyProject()
    {
        this.Root = Directory.CreateTempSubdirectory("fusiongen-cli-").FullName;
        this.Spec = Path.Combine(this.Root, "tiny.fusion.yaml");
        File.WriteAllText(this.Spec, SpecText(this.Images));
    }

    /// <summary>The folder.</summary>
    public string Root { get; }

    /// <summary>The spec.</summary>
    public string Spec { get; }

    /// <summary>The pictures, once <see cref="WriteImages"/> was called.</summary>
    public string Images => Path.Combine(this.Root, "images");

    /// <summary>A path in the folder.</summary>
    public string At(params string[] parts) => Path.Combine([this.Root, .. parts]);

    /// <summary>Writes train, val and test pictures.</summary>
    public void WriteImages()
    {
        foreach (var (part, count) in new[] { ("train", 12), ("val", 6), ("test", 6) })
        {
            foreach (var name in new[] { "blue", "red" })
            {
                var folder = Directory.CreateDirectory(Path.Combine(this.Images, part, name)).FullName;
                for (var i = 0; i < count; i++)
                    File.WriteAllBytes(Path.Combine(folder, $"{i:00}.png"), Png(SplitMix.For(i, $"{part} {name}"), name == "red"));
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(this.Root, recursive: true);

    /// <summary>A spec with every key that the tests override.</summary>
    public static string SpecText(string images) =>
        $$"""
        fusiongen: 1
        model: Tiny
        namespace: FusionGen.Tests
        data: folder:{{images}}
        backbone: { family: vit, image: 16, patch: 8, width: 16, depth: 2, heads: 2, mlp: 32 }
        classes: 2
        prompts: { tokens: 2 }
        operators:
          add: { kind: add }
          prefix: { kind: prefix }
          cross: { kind: cross-attention, reduction: 4 }
        layers:
          - { at: 0..1, candidates: [add, prefix, cross] }
        search: { epochs: 2, warmup: 1, batch: 8, optimizer: { lr: 0.01 }, architecture: { lr: 0.1 } }
        train: { epochs: 2, batch: 8, optimizer: { lr: 0.01 }, preprocessing: vpt-vtab }

        """;

    private static byte[] Png(SplitMix random, bool isRed)
    {
        var rows = new byte[Side * (1 + (3 * Side))];
        for (var y = 0; y < Side; y++)
        {
            for (var x = 0; x < Side; x++)
            {
                var isInside = x is >= 4 and < 12 && y is >= 4 and < 12;
                var at = (y * (1 + (3 * Side))) + 1 + (3 * x);
                for (var channel = 0; channel < 3; channel++)
                    rows[at + channel] = isInside && channel == (isRed ? 0 : 2) ? (byte)255 : (byte)random.Next(100);
            }
        }
        using var packed = new MemoryStream();
        using (var zlib = new ZLibStream(packed, CompressionLevel.Fastest))
            zlib.Write(rows);
        var header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, Side);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), Side);
        (header[8], header[9]) = (8, 2);
        return [137, 80, 78, 71, 13, 10, 26, 10, .. Chunk("IHDR", header), .. Chunk("IDAT", packed.ToArray()), .. Chunk("IEND", [])];
    }

    private static byte[] Chunk(string type, byte[] data)
    {
        byte[] body = [.. Encoding.ASCII.GetBytes(type), .. data];
        var length = new byte[4];
        var sum = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(length, data.Length);
        BinaryPrimitives.WriteUInt32BigEndian(sum, Crc(body));
        return [.. length, .. body, .. sum];
    }

    private static uint Crc(byte[] bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes)
        {
            crc ^= value;
            for (var bit = 0; bit < 8; bit++)
                crc = (crc & 1) == 0 ? crc >> 1 : (crc >> 1) ^ 0xEDB88320;
        }
        return ~crc;
    }
}
