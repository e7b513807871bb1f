using System.Text.RegularExpressions;
using FusionGen.Weights;

namespace FusionGen.Runtime.Tests.Weights;

[TestFixture]
internal sealed class PublishedLayoutsTests
{
    private static readonly string[] Files = [.. PublishedLayouts.Files.Keys];
    private static readonly Lazy<(IReadOnlyList<Named> Tensors, string Digest)> Base = new(() => PublishedLayouts.Base.Random() is var tensors ? (tensors, DigestOf(tensors)) : default);

    [TestCaseSource(nameof(Files))]
    public void Every_layout_loads_to_the_same_parameters(string name)
    {
        using var folder = new TemporaryFolder();
        var (vit, tensors) = (PublishedLayouts.Small, PublishedLayouts.Small.Random());
        PublishedLayouts.Files[name].Write(folder[name], vit, tensors);
        using var network = new BareBackbone(vit.Specs());
        var loaded = BackboneWeights.Load(network, folder[name]);
        foreach (var tensor in tensors)
            Assert.That(network.Values(tensor.Name), Is.EqualTo(tensor.Values), tensor.Name);
        Assert.That(loaded.Digest, Is.EqualTo(DigestOf(tensors)));
        using var file = WeightFile.Open(folder[name]);
        Assert.That(WeightLayout.Of(file).Name, Is.EqualTo(PublishedLayouts.Files[name].Layout));
        var rest = file.Entries.Where(entry => tensors.All(tensor => tensor.Name != entry.Name) && WeightLayout.Of(file).Drops(entry.Name) is not null).ToList();
        Assert.That(rest.Where(entry => !loaded.Notes.Any(note => note.Contains($"'{entry.Name}'", StringComparison.Ordinal))), Is.Empty, "whatever is dropped is told");
    }

    [TestCaseSource(nameof(Files))]
    public void A_vit_b_16_loads_to_the_same_digest_from_every_layout(string name)
    {
        using var folder = new TemporaryFolder();
        PublishedLayouts.Files[name].Write(folder[name], PublishedLayouts.Base, Base.Value.Tensors);
        using var network = new BareBackbone(PublishedLayouts.Base.Specs());
        Assert.That(network.Specs.Sum(spec => spec.Count), Is.EqualTo(85_798_656));
        Assert.That(BackboneWeights.Load(network, folder[name]).Digest, Is.EqualTo(Base.Value.Digest));
    }

    [TestCaseSource(nameof(Files))]
    public void One_tensor_missing_extra_or_misshapen_is_refused_by_name(string name)
    {
        using var folder = new TemporaryFolder();
        var (vit, published) = (PublishedLayouts.Small, PublishedLayouts.Files[name]);
        using var network = new BareBackbone(vit.Specs());
        var tensors = published.Tensors(vit, vit.Random());
        published.Save(folder["whole"], tensors);
        using var whole = WeightFile.Open(folder["whole"]);
        var layout = WeightLayout.Of(whole);
        var backbone = tensors.Where(tensor => layout.Drops(tensor.Name) is null).ToList();
        Assert.That(backbone, Has.Count.GreaterThanOrEqualTo(22));
        foreach (var tensor in backbone)
        {
            var others = tensors.Where(other => other.Name != tensor.Name).ToList();
            Refused(others, $"missing: [^\n]*{Regex.Escape(tensor.Name)}");
            Refused([.. others, Named.Of(tensor.Name, [.. tensor.Shape[..^1], tensor.Shape[^1] + 1])], $"other shape: [^\n]*{Regex.Escape(tensor.Name)}");
            Refused([.. others, Named.Of(tensor.Name, [.. tensor.Shape, 1, 1])], $"other shape: [^\n]*{Regex.Escape(tensor.Name)}");
            Refused([.. tensors, tensor with { Name = tensor.Name + "_2" }], $"not of this backbone: '{Regex.Escape(tensor.Name)}_2'");
        }

        void Refused(IReadOnlyList<Named> changed, string expected)
        {
            published.Save(folder["changed"], changed);
            var error = Assert.Throws<FusionException>(() => BackboneWeights.Load(network, folder["changed"]));
            Assert.That(error.Code, Is.EqualTo(ExitCode.Data));
            Assert.That(error.Message, Does.Match(expected));
        }
    }

