namespace FusionGen.Cli.Tests;

/// <summary>What goes wrong decides the exit code: 2 spec or flag, 4 data or weights, 75 stopped and saved.</summary>
[TestFixture]
internal sealed class ExitCodeTests
{
    [TestCase("unheard")]
    [TestCase("check")]
    [TestCase("check", "x.fusion.yaml", "--unheard")]
    [TestCase("parity", "--reference", "x", "--layout", "unheard")]
    [TestCase("check", "missing.fusion.yaml")]
    public void A_wrong_word_is_2(params string[] arguments)
    {
        var result = CommandLine.Run(arguments);
        Assert.That(result.Code, Is.EqualTo((int)ExitCode.Spec));
        Assert.That(result.Errors, Does.StartWith("error: "));
    }

    [TestCase("--device", "gpu")]
    [TestCase("--precision", "half")]
    [TestCase("--precision", "bfloat16")]
    [TestCase("--threads", "-1")]
    [TestCase("--set", "search.epoch=3")]
    [TestCase("--set", "search")]
    [TestCase("--seeds", "one")]
    [TestCase("--controls", "everything")]
    public void A_wrong_value_of_an_option_is_2(string option, string value)
    {
        using var project = new TinyProject();
        var result = CommandLine.Run("run", project.Spec, option, value);
        Assert.That(result.Code, Is.EqualTo((int)ExitCode.Spec), result.Errors);
        Assert.That(result.Errors, Does.Contain(value.Split('=')[0].Split('.')[^1]));
    }

    [Test]
    public void An_override_is_checked_like_the_spec()
    {
        using var project = new TinyProject();
        var result = CommandLine.Run("check", project.Spec, "--set", "search.epochs=none");
        Assert.That(result.Code, Is.EqualTo((int)ExitCode.Spec));
        Assert.That(result.Errors, Does.StartWith("--set search.epochs=none: error FG1003: "));
    }

    [Test]
    public void Overrides_that_are_legal_together_may_come_in_any_order()
    {
        using var project = new TinyProject();
        Assert.That(CommandLine.Run("check", project.Spec, "--set", "search.epochs=1").Code, Is.EqualTo((int)ExitCode.Spec), "the warm-up would take every epoch");
        Assert.That(CommandLine.Run("check", project.Spec, "--set", "search.epochs=1", "--set", "search.warmup=0").Errors, Is.Empty);
    }

    [Test]
    public void Missing_weights_and_data_are_4()
    {
        using var project = new TinyProject();
        var weights = CommandLine.Run("search", project.Spec, "--weights", project.At("none.safetensors"), "--out", project.At("run"));
        var data = CommandLine.Run("search", project.Spec, "--weights", "none", "--out", project.At("run"));
        Assert.Multiple(() =>
        {
            Assert.That((weights.Code, data.Code), Is.EqualTo(((int)ExitCode.Data, (int)ExitCode.Data)));
            Assert.That(weights.Errors, Does.Contain("none.safetensors").And.Contain("fusiongen pretrain"));
            Assert.That(data.Errors, Does.Contain(project.Images));
        });
    }

    [Test]
    public void A_reference_that_does_not_map_is_4_and_names_the_tensor()
    {
        var result = CommandLine.Run("parity", "--reference", CommandLine.Golden("pfd_add_all"), "--layout", "timm");
        Assert.That(result.Code, Is.EqualTo((int)ExitCode.Data));
        Assert.That(result.Errors, Does.Contain("backbone.cls_token"));
    }

    [TestCase("{ \"method\": \"other\", \"source\": \"KMnP/vpt@0\" }", "lr_per_step")]
    [TestCase("{ \"method\": \"other\", \"source\": \"someone/else@0\" }", "--layout")]
    [TestCase("{ \"method\": \"pfd_search\" }", "pfd_search.safetensors")]
    public void A_case_that_parity_does_not_follow_is_refused_and_says_why(string settings, string why)
    {
        using var project = new TinyProject();
        using var state = TorchSharp.torch.zeros(1);
        var path = project.At("case.safetensors");
        FusionGen.Weights.SafeTensors.Write(path, [new("state/head.weight", state)], new Dictionary<string, string>(StringComparer.Ordinal) { ["case"] = settings });
        var result = CommandLine.Run("parity", "--reference", path);
        Assert.That(result.Code, Is.EqualTo((int)ExitCode.Data).Or.EqualTo((int)ExitCode.Spec), result.Errors);
        Assert.That(result.Errors, Does.Contain(why));
    }

    [Test]
    public void A_file_that_is_no_case_is_4()
    {
        using var project = new TinyProject();
        var result = CommandLine.Run("parity", "--reference", project.Spec, "--layout", "pfd");
        Assert.That(result.Code, Is.EqualTo((int)ExitCode.Data));
        Assert.That(result.Errors, Does.Contain("tiny.fusion.yaml"));
    }

    [Test]
    public void A_stopped_search_is_75_and_continues()
    {
        using var project = new TinyProject();
        project.WriteImages();
        using var stopped = new CancellationTokenSource();
        stopped.Cancel();
        string[] command = ["search", project.Spec, "--weights", "none", "--out", project.At("run")];
        var first = CommandLine.Run(stopped.Token, command);
        var second = CommandLine.Run(command);
        Assert.Multiple(() =>
        {
            Assert.That(first.Code, Is.EqualTo((int)ExitCode.Checkpointed), first.Errors);
            Assert.That(second.Code, Is.Zero, second.Errors);
            Assert.That(second.Errors, Does.Contain("continues "));
        });
    }
}
