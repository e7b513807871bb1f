using System.Text.Json;
using FusionGen.Training;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FusionGen.Runtime.Tests.Training;

/// <summary>Trajectories of torch.optim and of VPT's AdamW on a polynomial of three variables, five steps each, in float64 (schedules.json).</summary>
[TestFixture]
internal sealed class OptimizerTests
{
    private static readonly JsonElement Reference = JsonDocument.Parse(
        File.ReadAllText(Path.Combine(TestContext.CurrentContext.TestDirectory, "Training", "schedules.json"))).RootElement;

    [TestCase("adamw_torch", OptimizerKind.AdamW)]
    [TestCase("adamw_torch_lr_schedule_wd0_clip", OptimizerKind.AdamW)]
    [TestCase("adam_torch_darts", OptimizerKind.Adam)]
    [TestCase("sgd_momentum", OptimizerKind.Sgd)]
    [TestCase("sgd_momentum_lr0_first", OptimizerKind.Sgd)]
    [TestCase("sgd_plain", OptimizerKind.Sgd)]
    [TestCase("adamw_vpt_own", OptimizerKind.VptAdamW)]
    public void Follows_the_reference(string name, OptimizerKind kind)
    {
        var reference = Reference.GetProperty("optimizers").GetProperty(name);
        using var weights = new Parameter(tensor(Numbers(Reference.GetProperty("toy").GetProperty("w0"))));
        using var optimizer = Create(reference, kind, weights);
        var step = 0;
        foreach (var expected in reference.GetProperty("steps").EnumerateArray())
        {
            using var scope = NewDisposeScope();
            if (reference.TryGetProperty("lr_per_step", out var rates))
                optimizer.LearningRate = rates[step].GetDouble();
            var gradients = Gradients.Of(Loss(weights), [weights]);
            Assert.That(gradients[0]!.data<double>().ToArray(), Is.EqualTo(Numbers(expected.GetProperty("grad"))).Within(1e-12));
            var norm = Gradients.Clip(gradients, reference.TryGetProperty("clip_grad_norm", out var clip) ? clip.GetDouble() : 0);
            if (expected.TryGetProperty("norm_before_clip", out var expectedNorm))
                Assert.That(norm.item<double>(), Is.EqualTo(expectedNorm.GetDouble()).Within(1e-12));
            optimizer.Step(gradients);
            Assert.That(weights.detach().data<double>().ToArray(), Is.EqualTo(Numbers(expected.GetProperty("w_after"))).Within(1e-12), $"step {step}");
            step++;
        }
        Assert.That(step, Is.EqualTo(5));
    }

    /// <summary>VPT's <c>make_optimizer</c>: who decays how much, and which class steps.</summary>
    [TestCase("sgd_wd.01", OptimizerKind.Sgd, 0.01)]
    [TestCase("sgd_wd0", OptimizerKind.Sgd, 0)]
    [TestCase("adamw_wd.001", OptimizerKind.VptAdamW, 0.001)]
    [TestCase("adamw_wd0_silently_sgd", OptimizerKind.VptAdamW, 0)]
    public void Parameter_groups_are_vpts(string name, OptimizerKind kind, double decay)
    {
        var reference = Reference.GetProperty("vpt_make_optimizer").GetProperty(name);
        var settings = new OptimizerSettings { Kind = kind, LearningRate = 1, WeightDecay = decay };
        using var weights = new Parameter(tensor(new[] { 0.9 }));
        using var optimizer = Optimizer.Create(Optimizer.AsPublished(settings), [new("w", weights)]);
        Assert.That(optimizer.GetType().Name, Is.EqualTo(reference.GetProperty("class").GetString()!.EndsWith("SGD", StringComparison.Ordinal) ? "Sgd" : "Adam"));
        foreach (var group in reference.GetProperty("groups").EnumerateArray())
        {
            Assert.That(optimizer.Settings.LearningRate, Is.EqualTo(group.GetProperty("lr").GetDouble()));
            if (group.GetProperty("momentum").ValueKind == JsonValueKind.Number)
                Assert.That(optimizer.Settings.Momentum, Is.EqualTo(group.GetProperty("momentum").GetDouble()));
            foreach (var parameter in group.GetProperty("params").EnumerateArray())
            {
                var ours = parameter.GetString()!.Replace("head.last_layer", "head", StringComparison.Ordinal);
                var decays = Optimizer.Decays(settings, ours) ? optimizer.Settings.WeightDecay : 0;
                Assert.That(decays, Is.EqualTo(group.GetProperty("weight_decay").GetDouble()), ours);
            }
        }
    }

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

    private static Optimizer Create(JsonElement reference, OptimizerKind kind, Parameter weights)
    {
        var betas = reference.TryGetProperty("betas", out var given) ? Numbers(given) : [0.9, 0.999];
        return Optimizer.Create(
            new OptimizerSettings
            {
                Kind = kind,
                LearningRate = reference.TryGetProperty("lr", out var rate) ? rate.GetDouble() : 0,
                WeightDecay = reference.GetProperty("weight_decay").GetDouble(),
                Momentum = reference.TryGetProperty("momentum", out var momentum) ? momentum.GetDouble() : 0,
                Beta1 = betas[0],
                Beta2 = betas[1],
            },
            [new OptimizedParameter("w", weights)]);
    }

    private static Tensor Loss(Tensor w)
    {
        var toy = Reference.GetProperty("toy");
        var a = tensor(toy.GetProperty("A").EnumerateArray().SelectMany(Numbers).ToArray(), [3, 3]);
        var b = tensor(Numbers(toy.GetProperty("b")));
        return ((w * a.matmul(w)).sum() * 0.5) - (b * w).sum() + (w.pow(4).sum() * 0.1);
    }

    private static double[] Numbers(JsonElement list) => [.. list.EnumerateArray().Select(number => number.GetDouble())];
}
