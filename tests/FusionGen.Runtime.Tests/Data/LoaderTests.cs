using FusionGen.Data;
using TorchSharp;

namespace FusionGen.Runtime.Tests.Data;

public class LoaderTests
{
    private static readonly Split Numbered = new([.. Enumerable.Range(0, 23).Select(i => i % 5)], Numbers);

    [Test]
    public void EvaluationKeepsTheOrderAndTheLastPartialBatch()
    {
        var loader = new Loader(Numbered, Preprocessing.VptVtab, Normalization.None, 8, 5, training: false);
        var batches = Read(loader, seed: 1, epoch: 0);
        Assert.Multiple(() =>
        {
            Assert.That(loader.Count, Is.EqualTo(5));
            Assert.That(batches.Select(batch => batch.Labels.Length), Is.EqualTo(new[] { 5, 5, 5, 5, 3 }));
            Assert.That(batches.SelectMany(batch => batch.Indices), Is.EqualTo(Enumerable.Range(0, 23)));
            Assert.That(batches.SelectMany(batch => batch.Labels), Is.EqualTo(Enumerable.Range(0, 23).Select(i => (long)(i % 5))));
        });
    }

    [Test]
    public void TrainingSeesEveryPictureOnceInAnOrderOfItsEpoch()
    {
        var loader = new Loader(Numbered, Preprocessing.VptVtab, Normalization.None, 8, 5, training: true);
        var first = Read(loader, 1, 0).SelectMany(batch => batch.Indices).ToList();
        var second = Read(loader, 1, 1).SelectMany(batch => batch.Indices).ToList();
        Assert.Multiple(() =>
        {
            Assert.That(first, Is.EquivalentTo(Enumerable.Range(0, 23)));
            Assert.That(second, Is.EquivalentTo(first));
            Assert.That(second, Is.Not.EqualTo(first));
            Assert.That(Read(loader, 1, 0).SelectMany(batch => batch.Indices), Is.EqualTo(first));
            Assert.That(Read(loader, 2, 0).SelectMany(batch => batch.Indices), Is.Not.EqualTo(first));
        });
    }

    [Test]
    public void ThreadsAndMemoryChangeNothing()
    {
        var data = DataSource.Open("sprites:location?colour=true&train=40", seed: 1).Train;
        var one = new Loader(data, Preprocessing.VptFgvc, Normalization.ImageNet, 32, 16, training: true, workers: 1);
        var many = new Loader(data, Preprocessing.VptFgvc, Normalization.ImageNet, 32, 16, training: true, workers: 4, memory: 20_000);
        for (var epoch = 0; epoch < 2; epoch++)
            Assert.That(Read(many, 7, epoch).Select(batch => batch.Images), Is.EqualTo(Read(one, 7, epoch).Select(batch => batch.Images)));
        Assert.That(Read(one, 7, 1)[0].Images, Is.Not.EqualTo(Read(one, 7, 0)[0].Images));
    }

    [Test]
    public void PicturesAreDecodedOnceAsFarAsMemoryReaches()
    {
        var reads = 0;
        var split = new Split(new int[10], i =>
        {
            Interlocked.Increment(ref reads);
            return Numbers(i);
        });
        var all = new Loader(split, Preprocessing.VptVtab, Normalization.None, 8, 4, training: false);
        Read(all, 1, 0);
        Read(all, 1, 1);
        Assert.That(reads, Is.EqualTo(10));
        reads = 0;
        var four = new Loader(split, Preprocessing.VptVtab, Normalization.None, 8, 4, training: false, memory: 4 * 8 * 8 * 3);
        Read(four, 1, 0);
        Read(four, 1, 1);
        Assert.That(reads, Is.EqualTo(10 + 6));
    }

    [Test]
    public void AFileThatFailsFailsTheEpochByName()
    {
        var split = new Split(new int[9], i => i == 6 ? throw new FusionException("six.png: damaged", ExitCode.Data) : Numbers(i));
        var loader = new Loader(split, Preprocessing.VptVtab, Normalization.None, 8, 2, training: false, workers: 2);
        Assert.That(() => Read(loader, 1, 0), Throws.TypeOf<FusionException>().With.Message.EqualTo("six.png: damaged"));
    }

    [Test]
    public void AnEpochMayBeLeftEarly()
    {
        var loader = new Loader(Numbered, Preprocessing.VptVtab, Normalization.None, 8, 2, training: true);
        for (var i = 0; i < 20; i++)
        {
            using var scope = torch.NewDisposeScope();
            Assert.That(loader.Epoch(1, i).First().Labels.NumberOfElements, Is.EqualTo(2));
        }
    }

    /// <summary>A picture that tells its index.</summary>
    private static Picture Numbers(int index)
    {
        var pixels = new byte[8 * 8 * 3];
        Array.Fill(pixels, (byte)index);
        return new Picture(8, 8, pixels);
    }

    private static List<(float[] Images, long[] Labels, int[] Indices)> Read(Loader loader, long seed, int epoch)
    {
        var read = new List<(float[], long[], int[])>();
        foreach (var (images, labels) in loader.Epoch(seed, epoch))
        {
            using (images)
            using (labels)
            {
                var values = images.data<float>().ToArray();
                var area = (int)(images.NumberOfElements / images.shape[0]);
                read.Add((values, labels.data<long>().ToArray(), [.. Enumerable.Range(0, (int)images.shape[0]).Select(i => (int)MathF.Round(values[i * area] * 255))]));
            }
        }
        return read;
    }
}
