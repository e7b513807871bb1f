using System.Text.Json.Nodes;
using FusionGen.Checkpoints;
using FusionGen.Runtime.Tests.Search;
using FusionGen.Runtime.Tests.Weights;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Runtime.Tests.Checkpoints;

[TestFixture]
internal sealed class AdapterTests
{
    private static readonly string[] Policy = ["add", "add", "mix"];

    [Test]
    public void Holds_the_tuned_tensors_and_the_head_and_nothing_else()
    {
        using var folder = new TemporaryFolder();
        using var model = Trained();
        Adapter.Save(folder.Path, model, "abc", ["x", "y", "z"]);
        using var file = SafeTensors.Open(folder[Adapter.ModelFile]);
        Assert.That(file.Entries.Select(entry => entry.Name), Is.EquivalentTo(model.Specs.Where(spec => spec.IsTuned).Select(spec => spec.Name)));

        using var other = new ToyModel(Policy);
        other.Initialize(2);
        var backbone = other["backbone.weight"].detach().bytes.ToArray();
        var (config, notes) = Adapter.Load(folder.Path, other, "abc");
        foreach (var spec in model.Specs.Where(spec => spec.IsTuned))
            Assert.That(other[spec.Name].detach().bytes.ToArray(), Is.EqualTo(model[spec.Name].detach().bytes.ToArray()), spec.Name);
        Assert.That(other["backbone.weight"].detach().bytes.ToArray(), Is.EqualTo(backbone));
        Assert.That(config.Classes, Is.EqualTo(new[] { "x", "y", "z" }));
        Assert.That(config.Policy, Is.EqualTo(Policy));
        Assert.That((config.TunedParameters, config.HeadParameters), Is.EqualTo((28L, 15L)));
        Assert.That(notes, Is.Empty);
        Assert.That(File.ReadAllText(folder[Adapter.CardFile]), Does.StartWith("---\nlibrary_name: fusiongen\n")
            .And.Contain("| tuned parameters | 28, and 15 of the head").And.Contain("add in 0, 1; mix in 2").And.Contain("x, y, z").And.Contain("`abc`"));
    }

    [Test]
    public void Loading_is_total_and_all_or_nothing()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var model = Trained();
        Adapter.Save(folder.Path, model, "abc", []);
        SafeTensors.Write(folder[Adapter.ModelFile], SafeTensorsTests.Pairs(
            ("prompts.0", ones(4)), ("prompts.1", ones(5)), ("operators.scale", ones(4)), ("operators.mix", ones(4, 4).to(ScalarType.Int32)),
            ("head.weight", ones(3, 4)), ("operators.unknown", ones(1)), ("backbone.weight", ones(4, 12))));
        using var other = new ToyModel(Policy);
        var error = Assert.Throws<FusionException>(() => Adapter.Load(folder.Path, other, "abc"));
        Assert.That(error.Code, Is.EqualTo(ExitCode.Data));
        Assert.That(error.Message, Does.Contain("missing: head.bias (3)")
            .And.Contain("other shape: prompts.1 is (5), the model wants (4)")
            .And.Contain("other type: operators.mix is I32")
            .And.Contain("not tuned by the model: 'operators.unknown'")
            .And.Contain("not tuned by the model: 'backbone.weight'"));
        Assert.That(other["prompts.0"].detach().data<double>().ToArray(), Is.All.Zero);
    }

    [Test]
    public void An_adapter_of_another_policy_or_backbone_is_refused()
    {
        using var folder = new TemporaryFolder();
        using var model = Trained();
        Adapter.Save(folder.Path, model, "abcdef", []);
        using var other = new ToyModel(["add", "add", "scale"]);
        Assert.That(() => Adapter.Load(folder.Path, other, "abcdef"), Throws.TypeOf<FusionException>().With.Message.Contains("under the policy [add, add, mix]"));
        Assert.That(() => Adapter.Load(folder.Path, model, ""), Throws.TypeOf<FusionException>().With.Message.Contains("other backbone weights (abcdef, here initialised"));
    }

    [Test]
    public void A_changed_spec_is_worth_a_note_and_a_damaged_description_an_error()
    {
        using var folder = new TemporaryFolder();
        using var model = Trained();
        Adapter.Save(folder.Path, model, "abc", []);
        var config = JsonNode.Parse(File.ReadAllText(folder[Adapter.ConfigFile]))!;
        config["spec_hash"] = "older";
        File.WriteAllText(folder[Adapter.ConfigFile], config.ToJsonString());
        Assert.That(Adapter.Load(folder.Path, model, "abc").Notes, Has.Exactly(1).Contains("another version of the spec"));
        foreach (var damaged in new[] { "", "null", "{}", "{\"policy\":3}" })
        {
            File.WriteAllText(folder[Adapter.ConfigFile], damaged);
            Assert.That(() => Adapter.Load(folder.Path, model, "abc"), Throws.TypeOf<FusionException>().With.Message.Contains(Adapter.ConfigFile), damaged);
        }
    }

    private static ToyModel Trained()
    {
        var model = new ToyModel(Policy);
        model.Initialize(1);
        return model;
    }
}
