using FusionGen.Runtime.Tests.Search;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Runtime.Tests.Weights;

[TestFixture]
internal sealed class BackboneWeightsTests
{
    [TestCase(ScalarType.Float32)]
    [TestCase(ScalarType.Float16)]
    [TestCase(ScalarType.BFloat16)]
    [TestCase(ScalarType.Float64)]
    public void Loads_what_is_frozen_in_any_floating_type(ScalarType type)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var network = new ToySupernet();
        var weight = (arange(48).reshape(4, 12) / 8).to(type);
        SafeTensors.Write(folder["w"], SafeTensorsTests.Pairs(("backbone.weight", weight)));
        var loaded = BackboneWeights.Load(network, folder["w"]);
        Assert.That(network["backbone.weight"].detach().data<double>().ToArray(), Is.EqualTo(weight.to(ScalarType.Float64).data<double>().ToArray()));
        Assert.That(loaded.Digest, Has.Length.EqualTo(64));
        Assert.That(loaded.Notes, Is.Empty);
    }

    [Test]
    public void A_head_that_fits_is_taken_and_one_that_does_not_is_dropped_with_a_note()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var network = new ToySupernet();
        network.Initialize(1);
        SafeTensors.Write(folder["other"], SafeTensorsTests.Pairs(("backbone.weight", ones(4, 12)), ("head.weight", ones(7, 4)), ("head.bias", ones(7))));
        SafeTensors.Write(folder["fits"], SafeTensorsTests.Pairs(("backbone.weight", ones(4, 12)), ("head.weight", ones(3, 4)), ("head.bias", ones(3))));
        var before = network["head.weight"].detach().clone();
        var dropped = BackboneWeights.Load(network, folder["other"]);
        Assert.That(dropped.Notes, Has.Exactly(1).Contains("dropped"));
        Assert.That(network["head.weight"].detach().bytes.SequenceEqual(before.bytes), Is.True);
        var taken = BackboneWeights.Load(network, folder["fits"]);
        Assert.That(taken.Notes, Has.Exactly(1).Contains("taken over"));
        Assert.That(network["head.weight"].detach().data<double>().ToArray(), Is.All.EqualTo(1));
        Assert.That(taken.Digest, Is.EqualTo(dropped.Digest), "the head is no part of the backbone");
    }

    [Test]
    public void Everything_wrong_is_listed_and_nothing_is_loaded()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var network = new ToySupernet();
        SafeTensors.Write(folder["w"], SafeTensorsTests.Pairs(("backbone.weight", ones(4, 13)), ("blocks.0.extra", ones(1)), ("prompts.0", ones(4))));
        var error = Assert.Throws<FusionException>(() => BackboneWeights.Load(network, folder["w"]));
        Assert.That(error.Code, Is.EqualTo(ExitCode.Data));
        Assert.That(error.Message, Does.Contain("other shape: backbone.weight is (4, 13), Toy wants (4, 12)")
            .And.Contain("not of this backbone: 'blocks.0.extra' (1)").And.Contain("not of this backbone: 'prompts.0'"));
        SafeTensors.Write(folder["w"], SafeTensorsTests.Pairs(("something", ones(1))));
        error = Assert.Throws<FusionException>(() => BackboneWeights.Load(network, folder["w"]));
        Assert.That(error.Message, Does.Contain("missing: backbone.weight (4, 12)"));
        Assert.That(network["backbone.weight"].detach().data<double>().ToArray(), Is.All.Zero);
    }

    [Test]
    public void Integers_are_no_weights()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var network = new ToySupernet();
        SafeTensors.Write(folder["w"], SafeTensorsTests.Pairs(("backbone.weight", ones(4, 12).to(ScalarType.Int64))));
        Assert.That(() => BackboneWeights.Load(network, folder["w"]), Throws.TypeOf<FusionException>().With.Message.Contains("must be floating point"));
    }

    [TestCase(double.NaN)]
    [TestCase(double.PositiveInfinity)]
    [TestCase(1e300)]
    public void Numbers_that_are_not_finite_in_float32_are_no_weights(double value)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var network = new ToySupernet();
        SafeTensors.Write(folder["w"], SafeTensorsTests.Pairs(("backbone.weight", full([4, 12], value, ScalarType.Float64))));
        Assert.That(() => BackboneWeights.Load(network, folder["w"]), Throws.TypeOf<FusionException>().With.Message.Contains("backbone.weight holds numbers that are infinite or none"));
    }
}
