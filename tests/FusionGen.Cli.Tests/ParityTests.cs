using FusionGen.Checkpoints;
using FusionGen.Cli.Compilation;
using FusionGen.Cli.Output;
using FusionGen.Cli.Parity;
using FusionGen.Compiler.Spec;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Cli.Tests;

/// <summary>The published authors' own numbers, reproduced by compiled specs (logits 3e-5 and gradients 1e-4 in float32, logits 1e-10 in float64).</summary>
[TestFixture]
internal sealed class ParityTests
{
    private static readonly string[] Cases =
    [
        "pfd_add_all", "pfd_affine_all", "pfd_concat_all", "pfd_concat_top4", "pfd_cross_all", "pfd_hybrid", "pfd_hybrid_unshared",
        "pfd_mixed_t5", "pfd_mixed_t03", "pfd_mixed_unshared", "pfd_mixed_init", "pfd_mixed_avgpool", "pfd_swin", "pfd_swin_hybrid",
        "pfd_search", "pfd_search_clip", "pfd_search_first", "pfd_search_official", "pfd_search_darts1", "pfd_search_darts2",
        "lora_noah", "lora_noah_sliced", "noah_adapter", "sa2vp", "sa2vp_orig", "ssf", "vit_timm", "vit_timm_avg", "vit_npz", "swin_timm",
        "vpt_deep", "vpt_deep_train5", "vpt_deep_project", "vpt_shallow", "vpt_mae", "vpt_mae_imgpool", "adapter_pfeiffer", "bitfit", "linear", "partial1", "full",
        "vapt", "vapt_gelu_scale", "vapt_variant", "vapt_mae", "e2vpt", "e2vpt_maskdrift", "e2vpt_pruned", "e2vpt_nomask",
    ];

    [Test]
    public void Published_numbers_are_reproduced([ValueSource(nameof(Cases))] string name, [Values("eager float32", "eager float64", "static float32")] string how)
    {
        var result = CommandLine.Run("parity", "--reference", CommandLine.Golden(name), "--engine", how.Split(' ')[0], "--dtype", how.Split(' ')[1]);
        Assert.That(result.Code, Is.Zero, result.Errors + result.Output);
        Assert.That(result.Output, Does.Contain("logits").And.Contain("quantities within tolerance"));
    }

    [Test]
    public void So_is_each_operator_alone([Values("float32", "float64")] string dtype)
    {
        var result = CommandLine.Run("parity", "--reference", CommandLine.Golden("pfd_ops"), "--dtype", dtype);
        Assert.That(result.Code, Is.Zero, result.Errors + result.Output);
        Assert.That(result.Output, Does.Contain("29 quantities within tolerance"));
    }

    [Test]
    public void Every_variant_of_googles_files_gives_the_published_numbers([Values("vit_npz", "vit_npz_bigvision", "vit_npz_bigvision_stacked", "vit_npz_opt_target")] string file)
    {
        var weights = Path.ChangeExtension(CommandLine.Golden(file), ".npz");
        var result = CommandLine.Run("parity", "--reference", CommandLine.Golden("vit_npz"), "--layout", "timm", "--weights", weights);
        Assert.That(result.Code, Is.Zero, result.Errors + result.Output);
        Assert.That(result.Output, Does.Contain("quantities within tolerance").And.Contain("NumPy npz, layout google"));
    }

    /// <summary>VPT's and prompt-fusion discovery's schedules, torch.optim's and VPT's own optimizers, VPT's parameter groups.</summary>
    [Test]
    public void Schedules_and_optimizers_are_the_published_ones()
    {
        var path = Path.ChangeExtension(CommandLine.Golden("schedules"), ".json");
        var result = CommandLine.Run("parity", "--reference", path);
        Assert.That(result.Code, Is.Zero, result.Errors + result.Output);
        Assert.That(result.Output, Does.Contain("17 quantities within tolerance"));
        using var project = new TinyProject();
        foreach (var (from, to, message) in new[] { ("\"base_lr\"", "\"base\"", "'base_lr' is missing"), ("\"sgd_plain\"", "\"lion\"", "'lion' is not known here"), ("{", "[", "is no reference of schedules") })
        {
            File.WriteAllText(project.At("x.json"), File.ReadAllText(path).Replace(from, to, StringComparison.Ordinal));
            result = CommandLine.Run("parity", "--reference", project.At("x.json"));
            Assert.That((result.Code, result.Errors), Is.EqualTo(((int)ExitCode.Data, result.Errors)));
            Assert.That(result.Errors, Does.Contain(message));
        }
        File.WriteAllText(project.At("x.json"), File.ReadAllText(path).Replace("\"lr\": 2.0", "\"lr\": 3.0", StringComparison.Ordinal));
        Assert.That(CommandLine.Run("parity", "--reference", project.At("x.json")).Code, Is.EqualTo((int)ExitCode.Data));
    }

