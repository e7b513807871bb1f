using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Passes;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Tests.Passes;

public class MergingTests
{
    /// <summary>In float64, the plain backbone at the merged weights computes what the network does.</summary>
    [TestCase("add")]
    [TestCase("affine")]
    [TestCase("vector")]
    [TestCase("modulate")]
    [TestCase("lora")]
    [TestCase("some")]
    [TestCase("ssf")]
    [TestCase("none")]
    public void TheBackboneTakesOver(string name)
    {
        foreach (var spec in new[] { TinySpecs.Vit(name), TinySpecs.Vit(name, "mean"), TinySpecs.Swin(name, image: 16) })
            Holds(spec);
    }

    [TestCase("tune: bias\n")]
    [TestCase("tune: { last: 1 }\n")]
    [TestCase("tune: all\n")]
    [TestCase("")]
    public void WhatTunesTheBackboneItselfIsItAlready(string tune) => Holds(TinySpecs.Vit("", more: tune));

    /// <summary>An operator of its own kind in each layer.</summary>
    [Test]
    public void LayersMergeEachInTheirWay()
    {
        var spec = TinySpecs.Vit("affine, some", depth: 2);
        var networks = Networks.Build(spec, new PolicyDocument("Tiny", SpecHash.Of(spec), EquatableArray.Of("some", "affine")));
        Identity.Holds(networks.Model!, networks.Backbone, Merging.Of(networks.Model!, networks.Backbone));
    }

    [TestCase("prefix", "prompts.")]
    [TestCase("concat", "operators.concat.")]
    [TestCase("cross", "operators.cross.")]
    [TestCase("adapter", "operators.adapter.")]
    [TestCase("vapt", "operators.vapt.")]
    [TestCase("e2vpt", "operators.e2vpt.")]
    public void WhatRemainsIsNamed(string name, string parameter)
    {
        var networks = Networks.Build(TinySpecs.Vit(name), null);
        var merging = Merging.Of(networks.Supernet!, networks.Backbone);
        Assert.That(merging.Weights, Is.Empty);
        Assert.That(merging.Remains.Select(part => part.Scope), Does.Contain("blocks.0").And.Contain("blocks.1"));
        Assert.That(merging.Remains.Select(part => part.Parameter), Has.Some.StartWith(parameter));
    }

    /// <summary>Rows of zeros that complete a window get the shift as well, so a norm before them cannot take it over; low-rank products merge all the same.</summary>
    [TestCase("add", false)]
    [TestCase("ssf", false)]
    [TestCase("some", true)]
    public void PaddedWindowsBlockIt(string name, bool merges)
    {
        var networks = Networks.Build(TinySpecs.Swin(name), null);
        Assert.That(Merging.Of(networks.Supernet!, networks.Backbone).Remains.Count == 0, Is.EqualTo(merges));
    }

    /// <summary>One layer that does not merge is told, and only that.</summary>
    [Test]
    public void OnlyWhatRemainsIsNamed()
    {
        var spec = TinySpecs.Vit("affine, prefix", depth: 3);
        var networks = Networks.Build(spec, new PolicyDocument("Tiny", SpecHash.Of(spec), EquatableArray.Of("affine", "prefix", "affine")));
        Assert.That(Merging.Of(networks.Model!, networks.Backbone).Remains, Is.EqualTo([("blocks.1", "prompts.1")]));
    }

    private static void Holds(SpecDocument spec)
    {
        var networks = Networks.Build(spec, null);
        var network = networks.Supernet ?? networks.Backbone;
        var merging = Merging.Of(network, networks.Backbone);
        Assert.That(merging.Remains, Is.Empty);
        Assert.That(merging.Weights.Keys.Select(parameter => parameter.Name), Is.EquivalentTo(networks.Backbone.Parameters.Select(parameter => parameter.Name)));
        Identity.Holds(network, networks.Backbone, merging);
    }
}
