using FusionGen.Data;

namespace FusionGen.Runtime.Tests.Data;

public class SpritesTests
{
    [Test]
    public void SplitsHaveTheirSizesAndNoPictureTwice([Values("location", "orientation")] string task)
    {
        var data = DataSource.Open($"sprites:{task}", seed: 5);
        var all = new HashSet<string>();
        foreach (var split in new[] { data.Train, data.Val, data.Test })
        {
            for (var i = 0; i < Math.Min(200, split.Count); i++)
                Assert.That(all.Add(Convert.ToHexString(split.Read(i).Pixels)));
        }
        Assert.That((data.Classes, data.Train.Count, data.Val.Count, data.Test.Count), Is.EqualTo((16, 800, 200, 2000)));
    }

    [Test]
    public void SameSeedSamePicture()
    {
        var (a, b, other) = (Open(1), Open(1), Open(2));
        Assert.Multiple(() =>
        {
            Assert.That(a.Test.Read(7).Pixels, Is.EqualTo(b.Test.Read(7).Pixels));
            Assert.That(a.Test.Read(7).Pixels, Is.Not.EqualTo(other.Test.Read(7).Pixels));
            Assert.That(a.Test.Read(7).Pixels, Is.Not.EqualTo(a.Val.Read(7).Pixels));
        });

        static ImageDataset Open(long seed) => DataSource.Open("sprites:location?colour=true&clutter=3", seed);
    }

    [Test]
    public void TheLocationLabelIsTheSixteenthThatTheCentreOfMassIsIn()
    {
        var data = DataSource.Open("sprites:location", seed: 3);
        var close = 0;
        for (var i = 0; i < 300; i++)
        {
            var pixels = data.Train.Read(i).Pixels;
            var (mass, moment) = (0.0, 0.0);
            for (var at = 0; at < pixels.Length; at += 3)
            {
                mass += pixels[at];
                moment += pixels[at] * ((at / 3 % Sprites.Size) + 0.5);
            }
            var bin = ((moment / mass) - 13) / (Sprites.Size - 26) * 16;
            Assert.That(bin, Is.InRange(data.Train.Label(i) - 0.1, data.Train.Label(i) + 1.1));
            close += (int)bin == data.Train.Label(i) ? 1 : 0;
        }
        Assert.That(close, Is.GreaterThan(280));
    }

    [Test]
    public void TheOrientationLabelIsTheDirectionOfTheHeartsTip()
    {
        // Labels from 8 on are of hearts only. Their third moment points away from the tip, which at angle 0 points down, +y in pictures.
        var data = DataSource.Open("sprites:orientation", seed: 3);
        var (hearts, right) = (0, 0);
        for (var i = 0; i < data.Train.Count; i++)
        {
            if (data.Train.Label(i) < 8)
                continue;
            hearts++;
            var pixels = data.Train.Read(i).Pixels;
            var mass = Enumerable.Range(0, pixels.Length / 3).Select(at => (X: at % 64, Y: at / 64, W: (double)pixels[at * 3])).Where(p => p.W > 0).ToList();
            var total = mass.Sum(p => p.W);
            var (cx, cy) = (mass.Sum(p => p.X * p.W) / total, mass.Sum(p => p.Y * p.W) / total);
            var (x, y) = (0.0, 0.0);
            foreach (var p in mass)
            {
                var square = ((p.X - cx) * (p.X - cx)) + ((p.Y - cy) * (p.Y - cy));
                x -= p.W * square * (p.X - cx);
                y -= p.W * square * (p.Y - cy);
            }
            var turns = ((Math.Atan2(y, x) / (2 * Math.PI)) - 0.25 + 2) % 1;
            var apart = Math.Abs(turns - ((data.Train.Label(i) + 0.5) / 16));
            right += Math.Min(apart, 1 - apart) < 1.0 / 16 ? 1 : 0;
        }
        Assert.That(right, Is.GreaterThan(hearts * 0.9), $"of {hearts}");
    }

    [Test]
    public void LabelsAreBalanced([Values("location", "orientation")] string task)
    {
        var data = DataSource.Open($"sprites:{task}", seed: 1);
        var counts = Enumerable.Range(0, data.Test.Count).CountBy(data.Test.Label).ToList();
        Assert.That(counts, Has.Count.EqualTo(16));
        Assert.That(counts.Select(pair => pair.Value), Is.All.InRange(85, 170));
    }

    [TestCase("sprites:colour", "neither location nor orientation")]
    [TestCase("sprites:location?color=true", "option 'color=true' is none of")]
    [TestCase("sprites:location?train=0", "option 'train=0' is none of")]
    [TestCase("sprites:location?clutter=-1", "option 'clutter=-1' is none of")]
    public void UnknownOptionsAreNamed(string source, string message) =>
        Assert.That(() => DataSource.Open(source, 0), Throws.TypeOf<FusionException>().With.Message.Contains(message));
}
