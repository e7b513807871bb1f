using FusionGen.Checkpoints;
using FusionGen.Cli.Compilation;
using FusionGen.Cli.Output;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Cli.Tests;

public class ExportTests
{
    /// <summary>Every operator that merges, with weights far from the identity: the file is the plain backbone's, and computes the same.</summary>
    [TestCase("operators:\n  one: { kind: add }\nlayers: [{ at: 0..1, candidates: [one] }]")]
    [TestCase("operators:\n  one: { kind: affine, reduction: 4 }\nlayers: [{ at: 0..1, candidates: [one] }]")]
    [TestCase("operators:\n  one: { kind: affine, reduction: 4, share: true }\nlayers: [{ at: 0..1, candidates: [one] }]")]
    [TestCase("operators:\n  one: { kind: add-direct }\nlayers: [{ at: 0..1, candidates: [one] }]")]
    [TestCase("operators:\n  one: { kind: affine-direct }\nlayers: [{ at: 0..1, candidates: [one] }]")]
    [TestCase("operators:\n  one: { kind: lora, rank: 3 }\nlayers: [{ at: 0..1, candidates: [one] }]")]
    [TestCase("operators:\n  one: { kind: lora, rank: 3, active: 2, scale: 0.7, targets: [q, v, proj, fc1, fc2] }\nlayers: [{ at: 0..1, candidates: [one] }]")]
    [TestCase("operators:\n  one: { kind: ssf }\nlayers: [{ at: [embed, 0..1, norm], candidates: [one] }]")]
    [TestCase("tune: all")]
    [TestCase("tune: bias")]
    public void The_plain_backbone_computes_what_was_tuned(string operators)
    {
        using var project = new TinyProject();
        var text = SpecOf(operators);
        File.WriteAllText(project.Spec, text);
        Train(project, text);
        var result = CommandLine.Run("export", project.Spec, "--weights", project.At("backbone.safetensors"), "--adapter", project.At("adapter"), "--out", project.At("merged.safetensors"));
        Assert.That(result.Code, Is.Zero, result.Errors);
        var difference = System.Text.RegularExpressions.Regex.Match(result.Output, @"by at most ([\d.E+-]+),");
        Assert.That(double.Parse(difference.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture), Is.LessThan(2e-5), result.Output);
        using var merged = SafeTensors.Open(project.At("merged.safetensors"));
        using var plain = SafeTensors.Open(project.At("backbone.safetensors"));
        Assert.That(merged.Entries.Select(entry => entry.Name), Is.EquivalentTo(plain.Entries.Select(entry => entry.Name).Union(["head.weight", "head.bias"])));
    }

    [Test]
    public void What_does_not_merge_is_refused_and_nothing_written()
    {
        using var project = new TinyProject();
        var text = SpecOf("operators:\n  one: { kind: prefix }\nlayers: [{ at: 0..1, candidates: [one] }]");
        File.WriteAllText(project.Spec, text);
        Train(project, text);
        var result = CommandLine.Run("export", project.Spec, "--weights", project.At("backbone.safetensors"), "--adapter", project.At("adapter"), "--out", project.At("merged.safetensors"));
        Assert.Multiple(() =>
        {
            Assert.That(result.Code, Is.EqualTo((int)ExitCode.Spec));
            Assert.That(result.Errors, Does.Contain("blocks.0 (prompts.0)").And.Contain("blocks.1 (prompts.1)"));
            Assert.That(File.Exists(project.At("merged.safetensors")), Is.False);
        });
        Assert.That(CommandLine.Run("export", project.Spec, "--images", "0").Code, Is.EqualTo((int)ExitCode.Spec));
    }

    private static string SpecOf(string operators) =>
        $"fusiongen: 1\nmodel: Tiny\nnamespace: A\nbackbone: {{ family: vit, image: 16, patch: 8, width: 16, depth: 2, heads: 2, mlp: 32 }}\nclasses: 3\nprompts: {{ tokens: 2 }}\n{operators}\n";

    /// <summary>As if trained: every tuned number is drawn anew.</summary>
    private static void Train(TinyProject project, string text)
    {
        var terminal = new Terminal(TextWriter.Null, TextWriter.Null);
        var spec = SpecFile.Parse("x", text, terminal);
        using var scope = NewDisposeScope();
        using var guard = no_grad();
        using (var plain = spec.Compile(null, terminal).CreateBackbone())
        {
            plain.Initialize(1);
            SafeTensors.Write(project.At("backbone.safetensors"), plain.Specs.Where(tensor => tensor.Role != TensorRole.Head).Select(tensor => KeyValuePair.Create(tensor.Name, (Tensor)plain[tensor.Name])));
        }
        using var model = spec.Compile(Uniform.Only(spec.Document), terminal).CreateModel();
        model.Initialize(2);
        var digest = BackboneWeights.Load(model, project.At("backbone.safetensors")).Digest;
        var random = SplitMix.For(3, "tuned");
        foreach (var tuned in model.Specs.Where(tensor => tensor.IsTuned))
            model[tuned.Name].add_(tensor([.. Enumerable.Range(0, (int)tuned.Count).Select(_ => (float)(0.3 * random.NextGaussian()))], [.. tuned.Shape]));
        Adapter.Save(project.At("adapter"), model, digest, ["a", "b", "c"]);
    }
}