    [Test]
    public void Position_embeddings_are_resampled_as_published()
    {
        var result = CommandLine.Run("parity", "--reference", CommandLine.Golden("posembed_resample"));
        Assert.That(result.Code, Is.Zero, result.Errors + result.Output);
        Assert.That(result.Output, Does.Contain("9 quantities within tolerance"));
    }

    [Test]
    public void What_is_imported_computes_the_same()
    {
        using var project = new TinyProject();
        var (spec, imported) = (project.At("golden.fusion.yaml"), project.At("imported.safetensors"));
        File.WriteAllText(spec, "fusiongen: 1\nmodel: Golden\nnamespace: A\nbackbone: { family: vit, image: 32, patch: 8, width: 48, depth: 4, heads: 4, mlp: 96 }\nclasses: 7\n");
        var npz = Path.ChangeExtension(CommandLine.Golden("vit_npz_bigvision_stacked"), ".npz");
        var result = CommandLine.Run("import-weights", npz, "--spec", spec, "--out", imported);
        Assert.That(result.Code, Is.Zero, result.Errors);
        Assert.That(result.Output, Does.Contain("54 tensors").And.Contain("layout google"));
        result = CommandLine.Run("parity", "--reference", CommandLine.Golden("vit_npz"), "--layout", "timm", "--weights", imported);
        Assert.That(result.Code, Is.Zero, result.Errors + result.Output);
        Assert.That(CommandLine.Run("import-weights", imported, "--spec", spec, "--set", "backbone.image=48", "--out", project.At("x")).Errors, Does.Contain("--positions"));
        Assert.That(CommandLine.Run("import-weights", imported, "--spec", spec, "--set", "backbone.image=48", "--out", project.At("x"), "--positions", "timm").Code, Is.Zero);
        Assert.That(CommandLine.Run("import-weights", imported, "--spec", spec, "--out", imported).Errors, Does.Contain("would replace the file itself"));
    }

    [Test]
    public void What_the_authors_tuned_becomes_a_backbone_and_an_adapter([Values("vpt_deep", "vpt_shallow", "vapt", "e2vpt_pruned", "pfd_hybrid", "pfd_hybrid_unshared")] string name)
    {
        using var project = new TinyProject();
        var terminal = new Terminal(TextWriter.Null, TextWriter.Null);
        var checkpoint = project.At("tuned.safetensors");
        using var reference = ReferenceCase.Open(CommandLine.Golden(name));
        using (var scope = NewDisposeScope())
            SafeTensors.Write(checkpoint, reference.State.Select(tensor => KeyValuePair.Create(tensor, reference.ReadState(tensor))));
        var layout = name.Split('_')[0];
        var spec = SpecFile.Parse("x", ReferenceLayout.SpecOf(reference, layout), terminal);
        var policy = ReferenceLayout.PolicyOf(reference, layout, spec.Document)!;
        File.WriteAllText(project.Spec, spec.Text);
        File.WriteAllText(project.At("p.yaml"), PolicyWriter.Write(policy));
        var result = CommandLine.Run("import-weights", checkpoint, "--spec", project.Spec, "--policy", project.At("p.yaml"), "--out", project.At("backbone.safetensors"), "--adapter", project.At("adapter"));
        Assert.That(result.Code, Is.Zero, result.Errors);
        using var model = spec.Compile(policy, terminal).CreateModel();
        Adapter.Load(project.At("adapter"), model, BackboneWeights.Load(model, project.At("backbone.safetensors")).Digest);
        using var inner = NewDisposeScope();
        using var guard = no_grad();
        var difference = (model.forward(reference.Read("input/images")) - reference.Read("output/logits")).abs().max().item<float>();
        Assert.That(difference, Is.LessThan(3e-5));
    }
}
