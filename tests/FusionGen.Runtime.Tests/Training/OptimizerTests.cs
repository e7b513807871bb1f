using FusionGen.Training;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FusionGen.Runtime.Tests.Training;

/// <summary>What optimizers owe to those who use them; the published trajectories are held by <c>fusiongen parity --reference schedules.json</c>.</summary>
[TestFixture]
internal sealed class OptimizerTests
{
    [Test]
    public void State_saved_and_loaded_continues_to_the_bit([Values] OptimizerKind kind)
    {
        var settings = new OptimizerSettings { Kind = kind, LearningRate = 0.05 };
        using var one = new Parameter(tensor(new[] { 0.9, -0.6, 0.05 }));
        using var optimizer = Optimizer.Create(settings, [new("w", one)]);
        Walk(optimizer, one, 3);
        using var other = new Parameter(one.detach().clone());
        using var resumed = Optimizer.Create(settings, [new("w", other)]);
        var saved = optimizer.State("o").ToDictionary(pair => pair.Key, pair => pair.Value.clone());
        resumed.Load("o", name => saved[name].clone());
        Walk(optimizer, one, 3);
        Walk(resumed, other, 3);
        Assert.That(other.detach().bytes.ToArray(), Is.EqualTo(one.detach().bytes.ToArray()));
    }

    [Test]
    public void Decay_is_a_property_of_the_parameter([Values] OptimizerKind kind)
    {
        var settings = new OptimizerSettings { Kind = kind, LearningRate = 0.1, WeightDecay = 0.5 };
        using var decayed = new Parameter(ones(2, dtype: ScalarType.Float64));
        using var kept = new Parameter(ones(2, dtype: ScalarType.Float64));
        using var optimizer = Optimizer.Create(settings, [new("weight", decayed), new("bias", kept, Decays: false)]);
        using var zero = zeros(2, dtype: ScalarType.Float64);
        optimizer.Step([zero, zero]);
        Assert.That(kept.detach().data<double>().ToArray(), Is.All.EqualTo(1));
        Assert.That(decayed.detach().data<double>().ToArray(), Is.All.LessThan(1));
    }

    [Test]
    public void A_parameter_without_a_gradient_stays_and_keeps_its_step_count([Values] OptimizerKind kind)
    {
        using var weights = new Parameter(tensor(new[] { 0.9, -0.6, 0.05 }));
        using var optimizer = Optimizer.Create(new OptimizerSettings { Kind = kind }, [new("w", weights)]);
        var before = weights.detach().bytes.ToArray();
        optimizer.Step([null]);
        Assert.That(weights.detach().bytes.ToArray(), Is.EqualTo(before));
        using var steps = optimizer.State("o").First().Value;
        Assert.That(steps.data<long>().ToArray(), Is.EqualTo(new long[] { 0 }));
    }

    private static void Walk(Optimizer optimizer, Parameter weights, int steps)
    {
        for (var i = 0; i < steps; i++)
        {
            using var scope = NewDisposeScope();
            optimizer.Step(Gradients.Of(Loss(weights), [weights]));
        }
    }

    /// <summary>A rate of its own moves a parameter by that much more, alone and among others in one buffer, and an unrolled step too.</summary>
    [Test]
    public void Rates_are_a_property_of_the_parameter([Values] OptimizerKind kind)
    {
        var settings = new OptimizerSettings { Kind = kind, LearningRate = 0.1, WeightDecay = 0 };
        using var scope = NewDisposeScope();
        using var slow = new Parameter(tensor(new[] { 1f, 2 }));
        using var fast = new Parameter(tensor(new[] { 1f, 2 }));
        using var optimizer = Optimizer.Create(settings, [new("weight", slow), new("bias", fast, Rate: 3)]);
        float[] flat = [1, 2, 1, 2], gradient = [0.5f, -1, 0.5f, -1];
        using var other = Optimizer.Create(settings, [new("weight", new Parameter(slow.detach().clone())), new("bias", new Parameter(fast.detach().clone()), Rate: 3)]);
        var unrolled = optimizer.VirtualStep(1, tensor(gradient[..2])).data<float>().ToArray();
        float[] walked = [.. flat], used = [.. gradient];
        other.VirtualStep(walked, used);
        Assert.That(unrolled, Is.EqualTo(walked[2..]).Within(1e-6));
        optimizer.Step([tensor(gradient[..2]), tensor(gradient[..2])]);
        other.Step(flat, gradient);
        float[] moved = [.. slow.detach().data<float>(), .. fast.detach().data<float>()];
        Assert.That(flat, Is.EqualTo(moved).Within(1e-6));
        Assert.That(flat[2] - 1, Is.EqualTo(3 * (flat[0] - 1)).Within(1e-5));
        Assert.That(unrolled[0] - 1, Is.EqualTo(-0.15).Within(1e-6));
    }

    /// <summary>A polynomial of three variables.</summary>
    private static Tensor Loss(Tensor w) => (w * w * tensor(new[] { 2.0, 1, 0.7 })).sum() - (tensor(new[] { 0.4, -1, 0.25 }) * w).sum() + (w.pow(4).sum() * 0.1);
}
