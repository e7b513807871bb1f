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
    public void EveryRunOfImagesHasEachKindOnce()
    {
        var images = new FractalImages(41, 3, Size);
        var kinds = images.Factors[0].Count;
        Assert.That(Enumerable.Range(0, kinds).Select(i => images.Kind((1L << 40) + i)), Is.EquivalentTo(Enumerable.Range(0, kinds)));
    }

    [Test]
    public void LogitsOfFactorsLieSideBySide()
    {
        var factors = new FractalImages(41, 3, Size).Factors;
        Assert.Multiple(() =>
        {
            Assert.That(factors[0].First, Is.Zero);
            Assert.That(factors.Zip(factors.Skip(1)), Is.All.Matches<(ImageFactor One, ImageFactor Next)>(pair => pair.Next.First == pair.One.First + pair.One.Count));
            Assert.That(factors[^1].First + factors[^1].Count, Is.EqualTo(41));
        });
    }

    /// <summary>The values of an image are what it shows: every one occurs, and in a plain image the silhouette's own moments give them back.</summary>
    [Test]
    public void ValuesTellPlaceAndDirection()
    {
        var images = new FractalImages(64, 3, Size);
        var seen = images.Factors.Select(factor => new int[factor.Count]).ToArray();
        var (placed, directed, @long) = (0, 0, 0);
        for (var i = 0; i < 1000; i++)
        {
            var pixels = new byte[Size * Size * 3];
            var values = new int[images.Factors.Count];
            images.Render(i, pixels, values);
            foreach (var (factor, value) in values.Index())
                seen[factor][value]++;
            images.Render(i, pixels, values, variety: 0);
            var (x, y, xx, xy, yy) = Moments(Silhouette(pixels));
            placed += Math.Abs((x / Size * FractalImages.Cells) - values[1] - 0.5) < 0.7 && Math.Abs((y / Size * FractalImages.Cells) - values[2] - 0.5) < 0.7 ? 1 : 0;
            if (Math.Pow(xx - yy, 2) + (4 * xy * xy) < Math.Pow(0.3 * (xx + yy), 2))
                continue;
            @long++;
            var turns = (Math.Atan2(2 * xy, xx - yy) / (2 * Math.PI) + 1) % 1 * FractalImages.Directions;
            directed += Math.Abs(Math.IEEERemainder(turns - values[3] - 0.5, FractalImages.Directions)) < 1.2 ? 1 : 0;
        }
        Assert.Multiple(() =>
        {
            Assert.That(seen.SelectMany(counts => counts), Is.All.GreaterThan(0));
            Assert.That(placed, Is.GreaterThan(950), "of 1000");
            Assert.That(@long, Is.GreaterThan(300));
            Assert.That(directed, Is.GreaterThan(0.9 * @long));
        });
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
        var kinds = images.Factors[0].Count;
        var shapes = (kinds + FractalImages.Tints - 1) / FractalImages.Tints;
        var means = new double[shapes][];
        for (var shape = 0; shape < shapes; shape++)
        {
            means[shape] = new double[Size * Size];
            for (var i = 0; i < 8; i++)
            {
                var silhouette = Silhouette(Render(images, (shape * FractalImages.Tints) + (i % FractalImages.Tints) + (kinds * (i / FractalImages.Tints)), 0));
                for (var at = 0; at < silhouette.Length; at++)
                    means[shape][at] += silhouette[at] / 8;
            }
        }
        var right = 0;
        for (var i = kinds * 10; i < kinds * 12; i++)
        {
            var silhouette = Silhouette(Render(images, i, 0));
            var nearest = means.Index().MinBy(mean => mean.Item.Zip(silhouette).Sum(pair => Math.Pow(pair.First - pair.Second, 2))).Index;
            right += nearest == images.Kind(i) / FractalImages.Tints ? 1 : 0;
        }
        Assert.That(right, Is.GreaterThan(0.93 * 2 * kinds));
    }

    /// <summary>At full variety a shape is found all over the frame: its place must be read, it cannot be assumed.</summary>
    [Test]
    public void PlacesVary()
    {
        var images = new FractalImages(FractalImages.FewestClasses, 3, Size);
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

    private static (double X, double Y, double Xx, double Xy, double Yy) Moments(double[] silhouette)
    {
        var (x, y) = (Mean(p => p.X), Mean(p => p.Y));
        return (x, y, Mean(p => (p.X - x) * (p.X - x)), Mean(p => (p.X - x) * (p.Y - y)), Mean(p => (p.Y - y) * (p.Y - y)));

        double Mean(Func<(double X, double Y), double> of) =>
            silhouette.Index().Sum(pixel => pixel.Item * of(((pixel.Index % Size) + 0.5, (pixel.Index / Size) + 0.5))) / silhouette.Sum();
    }

    private static double[] Silhouette(byte[] pixels) =>
        [.. Enumerable.Range(0, pixels.Length / 3).Select(i => pixels[3 * i] + pixels[(3 * i) + 1] + pixels[(3 * i) + 2] > 60 ? 1.0 : 0.0)];

    private static byte[] Render(FractalImages images, long index, float variety)
    {
        var pixels = new byte[Size * Size * 3];
        images.Render(index, pixels, new int[images.Factors.Count], variety);
        return pixels;
    }
}
