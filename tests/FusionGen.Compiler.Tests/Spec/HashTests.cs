using System.Reflection;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Tests.Spec;

internal sealed class HashTests
{
    private static readonly SpecDocument Sprites = SpecReader.Read(Samples.Sprites).Document!;

    [Test]
    public void The_hash_ignores_layout_comments_and_key_order()
    {
        var lines = Samples.Preset.Split('\n');
        var reordered = string.Join('\n', lines.Skip(4).Concat(["# c"]).Concat(lines.Take(4)));
        Assert.That(SpecHash.Of(SpecReader.Read(reordered).Document!), Is.EqualTo(SpecHash.Of(SpecReader.Read(Samples.Preset).Document!)));
    }

    [Test]
    public void The_hash_ignores_whether_a_default_is_written_out_and_the_order_of_operators()
    {
        var a = Samples.Sprites.Replace("{ kind: affine, reduction: 4, share: true }", "{ kind: affine }");
        var b = Samples.Sprites.Replace("  add:    { kind: add, cost: 0.5 }\n", "").Replace("layers:\n", "  add: { cost: 0.5, kind: add }\nlayers:\n");
        Assert.That(SpecHash.Of(SpecReader.Read(a).Document!), Is.EqualTo(SpecHash.Of(Sprites)));
        Assert.That(SpecHash.Of(SpecReader.Read(b).Document!), Is.EqualTo(SpecHash.Of(Sprites)));
    }

    [TestCase("width: 192", "width: 96")]
    [TestCase("classes: 16", "classes: 17")]
    [TestCase("tokens: 10", "tokens: 11")]
    [TestCase("normal: 0.02", "uniform: 0.02")]
    [TestCase("normal: 0.02", "normal: 0.03")]
    [TestCase("identity: 10", "identity: 9")]
    [TestCase("top: 4", "top: null")]
    [TestCase("share: false", "share: true")]
    [TestCase("[add, affine, concat, cross]", "[affine, add, concat, cross]")]
    [TestCase("0..9", "1..9")]
    [TestCase("head: zero", "head: vpt")]
    [TestCase("tune: prompts", "tune: all")]
    [TestCase("tune: prompts", "tune: bias")]
    [TestCase("tune: prompts", "tune: { last: 1 }")]
    [TestCase("model: Sprites", "model: Other")]
    public void The_hash_knows_whatever_changes_the_network(string old, string replacement)
    {
        var text = Samples.Sprites.Replace(old, replacement);
        if (old == "0..9")
            text = text.Replace("[10, 11..11]", "[0, 10, 11]");
        Assert.That(SpecHash.Of(SpecReader.Read(text).Document!), Is.Not.EqualTo(SpecHash.Of(Sprites)));
    }

    [TestCase("epochs: 90", "epochs: 91")]
    [TestCase("namespace: FusionGen.Demo", "namespace: Elsewhere")]
    [TestCase("memory: 4GiB", "memory: 5GiB")]
    [TestCase("small.safetensors", "other.safetensors")]
    public void The_hash_ignores_what_changes_no_tensor(string old, string replacement) =>
        Assert.That(SpecHash.Of(SpecReader.Read(Samples.Sprites.Replace(old, replacement)).Document!), Is.EqualTo(SpecHash.Of(Sprites)));

    [Test]
    public void The_hash_is_64_hexadecimal_digits() => Assert.That(SpecHash.Of(Sprites), Does.Match("^[0-9a-f]{64}$"));

    /// <summary>The schema is the one list of keys: a property that no key sets could be neither read, nor described, nor hashed.</summary>
    [Test]
    public void Every_property_of_a_spec_is_set_by_some_key()
    {
        var nothing = SpecReader.Read("fusiongen: 1\nmodel: A\nnamespace: A\nbackbone: { preset: vit_tiny_patch16_224 }\nclasses: 2").Document!;
        var full = SpecReader.Read(Samples.Sprites
            .Replace("operators:\n", "operators:\n  ssf: { kind: ssf }\n  streams: { kind: sa2vp }\n").Replace("layers:\n", "layers:\n  - { at: [embed, norm], candidates: [ssf] }\n  - { at: branch, candidates: [streams] }\n")
            .Replace("{ kind: adamw, lr: 1e-3, weight-decay: 0.01, betas: [0.9, 0.99] }", "{ kind: adam, lr: 2e-3, weight-decay: 0.02, betas: [0.8, 0.99] }")
            .Replace("order: second-fd", "order: second-exact").Replace("every: validation-batch", "every: step").Replace("epochs: 90", "epochs: 80").Replace("warmup: 10", "warmup: 9").Replace("from: 5, to: 0.001, curve: cosine", "from: 4, to: 0.2, curve: linear")
            .Replace("entropy: 0.01", "entropy: 0.1").Replace("cost: 0.05", "cost: 0.1").Replace("clip: 1\n", "clip: 2\n  channels: 2\n").Replace("tune: prompts", "tune: all").Replace("pool: cls", "pool: mean, dropout: 0.1")
            .Replace("tokens: 10, init: { normal: 0.02 }", "tokens: 9, init: { uniform: 0.5 }, project: 3, dropout: 0.1, share-dropout: true").Replace("train: { epochs: 10, warmup: 0, batch: 64, clip: 2.5, continue: true", "train: { recipe: vpt-fgvc, retrain: true, epochs: 11, warmup: 1, batch: 65, clip: 2.5, continue: false"));
        Assert.That(full.Problems, Is.Empty);
        var same = Unchanged(nothing, full.Document!, "").ToList();
        // Those of hierarchical families, and momentum and decay of optimizers, are set in other samples.
        Assert.That(same, Is.SubsetOf(new[] { "Backbone.Family", "Backbone.Depths", "Backbone.StageHeads", "Backbone.Window", "Backbone.Depth", "Backbone.Width", "Backbone.Heads", "Backbone.Mlp",
            "Search.Optimizer.Momentum", "Search.Optimizer.BiasMultiplier", "Search.Architecture.BiasMultiplier", "Train.Optimizer.BiasMultiplier", "Search.Architecture.WeightDecay", "Search.Architecture.Beta1", "Search.Architecture.Beta2", "Search.Architecture.LearningRate",
            "Train.Optimizer.WeightDecay", "Train.Optimizer.Momentum", "Train.Optimizer.Beta1", "Train.Optimizer.Beta2" }));
    }

    private static IEnumerable<string> Unchanged(object a, object b, string path)
    {
        foreach (var property in a.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(p => p.GetIndexParameters().Length == 0))
        {
            var (x, y) = (property.GetValue(a)!, property.GetValue(b)!);
            if (property.PropertyType is { IsClass: true, Namespace: "FusionGen.Compiler.Spec" or "FusionGen" })
            {
                foreach (var below in Unchanged(x, y, $"{path}{property.Name}."))
                    yield return below;
            }
            else if (Equals(x, y))
            {
                yield return path + property.Name;
            }
        }
    }
}
