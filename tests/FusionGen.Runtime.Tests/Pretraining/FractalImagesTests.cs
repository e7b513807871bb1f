using FusionGen.Pretraining;

namespace FusionGen.Runtime.Tests.Pretraining;

public class FractalImagesTests
{
    private const int Size = 32;

    [Test]
    public void AnImageDependsOnSeedIndexAndVarietyAlone()
    {
        var (a, b) = (new FractalImages(40, 3, Size), new FractalImages(40, 3, Size));
        var forwards = Enumerable.Range(0, 80).Select(i => Render(a, i, 1)).ToArray();
        var backwards = new byte[80][];
        Parallel.For(0, 80, i => backwards[79 - i] = Render(b, 79 - i, 1));
        Assert.Multiple(() =>
        {
            Assert.That(backwards, Is.EqualTo(forwards));
            Assert.That(Render(new FractalImages(40, 4, Size), 0, 1), Is.Not.EqualTo(forwards[0]));
            Assert.That(Render(a, 0, 0), Is.Not.EqualTo(forwards[0]));
            Assert.That(forwards.Select(Convert.ToHexString).Distinct().Count(), Is.EqualTo(80));
        });
    }

    [Test]
    public void EveryRunOfImagesHasEachClassOnce()
    {
        var images = new FractalImages(41, 3, Size);
        Assert.That(Enumerable.Range(0, 41).Select(i => images.Label((1L << 40) + i)), Is.EquivalentTo(Enumerable.Range(0, 41)));
    }

    [Test]
    public void ImagesHaveContentOfTheirOwn([Values(0f, 1f)] float variety)
    {
        var images = new FractalImages(64, 3, Size);
        var dull = 0;
        for (var i = 0; i < 256; i++)
        {
            var pixels = Render(images, i, variety);
            var mean = pixels.Average(value => (double)value);
            dull += Math.Sqrt(pixels.Average(value => (value - mean) * (value - mean))) < 6 ? 1 : 0;
        }
        Assert.That(dull, Is.LessThan(8));
    }

    /// <summary>Plain images of a shape lie near one another: the nearest mean silhouette tells the shape, and hardly ever by chance.</summary>
    [Test]
    public void PlainImagesOfAShapeLookAlike()
    {
        var images = new FractalImages(64, 3, Size);
        var shapes = 64 / FractalImages.Tints;
        var means = new double[shapes][];
        for (var shape = 0; shape < shapes; shape++)
        {
            means[shape] = new double[Size * Size];
            for (var i = 0; i < 8; i++)
            {
                var silhouette = Silhouette(Render(images, (shape * FractalImages.Tints) + (i % FractalImages.Tints) + (64 * (i / FractalImages.Tints)), 0));
                for (var at = 0; at < silhouette.Length; at++)
                    means[shape][at] += silhouette[at] / 8;
            }
        }
        var right = 0;
        for (var i = 64 * 10; i < 64 * 12; i++)
        {
            var silhouette = Silhouette(Render(images, i, 0));
            var nearest = means.Index().MinBy(mean => mean.Item.Zip(silhouette).Sum(pair => Math.Pow(pair.First - pair.Second, 2))).Index;
            right += nearest == images.Label(i) / FractalImages.Tints ? 1 : 0;
        }
        Assert.That(right, Is.GreaterThan(120), "of 128");
    }

    /// <summary>At full variety a shape is found all over the frame: its place must be read, it cannot be assumed.</summary>
    [Test]
    public void PlacesVary()
    {
        var images = new FractalImages(8, 3, Size);
        var sum = new double[Size * Size];
        for (var i = 0; i < 400; i++)
        {
            var pixels = Render(images, i * 8L, 1);
            for (var at = 0; at < sum.Length; at++)
                sum[at] += Math.Abs(pixels[3 * at] - pixels[3 * (((at / Size) * Size) + ((at + 1) % Size))]);
        }
        var corner = Enumerable.Range(0, 8).SelectMany(y => Enumerable.Range(0, 8).Select(x => sum[(y * Size) + x])).Average();
        var middle = Enumerable.Range(12, 8).SelectMany(y => Enumerable.Range(12, 8).Select(x => sum[(y * Size) + x])).Average();
        Assert.That(corner, Is.GreaterThan(0.3 * middle));
    }

    private static double[] Silhouette(byte[] pixels) =>
        [.. Enumerable.Range(0, pixels.Length / 3).Select(i => pixels[3 * i] + pixels[(3 * i) + 1] + pixels[(3 * i) + 2] > 60 ? 1.0 : 0.0)];

    private static byte[] Render(FractalImages images, long index, float variety)
    {
        var pixels = new byte[Size * Size * 3];
        images.Render(index, pixels, variety);
        return pixels;
    }
}
