using FusionGen.Weights;

namespace FusionGen.Cli.Tests;

/// <summary>The tool without libtorch, in a process of its own whose folder has no shim, beside the tool in this process.</summary>
[TestFixture]
internal sealed class WithoutLibTorchTests
{
    private string tool = "";

    [OneTimeSetUp]
    public void Copy()
    {
        this.tool = Directory.CreateTempSubdirectory("fusiongen-tool-").FullName;
        foreach (var file in Directory.EnumerateFiles(TestContext.CurrentContext.TestDirectory))
        {
            if (!file.EndsWith(".so", StringComparison.Ordinal))
                File.Copy(file, Path.Combine(this.tool, Path.GetFileName(file)));
        }
    }

    [OneTimeTearDown]
    public void Delete() => Directory.Delete(this.tool, recursive: true);

    [Test]
    public void A_run_gives_the_same_bits()
    {
        using var project = new TinyProject();
        project.WriteImages();
        string[] command = ["run", project.Spec, "--weights", "none", "--controls", "linear,single", "--out"];
        var with = CommandLine.Run([.. command, project.At("with")]);
        var without = this.Run([.. command, project.At("without")]);
        Assert.That((with.Code, without.Code), Is.EqualTo((0, 0)), with.Errors + without.Errors);
        Assert.Multiple(() =>
        {
            foreach (var file in new[] { "policy.yaml", "alpha.csv", "adapter/adapter_config.json", "adapter/adapter_model.safetensors" })
                Assert.That(File.ReadAllBytes(project.At("without", file)), Is.EqualTo(File.ReadAllBytes(project.At("with", file))), file);
            foreach (var file in new[] { "checkpoint/search.safetensors", "checkpoint/train.safetensors" })
                Assert.That(Digest(project.At("without", file)), Is.EqualTo(Digest(project.At("with", file))), file);
            Assert.That(Measures(without), Is.EqualTo(Measures(with)));
            Assert.That(File.ReadAllText(project.At("without", "env.json")), Does.Match(@"""libtorch"": ""none"""));
        });
    }

    [Test]
    public void What_one_writes_the_other_reads()
    {
        using var project = new TinyProject();
        project.WriteImages();
        string[] search = ["search", project.Spec, "--weights", "none", "--out"];
        using var stopped = new CancellationTokenSource();
        stopped.Cancel();
        Assert.That(CommandLine.Run(stopped.Token, [.. search, project.At("run")]).Code, Is.EqualTo((int)ExitCode.Checkpointed));
        var continued = this.Run([.. search, project.At("run")]);
        Assert.That(continued.Errors, Does.Contain("continues "));
        Assert.That(CommandLine.Run([.. search, project.At("whole")]).Code, Is.Zero);
        Assert.That(Digest(project.At("run", "checkpoint/search.safetensors")), Is.EqualTo(Digest(project.At("whole", "checkpoint/search.safetensors"))));

        Assert.That(CommandLine.Run("train", project.Spec, "--weights", "none", "--out", project.At("run")).Code, Is.Zero);
        string[] predict = ["predict", project.Spec, Path.Combine(project.Images, "test", "red", "00.png"), "--weights", "none", "--adapter", project.At("run", "adapter"), "--top", "2"];
        var without = this.Run(predict);
        Assert.That(without.Code, Is.Zero, without.Errors);
        Assert.That(without.Output, Is.EqualTo(CommandLine.Run(predict).Output));
    }

    [TestCase("search", "--engine", "eager")]
    [TestCase("search", "--device", "cuda")]
    [TestCase("search", "--set", "search.order=second-exact")]
    [TestCase("bench", "--engine", "eager")]
    public void What_needs_it_says_so_and_is_2(params string[] arguments)
    {
        using var project = new TinyProject();
        project.WriteImages();
        var result = this.Run([arguments[0], project.Spec, .. arguments[1..]]);
        Assert.That(result.Code, Is.EqualTo((int)ExitCode.Spec), result.Errors + result.Output);
        Assert.That(result.Errors, Does.Match("(?m)^error: .* needs libtorch").And.Contain("apt-get install libtorch-dev"));
    }

    /// <summary>Where it is there, it is loaded for what needs it and for nothing else.</summary>
    [TestCase(false)]
    [TestCase(true, "--engine", "eager")]
    [TestCase(true, "--set", "search.order=second-exact")]
    public void It_is_loaded_on_demand(bool isLoaded, params string[] options)
    {
        IgnoredWithoutLibTorch.Now();
        using var project = new TinyProject();
        project.WriteImages();
        var result = CommandLine.Process(TestContext.CurrentContext.TestDirectory, ["search", project.Spec, "--weights", "none", "--out", project.At("run"), .. options]);
        Assert.That(result.Code, Is.Zero, result.Errors);
        Assert.That(File.ReadAllText(project.At("run", "env.json")), Does.Contain($"\"libtorch\": \"{(isLoaded ? TorchSharp.torch.__version__ : "none")}\""));
    }

    [Test]
    public void The_doctor_says_what_it_would_add()
    {
        var result = this.Run("doctor", "--missing");
        Assert.That(result.Code, Is.Zero, result.Errors);
        Assert.That(result.Output, Does.Match(@"libtorch\s+not used").And.Contain("the shim was not built").And.Contain("exact second order"));
    }

    private static string Digest(string path)
    {
        using var file = SafeTensors.Open(path);
        return file.Digest();
    }

    /// <summary>The table's lines without the times at their ends.</summary>
    private static string[] Measures(CommandLine.Result result) =>
        [.. result.Output.Split('\n').Where(line => line.Contains('%', StringComparison.Ordinal)).Select(line => line[..(line.LastIndexOf('%') + 1)])];

    private CommandLine.Result Run(params string[] arguments) => CommandLine.Process(this.tool, arguments);
}
