using System.Buffers.Binary;
using FusionGen.Data;

namespace FusionGen.Runtime.Tests.Data;

public class ImageFileTests
{
    private static readonly string[] Files =
    [
        "444.jpg", "420.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg", "turned.jpg", "rgb.png", "alpha.png", "grey.png", "grey-alpha.png",
        "bits.png", "palette.png", "palette-transparent.png", "interlaced.png", "gamma.png", "rgb16.png", "grey16.png",
    ];

    [TestCaseSource(nameof(Files))]
    public void PixelsAreThoseOfPillow(string name)
    {
        var picture = ImageFile.Read(Fixture.PathOf(name));
        Assert.Multiple(() =>
        {
            Assert.That((picture.Width, picture.Height), Is.EqualTo((Fixture.Width, Fixture.Height)));
            Assert.That(Fixture.LargestDifference(picture.Pixels, Fixture.Bytes($"{name}.rgb")), Is.Zero);
        });
    }

    [TestCaseSource(nameof(Files))]
    public void TruncatedFilesAreNamed(string name)
    {
        var bytes = Fixture.Bytes(name);
        // Whatever of the last 16 bytes is missing of a PNG is part of its end; a JPEG may lose its two-byte end marker.
        foreach (var length in new[] { bytes.Length / 4, bytes.Length / 2, bytes.Length - 16 })
        {
            var error = Assert.Throws<FusionException>(() => ImageFile.Decode(bytes.AsSpan(0, length), "folder/x.img"));
            Assert.That((error!.Code, error.Message), Is.EqualTo((ExitCode.Data, error.Message)));
            Assert.That(error.Message, Does.StartWith("folder/x.img: damaged"));
        }
    }

    [Test]
    public void DamageIsAnErrorOrAPictureNeverACrash()
    {
        var random = SplitMix.For(3, "damage");
        var (errors, pictures) = (0, 0);
        foreach (var name in Files)
        {
            var intact = Fixture.Bytes(name);
            for (var round = 0; round < 60; round++)
            {
                var bytes = (byte[])intact.Clone();
                for (var flips = 1 + random.Next(4); flips > 0; flips--)
                    bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
                try
                {
                    ImageFile.Decode(bytes, name);
                    pictures++;
                }
                catch (FusionException error)
                {
                    Assert.That((error.Code, error.Message.StartsWith($"{name}: ", StringComparison.Ordinal)), Is.EqualTo((ExitCode.Data, true)), error.Message);
                    errors++;
                }
            }
        }
        Assert.That((errors > 300, pictures > 50), Is.EqualTo((true, true)), $"{errors} errors, {pictures} pictures");
    }

    [Test]
    public void HugeImagesAreRefusedBeforeTheyAreAllocated()
    {
        var png = Fixture.Bytes("rgb.png");
        BinaryPrimitives.WriteUInt32BigEndian(png.AsSpan(16), 60_000);
        BinaryPrimitives.WriteUInt32BigEndian(png.AsSpan(20), 60_000);
        var jpeg = Fixture.Bytes("444.jpg");
        var frame = jpeg.AsSpan().IndexOf([(byte)0xFF, (byte)0xC0]);
        BinaryPrimitives.WriteUInt16BigEndian(jpeg.AsSpan(frame + 5), 60_000);
        BinaryPrimitives.WriteUInt16BigEndian(jpeg.AsSpan(frame + 7), 60_000);
        var before = GC.GetAllocatedBytesForCurrentThread();
        foreach (var bytes in new[] { png, jpeg })
            Assert.That(() => ImageFile.Decode(bytes, "huge"), Throws.TypeOf<FusionException>().With.Message.StartsWith("huge: 60000×60000 is more than 89478485 pixels"));
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(1 << 20));
    }

    [Test]
    public void OtherFilesAreNamed()
    {
        Assert.Multiple(() =>
        {
            Assert.That(() => ImageFile.Read("/no/such/file.png"), Throws.TypeOf<FusionException>().With.Message.StartsWith("/no/such/file.png: cannot be read"));
            Assert.That(() => ImageFile.Decode([], "a"), Throws.TypeOf<FusionException>().With.Message.EqualTo("a: the file is empty"));
            Assert.That(() => ImageFile.Decode("GIF89a"u8, "b"), Throws.TypeOf<FusionException>().With.Message.EqualTo("b: neither JPEG nor PNG: it starts with 474946383961"));
        });
    }
}
