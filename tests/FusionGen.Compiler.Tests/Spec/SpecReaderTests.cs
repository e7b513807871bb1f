using FusionGen.Compiler.Backbones;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Tests.Spec;

internal sealed class SpecReaderTests
{
    [Test]
    public void Every_key_reaches_the_document()
    {
        var spec = Read(Samples.Sprites);
        Assert.Multiple(() =>
        {
            Assert.That((spec.Model, spec.Namespace, spec.Doc, spec.Data, spec.Classes), Is.EqualTo(("Sprites", "FusionGen.Demo", "Where is the sprite?", "sprites:location", 16)));
            Assert.That((spec.Head, spec.Tune), Is.EqualTo((HeadInit.Zero, new TuneSpec(TuneScope.Prompts))));
            Assert.That(spec.Backbone, Is.EqualTo(new BackboneSpec
            {
                Family = "vit", Image = 64, Patch = 8, Width = 192, Depth = 12, Heads = 3, Mlp = 768, Pool = Pooling.Cls, Weights = "weights/small.safetensors",
            }));
            Assert.That(spec.Prompts, Is.EqualTo(new PromptSpec { Tokens = 10, Init = PromptInit.Normal, Scale = 0.02 }));
            Assert.That(spec.Operators.Select(o => (o.Name, o.Kind)), Is.EqualTo(new[] { ("add", "add"), ("affine", "affine"), ("concat", "concat"), ("cross", "cross-attention") }));
            Assert.That(spec.Operator("add").Number("cost"), Is.EqualTo(0.5));
            Assert.That(spec.Operator("affine").Integer("reduction"), Is.EqualTo(4));
            Assert.That(spec.Operator("cross").Number("heads"), Is.NaN);
            Assert.That((spec.Operator("affine").Flag("share"), spec.Operator("cross").Flag("share")), Is.EqualTo((true, false)));
            Assert.That(spec.Layers.Select(l => l.Candidates.Count), Is.EqualTo(Enumerable.Repeat(4, 10).Append(0).Append(0)));
            Assert.That(spec.Search, Is.EqualTo(new SearchSettings
            {
                Order = SearchOrder.SecondFd, Relaxation = Relaxation.Gdas, Epochs = 90, Warmup = 10, Stop = 3, Batch = 32, Every = ArchitectureEvery.ValidationBatch, Split = 0.2,
                TemperatureFrom = 5, TemperatureTo = 0.001, Discretise = Discretisation.Perturbation, PerturbLayers = 2, PerturbEpochs = 3, AlarmShare = 0.8, AlarmEntropy = 0.2,
                Optimizer = new() { Beta2 = 0.99 },
                Architecture = new() { Kind = OptimizerKind.Sgd, Momentum = 0.5, BiasMultiplier = 2, LearningRate = 0.05, WeightDecay = 0 },
            }));
            Assert.That(spec.Train, Is.EqualTo(new TrainSettings { Clip = 2.5, Preprocessing = "vpt-vtab", Normalization = "half", Optimizer = new() { Kind = OptimizerKind.Sgd, LearningRate = 0.1 } }));
            Assert.That(spec.Budget, Is.EqualTo(new BudgetSpec { Tuned = 0.0075, Memory = 4L << 30 }));
        });
    }

    [Test]
    public void A_search_preset_is_where_other_keys_start_from_wherever_it_stands()
    {
        SearchSettings Search(string text) => Read($"fusiongen: 1\nmodel: A\nnamespace: A\nbackbone: {{ preset: vit_tiny_patch16_224 }}\nclasses: 2\nsearch: {text}").Search;
        Assert.That(Search("{ preset: pfd }"), Is.EqualTo(SearchSettings.Pfd));
        Assert.That(Search("{ epochs: 30, temperature: { to: 0.5 }, preset: gdas }"), Is.EqualTo(SearchSettings.Gdas with { Epochs = 30, TemperatureTo = 0.5 }));
        Assert.That(Search("{ preset: darts }"), Is.EqualTo(SearchSettings.Darts));
        Assert.That(Search("{ preset: default }"), Is.EqualTo(new SearchSettings()));
    }

    [Test]
    public void A_preset_is_the_network_timm_calls_so()
    {
        var spec = Read(Samples.Preset);
        Assert.That(spec.Backbone, Is.EqualTo(new BackboneSpec
        {
            Family = "vit", Image = 224, Patch = 16, Width = 768, Depth = 12, Heads = 12, Mlp = 3072, Pool = Pooling.Mean,
        }));
        Assert.That(spec.Prompts, Is.EqualTo(new PromptSpec { Init = PromptInit.Uniform, Scale = 0.0625 }));
        Assert.That(spec.Layers[0].Candidates, Is.EqualTo(new[] { "deep" }));
        Assert.That(spec.Layers[11].Candidates, Is.EqualTo(new[] { "deep", "skip" }));
    }

