using FusionGen.Data;

namespace FusionGen.Runtime.Tests.Data;

public class PreprocessingTests
{
    [Test]
    public void EvaluationCropsAreTorchvisions([Values("pfd", "vpt-fgvc")] string name)
    {
        var mode = Preprocessing.Of(name);
        Assert.That(Take(mode, Fixture.Photo(), 64, null), Is.EqualTo(Channels(Fixture.Bytes($"{name}-64.rgb"))));
    }

    [Test]
    public void SizesAreTorchvisions()
    {
        Assert.Multiple(() =>
        {
            Assert.That(SizeOf(Preprocessing.Pfd.Settle(new Picture(500, 333, new byte[500 * 333 * 3]), 224)), Is.EqualTo((384, 256)));
            Assert.That(SizeOf(Preprocessing.Pfd.Settle(new Picture(333, 500, new byte[500 * 333 * 3]), 224)), Is.EqualTo((256, 384)));
            Assert.That(SizeOf(Preprocessing.VptFgvc.Settle(new Picture(32, 32, new byte[32 * 32 * 3]), 64)), Is.EqualTo((73, 73)));
        });

        static (int, int) SizeOf(Picture picture) => (picture.Width, picture.Height);
    }

    [Test]
    public void TrainingCropsAreWindowsOfTheSettledPictureAndReachEveryCorner()
    {
        var settled = Preprocessing.VptFgvc.Settle(Fixture.Photo(), 16);
        var windows = new Dictionary<string, (int Left, int Top, bool Flipped)>();
        for (var top = 0; top <= settled.Height - 16; top++)
        {
            for (var left = 0; left <= settled.Width - 16; left++)
            {
                var crop = settled.Crop(left, top, 16, 16);
                windows[Convert.ToHexString(crop.Pixels)] = (left, top, false);
                windows[Convert.ToHexString(crop.Mirror().Pixels)] = (left, top, true);
            }
        }
        var random = SplitMix.For(1, "crops");
        var seen = new HashSet<(int, int, bool)>();
        for (var i = 0; i < 2000; i++)
            seen.Add(windows[Convert.ToHexString(Pixels(TakeSettled(Preprocessing.VptFgvc, settled, 16, random)))]);
        var never = windows.Values.Count(window => !seen.Contains(window));
        Assert.That(never, Is.Zero, $"of {windows.Count} windows");

        random = SplitMix.For(1, "crops");
        for (var i = 0; i < 200; i++)
            Assert.That(windows[Convert.ToHexString(Pixels(TakeSettled(Preprocessing.Pfd, settled, 16, random)))].Flipped, Is.False);
    }

    [Test]
    public void SquashOfAPictureOfItsSizeChangesNothing()
    {
        var picture = Fixture.Photo().Crop(3, 1, 20, 20);
        Assert.That(Take(Preprocessing.VptVtab, picture, 20, SplitMix.For(1, "unused")), Is.EqualTo(Channels(picture.Pixels)));
    }

    [Test]
    public void SquashingForNoahIsPillowsResizeToASquare([Values] bool training)
    {
        var picture = Fixture.Photo();
        var expected = Channels(Resampling.Bicubic.Resize(picture, 20, 20).Pixels);
        Assert.That(Take(Preprocessing.Squash, picture, 20, training ? SplitMix.For(1, "unused") : null), Is.EqualTo(expected));
    }

    [Test]
    public void NormalizationsAreMeanAndDeviation()
    {
        byte[] pixels = [0, 255, 51];
        var imagenet = new float[3];
        var half = new float[3];
        Normalization.Of("imagenet").Apply(pixels, imagenet);
        Normalization.Of("half").Apply(pixels, half);
        float[] inPlace = [0, 255, 51];
        Normalization.ImageNet.Apply(inPlace);
        Assert.Multiple(() =>
        {
            Assert.That(imagenet, Is.EqualTo(new[] { -0.485f / 0.229f, (1 - 0.456f) / 0.224f, (0.2f - 0.406f) / 0.225f }).Within(1e-6));
            Assert.That(half, Is.EqualTo(new[] { -1f, 1f, -0.6f }).Within(1e-6));
            Assert.That(inPlace, Is.EqualTo(imagenet));
            Assert.That(() => Normalization.Of("imagnet"), Throws.TypeOf<FusionException>().With.Message.Contains("imagenet, half, none"));
            Assert.That(() => Preprocessing.Of("vtab"), Throws.TypeOf<FusionException>().With.Message.Contains("pfd, vpt-vtab, vpt-fgvc, squash"));
        });
    }

    private static float[] Take(Preprocessing mode, Picture picture, int size, SplitMix? random) =>
        TakeSettled(mode, mode.Settle(picture, size), size, random);

    private static float[] TakeSettled(Preprocessing mode, Picture settled, int size, SplitMix? random)
    {
        var channels = new float[3 * size * size];
        mode.Take(settled, size, random, Normalization.None, channels);
        return channels;
    }

    private static float[] Channels(byte[] pixels)
    {
        var channels = new float[pixels.Length];
        Normalization.None.Apply(pixels, channels);
        return channels;
    }

    private static byte[] Pixels(float[] channels)
    {
        var area = channels.Length / 3;
        var pixels = new byte[channels.Length];
        for (var i = 0; i < channels.Length; i++)
            pixels[((i % area) * 3) + (i / area)] = (byte)MathF.Round(channels[i] * 255);
        return pixels;
    }
}