    [Test]
    public void A_mae_pooled_over_patches_gets_the_norm_that_vpt_gives_it()
    {
        using var folder = new TemporaryFolder();
        var (vit, tensors) = (PublishedLayouts.Small, PublishedLayouts.Small.Random());
        PublishedLayouts.Files["mae.pth"].Write(folder["mae.pth"], vit, tensors);
        using var network = new BareBackbone([.. vit.Specs().Select(spec => spec with { Name = spec.Name.StartsWith("norm.", StringComparison.Ordinal) ? "fc_" + spec.Name : spec.Name })]);
        var notes = BackboneWeights.Load(network, folder["mae.pth"]).Notes;
        Assert.That(network.Values("fc_norm.weight"), Is.All.EqualTo(1));
        Assert.That(network.Values("fc_norm.bias"), Is.All.Zero);
        Assert.That(notes, Has.Some.Contains("fc_norm.weight is 1 throughout").And.Some.Contains("the class token's norm: 'norm.weight'"));
        PublishedLayouts.Files["timm.pth"].Write(folder["timm.pth"], vit, tensors);
        Assert.That(() => BackboneWeights.Load(network, folder["timm.pth"]), Throws.TypeOf<FusionException>().With.Message.Contains("made for the class token"));
        Assert.That(BackboneWeights.Load(network, folder["timm.pth"], "mae").Notes, Has.Some.Contains("fc_norm.weight is 1 throughout"), "a MAE without its decoder has timm's names; it must be named");
    }

    [Test]
    public void The_momentum_encoder_is_taken_when_it_is_asked_for()
    {
        using var folder = new TemporaryFolder();
        var (vit, tensors) = (PublishedLayouts.Small, PublishedLayouts.Small.Random());
        WeightWriters.Torch(folder["moco"], [.. tensors.Select(tensor => tensor with { Name = "module.momentum_encoder." + tensor.Name }), Named.Of("module.base_encoder.norm.bias", 8)], "state_dict");
        using var network = new BareBackbone(vit.Specs());
        Assert.That(BackboneWeights.Load(network, folder["moco"], "moco-v3-momentum").Digest, Is.EqualTo(DigestOf(tensors)));
        Assert.That(() => BackboneWeights.Load(network, folder["moco"], "google"), Throws.TypeOf<FusionException>().With.Message.Contains("is not in layout google"));
        Assert.That(() => BackboneWeights.Load(network, folder["moco"], "nonsense"), Throws.TypeOf<FusionException>().With.Message.Contains("known are google"));
    }

    [Test]
    public void A_position_embedding_of_another_grid_is_refused_or_resampled_by_a_rule()
    {
        using var folder = new TemporaryFolder();
        var vit = PublishedLayouts.Small;
        PublishedLayouts.Files["google.npz"].Write(folder["w.npz"], vit, vit.Random());
        using var network = new BareBackbone((vit with { Grid = 5 }).Specs());
        Assert.That(() => BackboneWeights.Load(network, folder["w.npz"]), Throws.TypeOf<FusionException>()
            .With.Message.Contains("made for a grid of 3×3 patches, not 5×5").And.Message.Contains("--positions timm|timm-npz|vpt|mae|sin-cos"));
        var notes = BackboneWeights.Load(network, folder["w.npz"], positions: PositionRule.Of("vpt")).Notes;
        Assert.That(notes, Has.Some.Contains("from 3×3 to 5×5 patches by rule vpt"));
        var source = vit.Random().Single(tensor => tensor.Name == "pos_embed").Values;
        Assert.That(network.Values("pos_embed")[..16], Is.EqualTo(source[..16]), "class token and corner stay");
        Assert.That(network.Values("pos_embed")[16], Is.EqualTo((source[8] + source[16]) / 2).Within(1e-7), "linear between corners");
    }

    private static string DigestOf(IReadOnlyList<Named> tensors)
    {
        using var folder = new TemporaryFolder();
        WeightWriters.SafeTensors(folder["reference"], tensors);
        using var file = SafeTensors.Open(folder["reference"]);
        return file.Digest();
    }
}
