using FusionGen.Kernels;
using FusionGen.Training;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FusionGen.Runtime.Tests.Kernels;

/// <summary>Against the optimizers of FusionGen.Training in float64, which follow torch.optim.</summary>
[TestFixture]
internal sealed class OptimizersTests
{
    private const int Decayed = 37;
    private const int Kept = 20;
    private const double Decay = 0.3;
    private const double Rate = 0.05;

    [Test]
    public void Follows_the_training_optimizers([ValueSource(typeof(Numeric), nameof(Numeric.Widths))] int width, [Values] OptimizerKind kind, [Values] bool decay)
    {
        using var scope = Numeric.Width(width);
        // A decayed parameter, one that is not, and one more decayed.
        int[] sizes = [Decayed, Kept, 5];
        var weights = Numeric.Random(sizes.Sum(), 1);
        var settings = new OptimizerSettings { Kind = kind, LearningRate = Rate, WeightDecay = decay ? Decay : 0, Momentum = 0.9 };
        var (first, second) = (new float[weights.Length], new float[weights.Length]);
        var starts = new[] { 0, Decayed, Decayed + Kept };
        using var a = Slice(0);
        using var b = Slice(1);
        using var c = Slice(2);
        using var reference = Optimizer.Create(settings, [new("a", a), new("b", b, Decays: false), new("c", c)]);
        for (var step = 1; step <= 5; step++)
        {
            var gradients = Numeric.Random(weights.Length, 10 + step);
            using var inner = NewDisposeScope();
            reference.Step([.. starts.Select((start, i) => tensor(Numeric.Double(gradients[start..(start + sizes[i])])))]);
            foreach (var (at, decays) in new[] { (0..Decayed, true), (Decayed..(Decayed + Kept), false), ((Decayed + Kept)..weights.Length, true) })
            {
                var factor = decays ? settings.WeightDecay : 0;
                if (kind == OptimizerKind.Sgd)
                    Optimizers.Sgd(weights.AsSpan(at), gradients.AsSpan(at), first.AsSpan(at), Rate, settings.Momentum, factor);
                else
                    Optimizers.Adam(Enum.Parse<AdamKind>(kind.ToString()), weights.AsSpan(at), gradients.AsSpan(at), first.AsSpan(at), second.AsSpan(at), step, Rate, settings.Beta1, settings.Beta2, factor);
            }
            double[] expected = [.. a.detach().data<double>(), .. b.detach().data<double>(), .. c.detach().data<double>()];
            Numeric.Close(weights, expected, 2e-6, $"step {step}");
        }

        Parameter Slice(int i) => new(tensor(Numeric.Double(weights[starts[i]..(starts[i] + sizes[i])])));
    }

    [Test]
    public void Plain_descent_needs_no_buffer()
    {
        float[] weights = [1, 2];
        Optimizers.Sgd(weights, [0.5f, -1], [], 0.5, 0, 0);
        Assert.That(weights, Is.EqualTo(new[] { 0.75f, 2.5f }));
    }

    [Test]
    public void Clips_the_norm_of_everything()
    {
        float[] gradients = [3, 4];
        Assert.That(Optimizers.Clip(gradients, 0), Is.EqualTo(5));
        Assert.That(Optimizers.Clip(gradients, 6), Is.EqualTo(5));
        Assert.That(gradients, Is.EqualTo(new[] { 3f, 4 }));
        Assert.That(Optimizers.Clip(gradients, 2.5), Is.EqualTo(5));
        Numeric.Close(gradients, [1.5, 2], 1e-6);
        Assert.That(Optimizers.Clip([float.NaN, 1], 1), Is.NaN);
    }

    [Test]
    public void Wrong_buffers_are_named()
    {
        Assert.That(() => Optimizers.Sgd(new float[3], new float[2], [], 1, 0, 0), Throws.ArgumentException.With.Property("ParamName").EqualTo("gradients"));
        Assert.That(() => Optimizers.Sgd(new float[3], new float[3], new float[2], 1, 0, 0), Throws.ArgumentException.With.Property("ParamName").EqualTo("momentum"));
    }

    [Test]
    public void Allocates_nothing()
    {
        var (weights, gradients, first, second) = (new float[37], Numeric.Random(37, 1), new float[37], new float[37]);
        Numeric.AllocatesNothing(() =>
        {
            Optimizers.Adam(AdamKind.AdamW, weights, gradients, first, second, 1, 0.1, 0.9, 0.999, 0.1);
            Optimizers.Sgd(weights, gradients, first, 0.1, 0.9, 0.1);
            Optimizers.Clip(gradients, 0.1);
        });
    }
}
