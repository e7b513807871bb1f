using FusionGen.Cli.Compilation;
using FusionGen.Compiler;
using FusionGen.Compiler.Spec;
using FusionGen.Static;
using static TorchSharp.torch;

namespace FusionGen.EndToEnd.Tests;

/// <summary>
/// A supernet at a vertex of its mixture is the discretised model, to the bit. Static programs are so too wherever the passes do the same to both; where operators
/// of several sites compete, the model's graph allows rewrites that the supernet's does not, and what is rewritten is rounded differently.
/// </summary>
public sealed class VertexTests
{
    private static IEnumerable<TestCaseData> Cases()
    {
        // Every kind alone with shared weights; every kind in company with weights of its own; the other pooling; the other family.
        // E²VPT is left out at first, so that the static programs are the same too.
        SpecDocument Projected(bool share) => Specs.Without(Specs.Tiny(share: share), "e2vpt");
        var kinds = Projected(share: true).Operators.Count;
        for (var kind = 0; kind < kinds; kind++)
        {
            yield return Case("shared", Projected(share: true), kind, step: 0);
            yield return Case("unshared", Projected(share: false), kind, step: 1);
        }
        yield return Case("keys and values", Specs.Tiny(), 6, step: 0);
        yield return Case("keys and values", Specs.Tiny(), 5, step: 1);
        yield return Case("mean", Specs.Tiny(pool: Pooling.Mean), 3, step: 1);
        var sites = Specs.Sites(Specs.Tiny());
        for (var kind = 0; kind < sites.Operators.Count; kind++)
            yield return Case("sites", sites, kind, step: 0);
        yield return Case("sites", sites, 2, step: 2);
        yield return Case("sites, swin", Specs.Sites(Specs.TinySwin()), 2, step: 1);
        yield return Case("mean", Specs.Tiny(pool: Pooling.Mean), 6, step: 1);
        yield return Case("swin", Specs.TinySwin(), 1, step: 1);
        yield return Case("swin", Specs.TinySwin(), 5, step: 1);
        yield return Case("swin", Specs.TinySwin(), 6, step: 0);
    }

    private static TestCaseData Case(string name, SpecDocument spec, int first, int step)
    {
        var choices = Enumerable.Range(0, spec.Layers.Count).Select(layer => (first + (step * layer)) % spec.Operators.Count).ToArray();
        return new TestCaseData(spec, choices).SetName($"{name}: {string.Join(", ", choices.Select(choice => spec.Operators[choice].Name))}");
    }

    [TestCaseSource(nameof(Cases))]
    public void Supernet_at_a_vertex_is_the_model(SpecDocument spec, int[] choices) => Compare(spec, choices, ArePassesOthers(spec));

    /// <summary>Whatever the sizes, operators, options and layers.</summary>
    [Test]
    public void So_it_is_of_a_drawn_spec([Range(0, 19)] int seed)
    {
        // While the search mixes a part of the channels, a vertex is not the model.
        var spec = RandomSpecs.DrawSupernet(seed) with { Budget = new(), Search = new() };
        Compare(spec, [.. spec.Layers.Select((layer, i) => (seed + (i * i)) % Math.Max(1, layer.Candidates.Count))], passesAreOthers: true);
    }

    private static void Compare(SpecDocument spec, int[] choices, bool passesAreOthers)
    {
        var names = choices.Select((choice, layer) => spec.Layers[layer].Candidates.Count == 0 ? "" : spec.Layers[layer].Candidates[choice]).ToEquatableArray();
        var compiled = CompiledSpec.Compile(spec, new PolicyDocument(spec.Model, SpecHash.Of(spec), names));
        using var supernet = compiled.CreateSupernet();
        using var model = compiled.CreateModel();
        Randomize(supernet);
        model.CopyFrom(supernet);
        using var guard = no_grad();
        using var images = Images(spec);
        using var vertex = supernet.Vertex(choices);
        foreach (var engine in Enum.GetValues<Engine>())
        {
            (supernet.Engine, model.Engine) = (engine, engine);
            using var expected = model.forward(images);
            using var actual = supernet.Forward(images, vertex);
            var (found, wanted) = (actual.data<float>().ToArray(), expected.data<float>().ToArray());
            if (engine == Engine.Eager || !passesAreOthers)
                Assert.That(found, Is.EqualTo(wanted), engine.ToString());
            else
                Assert.That(found.Zip(wanted).Max(pair => Math.Abs(pair.First - pair.Second)), Is.LessThan(1e-5 * wanted.Max(Math.Abs)), engine.ToString());
            Assert.That(expected.isfinite().all().item<bool>(), Is.True);
        }
    }

    /// <summary>
    /// Whether the static program of a model may be associated otherwise than its supernet's: LoRA's, or where one row asks and a candidate has keys and values of its own, so that the supernet keeps
    /// those of the tokens, which models without that candidate absorb (S4).
    /// </summary>
    private static bool ArePassesOthers(SpecDocument spec) =>
        spec.Operators.Any(one => one.Kind == "lora" || (one.Kind == "e2vpt" && spec.Backbone is { Family: "vit", Pool: Pooling.Cls }));

    [Test]
    public void Prefix_fades_to_nothing_and_grows_to_vpt()
    {
        var spec = Specs.Tiny() with
        {
            Layers = Enumerable.Repeat(new LayerSpec(EquatableArray.Of("none", "prefix")), 3).ToEquatableArray(),
        };
        var compiled = CompiledSpec.Compile(spec, null);
        using var supernet = compiled.CreateSupernet(dtype: ScalarType.Float64);
        Randomize(supernet);
        using var guard = no_grad();
        using var images = Images(spec).to(ScalarType.Float64);
        using var none = supernet.Forward(images, supernet.Table, supernet.Vertex([0, 0, 0]));
        foreach (var layer in Enumerable.Range(0, 3))
            supernet[$"architecture.{layer}"].copy_(tensor(new[] { 30.0, 0.0 }));
        using var faded = supernet.forward(images);
        Assert.That((faded - none).abs().max().item<double>(), Is.LessThan(1e-9));
        foreach (var layer in Enumerable.Range(0, 3))
            supernet[$"architecture.{layer}"].copy_(tensor(new[] { 0.0, 0.0 }));
        using var half = supernet.forward(images);
        Assert.That((half - none).abs().max().item<double>(), Is.GreaterThan(1e-3));
    }

    internal static Tensor Images(SpecDocument spec, int batch = 3)
    {
        var random = SplitMix.For(7, "images");
        var side = spec.Backbone.Image;
        return tensor(Enumerable.Range(0, batch * 3 * side * side).Select(_ => (float)random.NextGaussian()).ToArray(), [batch, 3, side, side]);
    }

    /// <summary>Random values everywhere, zero-initialised weights included, so that no operator is accidentally the identity.</summary>
    internal static void Randomize(FusionNetwork network)
    {
        using var guard = no_grad();
        foreach (var (spec, parameter) in network.Specs.Zip(network.Table))
        {
            var random = SplitMix.For(11, spec.Name);
            var norm = spec.Name.Contains("norm", StringComparison.Ordinal) && spec.Name.EndsWith("weight", StringComparison.Ordinal);
            var values = Enumerable.Range(0, (int)spec.Count).Select(_ => (float)((random.NextGaussian() * 0.3) + (norm ? 1 : 0))).ToArray();
            parameter.copy_(tensor(values, [.. spec.Shape]));
        }
    }
}
