using System.Runtime.InteropServices;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace TorchSharp.Tests;

internal sealed class AutogradTests
{
    private DisposeScope scope = null!;

    [SetUp]
    public void Enter()
    {
        this.scope = NewDisposeScope();
        manual_seed(1);
    }

    [TearDown]
    public void Leave() => this.scope.Dispose();

    [Test]
    public void BackwardFillsAndAccumulatesTheGradientsOfLeaves()
    {
        var x = tensor([1.0, 2.0, 3.0], requires_grad: true);
        Assert.That(x.grad, Is.Null);
        (x * x * x).sum().backward();
        Assert.That(x.grad!.data<double>().ToArray(), Is.EqualTo(new[] { 3.0, 12.0, 27.0 }));
        x.sum().backward();
        Assert.That(x.grad!.data<double>().ToArray(), Is.EqualTo(new[] { 4.0, 13.0, 28.0 }));
        x.grad = null;
        Assert.That(x.grad, Is.Null);
    }

    [Test]
    public void GradientsMatchFiniteDifferences()
    {
        var w = randn([4, 5], ScalarType.Float64, requires_grad: true);
        var gradient = autograd.grad([Network(w)], [w])[0].data<double>().ToArray();
        Assert.That(gradient, Is.EqualTo(Differences(w, Network)).Within(1e-7));
    }

    /// <summary>The unrolled step of a bilevel search differentiates through a gradient.</summary>
    [Test]
    public void GradientsThroughAGradientMatchFiniteDifferences()
    {
        var w = randn([4, 5], ScalarType.Float64, requires_grad: true);
        var gradient = autograd.grad([Unrolled(w)], [w])[0].data<double>().ToArray();
        Assert.That(gradient, Is.EqualTo(Differences(w, Unrolled)).Within(1e-6));

        static Tensor Unrolled(Tensor weights)
        {
            using var enabled = enable_grad();
            var step = autograd.grad([Network(weights)], [weights], create_graph: true)[0];
            return Network(weights - (0.1 * step));
        }
    }

    [Test]
    public void UnusedInputsAreNullOnlyIfAllowed()
    {
        var x = ones([2], requires_grad: true);
        var y = ones([2], requires_grad: true);
        var found = autograd.grad([x.sum()], [x, y], allow_unused: true);
        Assert.That(found[1], Is.Null);
        Assert.That(() => autograd.grad([x.sum()], [x, y]), Throws.InstanceOf<ExternalException>().With.Message.Contains("allow_unused"));
    }

    [Test]
    public void GradOutputsWeighTheOutputs()
    {
        var x = tensor([1.0, 2.0], requires_grad: true);
        var found = autograd.grad([x * x], [x], [tensor([1.0, 10.0])]);
        Assert.That(found[0].data<double>().ToArray(), Is.EqualTo(new[] { 2.0, 40.0 }));
    }

    [Test]
    public void ModesNestAndRestore()
    {
        var x = ones([2], requires_grad: true);
        using (no_grad())
        {
            Assert.That(is_grad_enabled(), Is.False);
            Assert.That((x * 2).requires_grad, Is.False);
            using (enable_grad())
                Assert.That((x * 2).requires_grad, Is.True);
            Assert.That(is_grad_enabled(), Is.False);
        }
        Assert.That(is_grad_enabled(), Is.True);
        using (inference_mode())
        {
            Assert.That(is_inference_mode_enabled(), Is.True);
            Assert.That((x * 2).requires_grad, Is.False);
        }
        Assert.That(is_inference_mode_enabled(), Is.False);
    }

    [Test]
    public void InnerGradientsAreKeptOnRequest()
    {
        var x = ones([2], requires_grad: true);
        var y = x * 3;
        Assert.That((x.is_leaf, y.is_leaf), Is.EqualTo((true, false)));
        y.retain_grad();
        (y * y).sum().backward();
        Assert.That(y.grad!.data<float>().ToArray(), Is.EqualTo(new[] { 6f, 6f }));
    }

    [Test]
    public void DetachedTensorsShareStorageButNoGraph()
    {
        var x = ones([2], requires_grad: true);
        var detached = (x * 1).detach();
        Assert.That(detached.requires_grad, Is.False);
        using (no_grad())
            x.detach().fill_(5);
        Assert.That(x.data<float>().ToArray(), Is.EqualTo(new[] { 5f, 5f }));
    }

    /// <summary>A bit of everything a block uses: linear, layer norm, GELU, softmax, cross-entropy.</summary>
    private static Tensor Network(Tensor weights)
    {
        var input = linspace(-1, 1, 15, ScalarType.Float64).reshape(3, 5);
        var hidden = F.gelu(F.layer_norm(F.linear(input, weights), [4]));
        return F.cross_entropy(hidden.softmax(1).matmul(weights), tensor(new long[] { 0, 3, 4 }));
    }

    private static double[] Differences(Tensor at, Func<Tensor, Tensor> function)
    {
        const double Step = 1e-5;
        var result = new double[at.numel()];
        for (var i = 0; i < result.Length; i++)
            result[i] = (Value(i, Step) - Value(i, -Step)) / (2 * Step);
        return result;

        double Value(int i, double step)
        {
            var moved = at.detach().clone();
            moved.data<double>()[i / (int)at.shape[1], i % at.shape[1]] += step;
            return function(moved.requires_grad_()).item<double>();
        }
    }
}
