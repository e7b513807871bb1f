using static TorchSharp.torch;

namespace TorchSharp.Tests;

[NonParallelizable]
internal sealed class RandomTests
{
    [Test]
    public void SameSeedSameBits()
    {
        using var scope = NewDisposeScope();
        manual_seed(42);
        var first = randn([1000]);
        var dropped = nn.functional.dropout(ones([1000]), 0.3);
        manual_seed(42);
        Assert.That(randn([1000]).Equals(first), Is.True);
        Assert.That(nn.functional.dropout(ones([1000]), 0.3).Equals(dropped), Is.True);
        Assert.That(randn([1000]).Equals(first), Is.False);
    }

    [Test]
    public void TheStateCanBeSavedAndRestored()
    {
        using var scope = NewDisposeScope();
        var state = random.get_rng_state();
        var first = rand([10]);
        random.set_rng_state(state);
        Assert.That(rand([10]).Equals(first), Is.True);
    }

    [Test]
    public void AGeneratorOfOnesOwnIsIndependent()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(7);
        Assert.That(generator.initial_seed(), Is.EqualTo(7));
        var first = rand([10], generator: generator);
        _ = rand([10]);
        var second = rand([10], generator: generator);
        generator.manual_seed(7);
        _ = rand([10]);
        Assert.That(rand([10], generator: generator).Equals(first), Is.True);
        Assert.That(rand([10], generator: generator).Equals(second), Is.True);
        Assert.That(first.Equals(second), Is.False);
    }

    [Test]
    public void DrawsStayWithinTheirBounds()
    {
        using var scope = NewDisposeScope();
        var integers = randint(3, 7, [1000]);
        Assert.That((integers.min().item<long>(), integers.max().item<long>()), Is.EqualTo((3L, 6L)));
        Assert.That(randperm(100).sort(0).Values.Equals(arange(100)), Is.True);
        using var truncated = nn.init.trunc_normal_(empty([10_000]), std: 1, a: -1, b: 1);
        Assert.That(truncated.abs().max().item<float>(), Is.LessThanOrEqualTo(1));
        Assert.That(truncated.std().item<float>(), Is.EqualTo(0.5396).Within(0.02)); // of the normal distribution cut at ±σ
    }

    [Test]
    public void TheSameWorkGivesTheSameBits()
    {
        using var scope = NewDisposeScope();
        var a = randn([64, 128]);
        var b = randn([128, 64]);
        var product = a.matmul(b);
        for (var i = 0; i < 5; i++)
            Assert.That(a.matmul(b).Equals(product), Is.True);
    }

    [Test]
    public void ThreadsCanBeChosen()
    {
        var before = get_num_threads();
        set_num_threads(1);
        Assert.That(get_num_threads(), Is.EqualTo(1));
        var elsewhere = 0;
        var thread = new Thread(() =>
        {
            using var x = ones([1]); // a thread takes the setting over with its first operator
            elsewhere = get_num_threads();
        });
        thread.Start();
        thread.Join();
        Assert.That(elsewhere, Is.EqualTo(1));
        set_num_threads(before);
        Assert.That(get_num_threads(), Is.EqualTo(before));
    }

    [Test]
    public void TheMachineIsDescribed()
    {
        Assert.That(__version__, Does.Match(@"^\d+\.\d+"));
        Assert.That(cuda.is_available(), Is.EqualTo(cuda.device_count() > 0));
        if (!cuda.is_available())
            Assert.That(() => cuda.synchronize(), Throws.Exception.With.Message.Contains("no CUDA device"));
        Assert.That(new Device("cuda:1").ToString(), Is.EqualTo("cuda:1"));
        Assert.That(() => new Device("gpu"), Throws.ArgumentException.With.Message.Contains("use cpu, cuda or cuda:N"));
        using var x = zeros([2, 3], device: CPU);
        Assert.That(x.ToString(), Is.EqualTo("[2x3], type = Float32, device = cpu"));
    }
}
