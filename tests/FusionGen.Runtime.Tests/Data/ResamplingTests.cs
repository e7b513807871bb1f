using FusionGen.Data;

namespace FusionGen.Runtime.Tests.Data;

public class ResamplingTests
{
    [Test]
    public void ResizingIsPillowsToTheBit([Values("bilinear", "bicubic")] string filter, [Values("64x64", "20x13", "33x40", "7x21", "5x50", "1x1")] string size)
    {
        var sides = size.Split('x').Select(int.Parse).ToArray();
        var resized = (filter == "bilinear" ? Resampling.Bilinear : Resampling.Bicubic).Resize(Fixture.Photo(), sides[0], sides[1]);
        Assert.That(resized.Pixels, Is.EqualTo(Fixture.Bytes($"{filter}-{size}.rgb")));
    }

    [Test]
    public void SquashInterpolatesAtHalfPixelCentresWithoutAntialias()
    {
        var picture = new Picture(2, 1, [0, 10, 20, 100, 110, 120]);
        var channels = new float[3 * 4 * 4];
        Resampling.Squash(picture, 4, channels);
        Assert.Multiple(() =>
        {
            Assert.That(channels[..4], Is.EqualTo(new float[] { 0, 25, 75, 100 }));
            Assert.That(channels[28..32], Is.EqualTo(new float[] { 10, 35, 85, 110 }));
        });

        // Halved, every output pixel lies between two and averages them; a quarter skips what lies between its neighbours.
        var row = new Picture(8, 1, [.. Enumerable.Range(0, 8).SelectMany(i => Enumerable.Repeat((byte)(i * i), 3))]);
        var reduced = new float[3 * 2 * 2];
        Resampling.Squash(row, 2, reduced);
        Assert.That(reduced[..2], Is.EqualTo(new[] { (1 + 4) / 2f, (25 + 36) / 2f }));
    }
}
