using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Tests.Spec;

internal sealed class OverrideTests
{
    [Test]
    public void A_value_is_replaced_and_the_rest_of_the_text_stays_as_it_is()
    {
        var result = SpecOverrides.Apply(Samples.Sprites, "search.epochs=30");
        Assert.That(result.Problems, Is.Empty);
        Assert.That(result.Text, Is.EqualTo(Samples.Sprites.Replace("epochs: 90", "epochs: 30")));
    }

    [TestCase("backbone.width=96", "width: 192", "width: 96")]
    [TestCase("search.temperature.from = 2.5", "from: 5", "from: 2.5")]
    [TestCase("layers[1].candidates=[cross]", "candidates: []", "candidates: [cross]")]
    [TestCase("operators.add={ kind: none }", "{ kind: add, cost: 0.5 }", "{ kind: none }")]
    [TestCase("train.optimizer.momentum=0.5", "{ kind: sgd, lr: 0.1 }", "{ momentum: 0.5, kind: sgd, lr: 0.1 }")]
    [TestCase("search.temperature={ from: 1, to: 1 }", "{ from: 5, to: 0.001, curve: cosine }", "{ from: 1, to: 1 }")]
    public void Paths_reach_into_maps_and_lists_of_either_style(string assignment, string old, string replacement)
    {
        var result = SpecOverrides.Apply(Samples.Sprites, assignment);
        Assert.That(result.Problems.Select(p => p.Message), Is.Empty);
        Assert.That(SpecReader.Read(result.Text).Document, Is.EqualTo(SpecReader.Read(Samples.Sprites.Replace(old, replacement)).Document));
    }

    [Test]
    public void Keys_that_are_not_there_yet_are_added_with_the_maps_around_them()
    {
        var text = Samples.Preset;
        foreach (var assignment in new[] { "search.temperature.to=0.1", "search.epochs=40", "prompts.tokens=7", "budget.tuned=1%", "layers[1].candidates=[skip]", "operators.deep.cost=3" })
        {
            var result = SpecOverrides.Apply(text, assignment);
            Assert.That(result.Problems.Select(p => p.Message), Is.Empty, assignment);
            text = result.Text;
        }

        var spec = SpecReader.Read(text).Document!;
        Assert.That((spec.Search.TemperatureTo, spec.Search.Epochs, spec.Prompts.Tokens, spec.Budget.Tuned), Is.EqualTo((0.1, 40, 7, 0.01)));
        Assert.That(spec.Layers[5].Candidates, Is.EqualTo(new[] { "skip" }));
        Assert.That(spec.Operator("deep").Number("cost"), Is.EqualTo(3));
    }

    [TestCase("search.epohcs=3", "FG1001", "Did you mean 'epochs'?")]
    [TestCase("serach.epochs=3", "FG1001", "Did you mean 'search'?")]
    [TestCase("search.temprature.to=3", "FG1001", "Did you mean 'temperature'?")]
    [TestCase("search.epochs=many", "FG1003", "a whole number")]
    [TestCase("search.epochs=0", "FG1004", "from 1")]
    [TestCase("search.epochs.x=0", "FG1011", "'search.epochs.x' does not exist")]
    [TestCase("layers[7].at=0", "FG1011", "'layers[7].at' does not exist")]
    [TestCase("search.epochs", "FG1011", "key.key=value")]
    [TestCase("=3", "FG1011", "key.key=value")]
    [TestCase("search.epochs=", "FG1011", "key.key=value")]
    [TestCase("layers[0].candidates=[ad]", "FG3004", "Did you mean 'add'?")]
    [TestCase("doc=[", "FG0001", "not closed")]
    public void A_wrong_override_is_a_problem_and_leaves_the_text_alone(string assignment, string id, string message)
    {
        var result = SpecOverrides.Apply(Samples.Sprites, assignment);
        Assert.That(result.Text, Is.EqualTo(Samples.Sprites));
        Assert.That(result.Problems.Select(p => p.Kind.Id), Does.Contain(id));
        Assert.That(string.Join('\n', result.Problems.Select(p => p.Message)), Does.Contain(message));
    }
}
