using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Tests.Spec;

/// <summary>Published protocols as METHOD §3.2 and §4 state them.</summary>
internal sealed class RecipeTests
{
    [TestCase("vpt-vtab", OptimizerKind.Sgd, 100, 10, 128, 256, "vpt-vtab", "imagenet", Keep.Last, true, 40, 5)]
    [TestCase("vpt-fgvc", OptimizerKind.Sgd, 100, 10, 128, 256, "vpt-fgvc", "imagenet", Keep.Last, false, 36, 5)]
    [TestCase("vpt-linear", OptimizerKind.Sgd, 100, 10, 1024, 256, "vpt-vtab", "imagenet", Keep.Last, true, 40, 5)]
    [TestCase("vpt-full", OptimizerKind.VptAdamW, 100, 5, 384, 256, "vpt-vtab", "imagenet", Keep.Last, true, 16, 5)]
    [TestCase("vapt-vtab", OptimizerKind.Sgd, 100, 10, 64, 256, "vpt-vtab", "imagenet", Keep.Last, true, 40, 5)]
    [TestCase("vapt-fgvc", OptimizerKind.Sgd, 100, 10, 64, 256, "vpt-fgvc", "imagenet", Keep.Last, false, 36, 5)]
    [TestCase("e2vpt-vtab", OptimizerKind.Sgd, 100, 10, 128, 256, "vpt-vtab", "imagenet", Keep.Last, true, 40, 5)]
    [TestCase("pfd", OptimizerKind.AdamW, 10, 0, 64, 0, "pfd", "imagenet", Keep.Best, false, 0, 3)]
    [TestCase("sa2vp-vtab", OptimizerKind.AdamW, 100, 10, 64, 0, "squash", "half", Keep.Last, true, 0, 1)]
    [TestCase("sa2vp-hta", OptimizerKind.AdamW, 100, 10, 64, 0, "vpt-fgvc", "half", Keep.Last, false, 0, 1)]
    [TestCase("noah-vtab", OptimizerKind.AdamW, 100, 0, 64, 0, "squash", "imagenet", Keep.Last, true, 0, 1)]
    public void A_recipe_settles_every_value(
        string name, OptimizerKind optimizer, int epochs, int warmup, int batch, int baseBatch, string preprocessing, string normalization, Keep keep, bool retrain, int points, int seeds)
    {
        var train = Read($"train: {{ recipe: {name} }}");
        Assert.Multiple(() =>
        {
            Assert.That((train.Optimizer.Kind, train.Epochs, train.Warmup, train.Batch, train.BaseBatch), Is.EqualTo((optimizer, epochs, warmup, batch, baseBatch)));
            Assert.That((train.Preprocessing, train.Normalization, train.Keep, train.Retrain), Is.EqualTo((preprocessing, normalization, keep, retrain)));
            Assert.That((train.Grid.Lr.Count * train.Grid.WeightDecay.Count, train.Seeds.Count), Is.EqualTo((points, seeds)));
            Assert.That(RecipeCatalogue.Protocol(train), Is.EqualTo(name));
        });
    }

    [Test]
    public void Every_recipe_is_tested_and_names_itself()
    {
        var tested = typeof(RecipeTests).GetMethod(nameof(this.A_recipe_settles_every_value))!.GetCustomAttributes(typeof(TestCaseAttribute), false).Cast<TestCaseAttribute>().Select(test => (string)test.Arguments[0]!);
        Assert.That(RecipeCatalogue.All.Select(recipe => recipe.Name), Is.EquivalentTo(tested));
        Assert.That(RecipeCatalogue.All.Select(recipe => recipe.Train.Recipe), Is.EqualTo(RecipeCatalogue.All.Select(recipe => recipe.Name)));
    }

    [Test]
    public void Vpts_grid_and_seeds_are_the_published_ones()
    {
        var train = Read("train: { recipe: vpt-vtab }");
        Assert.That(train.Grid.Lr, Is.EqualTo(new[] { 50, 25, 10, 5, 2.5, 1, 0.5, 0.25, 0.1, 0.05 }));
        Assert.That(train.Grid.WeightDecay, Is.EqualTo(new[] { 0.01, 0.001, 0.0001, 0 }));
        Assert.That(train.Seeds, Is.EqualTo(new double[] { 42, 44, 82, 100, 800 }));
        Assert.That(Read("train: { recipe: vpt-full }").Grid.Lr, Is.EqualTo(new[] { 1e-3, 5e-4, 1e-4, 5e-3 }));
    }

    [Test]
    public void An_override_keeps_the_rest_of_the_recipe_and_shows()
    {
        var train = Read("train: { optimizer: { lr: 25 }, recipe: vpt-vtab, batch: 64 }");
        Assert.That((train.Optimizer.Kind, train.Optimizer.LearningRate, train.Optimizer.WeightDecay, train.Batch, train.Warmup), Is.EqualTo((OptimizerKind.Sgd, 25.0, 0.001, 64, 10)));
        Assert.That(RecipeCatalogue.Overridden(train).Select(change => (change.Key, change.Published)), Is.EqualTo(new[]
        {
            ("batch", "128"), ("optimizer", """{"kind":"sgd","lr":5,"weight-decay":0.001,"momentum":0.9,"betas":[0.9,0.999]}"""),
        }));
        Assert.That(RecipeCatalogue.Protocol(train), Does.StartWith("vpt-vtab but batch 64, optimizer "));
        Assert.That(RecipeCatalogue.Protocol(Read("train: { epochs: 3 }")), Is.EqualTo("own but epochs 3"));
    }

    [Test]
    public void A_recipe_changes_no_hash_and_reaches_the_plan()
    {
        var plain = Samples.Sprites;
        var recipe = SpecOverrides.Apply(plain, "train={ recipe: vpt-full }").Text;
        var (a, b) = (SpecReader.Read(plain).Document!, SpecReader.Read(recipe).Document!);
        Assert.That(SpecHash.Of(b), Is.EqualTo(SpecHash.Of(a)));
        var plan = FusionCompiler.Compile(b, null).Files.Single(file => file.Text.Contains("class SpritesPlan", StringComparison.Ordinal)).Text;
        Assert.That(plan, Does.Contain("OptimizerKind.VptAdamW").And.Contain("BaseBatch = 256,").And.Contain("Keep = Keep.Last,").And.Contain("Recipe = \"vpt-full\","));
    }

    [Test]
    public void An_unknown_recipe_is_one_problem_with_the_nearest_name()
    {
        var problems = SpecReader.Read(Text("train: { recipe: vpt-vtap }")).Problems;
        Assert.That(problems.Select(problem => problem.Kind.Id), Is.EqualTo(new[] { "FG1005" }));
        Assert.That(problems[0].Message, Does.Contain("Did you mean 'vpt-vtab'?"));
    }

    private static TrainSettings Read(string train)
    {
        var result = SpecReader.Read(Text(train));
        Assert.That(result.Problems.Select(problem => problem.Message), Is.Empty);
        return result.Document!.Train;
    }

    private static string Text(string train) => $"fusiongen: 1\nmodel: Tiny\nnamespace: A\nbackbone: {{ family: vit, image: 32, patch: 8, width: 48, depth: 4, heads: 4 }}\nclasses: 7\n{train}\n";
}