    [Test]
    public void Stages_add_up_to_the_depth_and_layers_may_be_left_out_with_the_operators()
    {
        var spec = Read(Samples.Swin);
        Assert.That((spec.Backbone.Depth, spec.Backbone.Heads, spec.Backbone.Mlp), Is.EqualTo((12, 3, 384)));
        Assert.That(spec.Layers.Select(l => l.Candidates.Count), Is.EqualTo(Enumerable.Repeat(0, 12)));
    }

    [Test]
    public void Every_family_of_the_compiler_can_be_read() =>
        Assert.That(Samples.All.Select(t => Read(t).Backbone.Family).Distinct(), Is.EquivalentTo(BackboneCatalogue.All.Select(b => b.Family)));

    [Test]
    public void Comments_order_and_style_do_not_change_the_document()
    {
        var reordered = string.Join('\n', Samples.Preset.Split('\n').Skip(4).Concat(["# c"]).Concat(Samples.Preset.Split('\n').Take(4)).Select(l => l + "   # x"));
        Assert.That(Read(reordered), Is.EqualTo(Read(Samples.Preset)));
        Assert.That(Read(Samples.Preset.Replace("\n", "\r\n")), Is.EqualTo(Read(Samples.Preset)));
        Assert.That(Read('\uFEFF' + Samples.Preset), Is.EqualTo(Read(Samples.Preset)));
    }

    [Test]
    public void A_comment_moves_positions_and_leaves_problems_equal()
    {
        var broken = Samples.Preset.Replace("classes: 100", "classes: many");
        var (a, b) = (SpecReader.Read(broken), SpecReader.Read("# new\n" + broken));
        Assert.That(a.Problems, Is.EqualTo(b.Problems).And.Count.EqualTo(1));
        Assert.That(a.Shell, Is.EqualTo(b.Shell));
        Assert.That(b.Positions.Find("classes").StartLine, Is.EqualTo(a.Positions.Find("classes").StartLine + 1));
    }

    [TestCaseSource(typeof(Samples), nameof(Samples.All))]
    public void Positions_span_exactly_the_text_of_their_nodes(string text)
    {
        foreach (var (unix, source) in new[] { (true, text), (false, '\uFEFF' + text.Replace("\n", "\r\n")) })
        {
            var positions = SpecReader.Read(source).Positions;
            var lines = source.Split(unix ? "\n" : "\r\n");
            foreach (var (node, range) in positions.Nodes)
            {
                Assert.That(lines[range.StartLine].Substring(range.StartColumn, range.Length), Is.EqualTo(source.Substring(range.Start, range.Length)), node);
                if (node.EndsWith("~key", StringComparison.Ordinal))
                    Assert.That(node[..^4].Split('.')[^1], Is.EqualTo(source.Substring(range.Start, range.Length)));
            }
        }
    }

    [Test]
    public void A_node_that_does_not_exist_is_found_at_its_nearest_ancestor()
    {
        var positions = SpecReader.Read(Samples.Sprites).Positions;
        Assert.That(positions.Find("search.temperature.curve.x[3]"), Is.EqualTo(positions.Find("search.temperature.curve")));
        Assert.That(positions.Find("layers[0].candidates[9]"), Is.EqualTo(positions.Find("layers[0].candidates")));
        Assert.That(positions.Find("nowhere"), Is.EqualTo(positions.Find("")));
        Assert.That(positions.Find("").StartLine, Is.EqualTo(1));
    }

    [Test]
    public void A_broken_spec_still_gives_a_shell()
    {
        var result = SpecReader.Read(Samples.Sprites.Replace("reduction: 4, share: true", "reduction: x"));
        Assert.That(result.Document, Is.Null);
        Assert.That(result.Shell!.Model, Is.EqualTo("Sprites"));
        Assert.That(result.Shell.Layers[0].Candidates, Is.EqualTo(new[] { "add", "affine", "concat", "cross" }));
        Assert.That(result.Problems.Select(p => p.Kind.Id), Is.EqualTo(new[] { "FG1003" }));
    }

    [Test]
    public void No_more_than_25_problems_are_shown_and_the_rest_is_counted()
    {
        var result = SpecReader.Read(Samples.Preset + "\n" + string.Concat(Enumerable.Range(0, 40).Select(i => $"unknown{i}: 1\n")));
        Assert.That(result.Problems, Has.Count.EqualTo(26));
        Assert.That(result.Problems[25].Message, Does.StartWith("15 more problems"));
    }

    private static SpecDocument Read(string text)
    {
        var result = SpecReader.Read(text);
        Assert.That(result.Problems.Select(p => $"{p.Node}: {p.Message}"), Is.Empty);
        return result.Document!;
    }
}
