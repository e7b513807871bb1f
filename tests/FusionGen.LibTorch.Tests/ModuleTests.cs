using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchSharp.Tests;

internal sealed class ModuleTests
{
    [Test]
    public void ParametersComeInOrderUnderTheirPaths()
    {
        using var net = new Outer();
        Assert.That(net.named_parameters().Select(pair => pair.name), Is.EqualTo(new[] { "a.b", "inner.weight" }));
        Assert.That(net.state_dict().Keys, Is.EqualTo(new[] { "a.b", "inner.weight", "inner.count" }));
        Assert.That(net.state_dict(prefix: "net").Keys.First(), Is.EqualTo("net.a.b"));
        Assert.That(net.named_modules().Select(pair => pair.name), Is.EqualTo(new[] { "inner" }));
        Assert.That(net.named_buffers(include_nonpersistent: false).Count(), Is.EqualTo(1));
        Assert.That(net.buffers().Count(), Is.EqualTo(2));
        Assert.That(net.get_parameter("inner.weight"), Is.SameAs(net.inner.weight));
    }

    [Test]
    public void ModesReachSubmodules()
    {
        using var net = new Outer();
        Assert.That((net.training, net.inner.training), Is.EqualTo((true, true)));
        net.eval();
        Assert.That((net.training, net.inner.training), Is.EqualTo((false, false)));
    }

    [Test]
    public void LoadingIsStrictUnlessToldOtherwise()
    {
        using var net = new Outer();
        using var scope = NewDisposeScope();
        var source = new Dictionary<string, Tensor> { ["a.b"] = full([2], 7f), ["stray"] = ones([1]) };
        Assert.That(() => net.load_state_dict(source), Throws.InvalidOperationException.With.Message.Contains("stray").And.Message.Contains("inner.weight"));
        var (missing, unexpected) = net.load_state_dict(source, strict: false);
        Assert.That((missing.Count, unexpected.Single()), Is.EqualTo((2, "stray")));
        Assert.That(net.first.data<float>().ToArray(), Is.EqualTo(new[] { 7f, 7f }));
    }

    [Test]
    public void ConversionKeepsTheObjects()
    {
        using var net = new Outer();
        var before = net.inner.weight;
        Assert.That(net.to(ScalarType.Float64), Is.SameAs(net));
        Assert.That(net.inner.weight, Is.SameAs(before));
        Assert.That((before.dtype, before.requires_grad, before.is_leaf), Is.EqualTo((ScalarType.Float64, true, true)));
        Assert.That(net.inner.count.dtype, Is.EqualTo(ScalarType.Int64), "integers stay integers");
    }

    [Test]
    public void CallingComputesAndGradientsCanBeCleared()
    {
        using var net = new Outer();
        using var scope = NewDisposeScope();
        net.call(ones([2])).sum().backward();
        Assert.That(net.first.grad, Is.Not.Null);
        net.zero_grad(set_to_none: false);
        Assert.That(net.first.grad!.data<float>().ToArray(), Is.EqualTo(new[] { 0f, 0f }));
        net.zero_grad();
        Assert.That(net.first.grad, Is.Null);
    }

    [Test]
    public void GradientsAreClippedByTheirCommonNorm()
    {
        using var net = new Outer();
        using var scope = NewDisposeScope();
        (net.call(ones([2])) * tensor([3f, 4f])).sum().backward();
        // d/da = (3, 4), d/dw = (3, 4): the norm is √50.
        Assert.That(nn.utils.clip_grad_norm_(net.parameters(), 1), Is.EqualTo(Math.Sqrt(50)).Within(1e-5));
        Assert.That(net.parameters().Sum(p => p.grad!.square().sum().item<float>()), Is.EqualTo(1).Within(1e-5));
        Assert.That(nn.utils.clip_grad_norm_(net.parameters(), 2), Is.EqualTo(1).Within(1e-5));
    }

    [Test]
    public void WhatAModuleOwnsOutlivesTheScopeItWasMadeIn()
    {
        Outer net;
        using (NewDisposeScope())
            net = new Outer();
        Assert.That(net.parameters().Concat(net.buffers()).All(tensor => !tensor.IsInvalid), Is.True);
        net.Dispose();
        Assert.That(net.first.IsInvalid && net.inner.weight.IsInvalid, Is.True);
    }

    [Test]
    public void NamesAreTakenOnce()
    {
        using var net = new Outer();
        using var twice = new Parameter(ones([1]));
        Assert.That(() => net.register_parameter("a.b", twice), Throws.InvalidOperationException);
    }

    private sealed class Inner : nn.Module<Tensor, Tensor>
    {
        public readonly Parameter weight = new(ones([2]));
        public readonly Tensor count = zeros([1], ScalarType.Int64);

        public Inner()
            : base("inner")
        {
            this.register_parameter("weight", this.weight);
            this.register_buffer("count", this.count);
            this.register_buffer("scratch", zeros([1]), persistent: false);
        }

        public override Tensor forward(Tensor input) => input * this.weight;
    }

    private sealed class Outer : nn.Module<Tensor, Tensor>
    {
        public readonly Parameter first = new(zeros([2]));
        public readonly Inner inner = new();

        public Outer()
            : base("outer")
        {
            this.register_parameter("a.b", this.first);
            this.register_module("inner", this.inner);
        }

        public override Tensor forward(Tensor input) => this.inner.call(input) + this.first;
    }
}
