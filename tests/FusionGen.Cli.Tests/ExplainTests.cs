namespace FusionGen.Cli.Tests;

/// <summary>What is known before anything runs, in numbers that can be checked by hand.</summary>
[TestFixture]
internal sealed class ExplainTests
{
    [Test]
    public void Tables_hold_parameters_that_follow_from_the_sizes()
    {
        using var project = new TinyProject();
        var result = CommandLine.Run("explain", project.Spec);
        Assert.That(result.Code, Is.Zero, result.Errors);
        Assert.Multiple(() =>
        {
            // Two prompts of width 16 in each of two layers; cross-attention shares 4·16·4 weights.
            Assert.That(result.Output, Does.Match(@"add in all layers\s+64\s+34\s"));
            Assert.That(result.Output, Does.Match(@"cross in all layers\s+320\s+34\s"));
            Assert.That(result.Output, Does.Match(@"cross\s+cross-attention\s+32 \+ 256 shared"));
            Assert.That(result.Output, Does.Contain("no policy yet"));
        });
    }

    /// <summary>Every pass says what it saved, or why it did nothing.</summary>
    [Test]
    public void Passes_are_reported()
    {
        using var project = new TinyProject();
        var output = CommandLine.Run("explain", project.Spec).Output;
        Assert.Multiple(() =>
        {
            Assert.That(output, Does.Match(@"S4 absorb keys and values\s+1\s"));
            Assert.That(output, Does.Match(@"mean first\s+-\s+needs pooling by the mean"));
        });
    }

    /// <summary>The averages that are published for VPT-deep, both ways of averaging, from the graph of each task's own spec (METHOD §2.2).</summary>
    [Test]
    public void Published_averages_come_out_of_the_tasks()
    {
        var result = CommandLine.Run("explain", Path.Combine(TestContext.CurrentContext.TestDirectory, "specs", "vpt-deep.fusion.yaml"), "--tasks", "vpt-deep");
        Assert.That(result.Code, Is.Zero, result.Errors);
        Assert.Multiple(() =>
        {
            Assert.That(result.Output, Does.Contain("mean of the four groups: 0.7331 %; mean of the 24 tasks: 0.7495 %"));
            Assert.That(result.Output, Does.Contain("without head: 561,691 parameters"));
            Assert.That(result.Output, Does.Match(@"DMLab\s+Structured\s+6\s+100\s+921,600\s+4,614\s+1\.068 %"));
            Assert.That(result.Output, Does.Match(@"Natural, 7 tasks.*0\.2345 %").And.Match(@"FGVC, 5 tasks.*0\.9788 %"));
        });
    }

    /// <summary>The average that is published for SA2VP, 0.65 %: over the tasks, at the rank that its authors give each (METHOD §2.5).</summary>
    [Test]
    public void Published_average_of_sa2vp_comes_out_of_the_tasks()
    {
        var result = CommandLine.Run("explain", Path.Combine(TestContext.CurrentContext.TestDirectory, "specs", "vit-b16-sa2vp.fusion.yaml"), "--tasks", "sa2vp");
        Assert.That(result.Code, Is.Zero, result.Errors);
        Assert.Multiple(() =>
        {
            Assert.That(result.Output, Does.Contain("mean of the four groups: 0.6468 %; mean of the 24 tasks: 0.649 %"));
            Assert.That(result.Output, Does.Match(@"DMLab\s+Structured\s+6\s+32\s+714,336\s+4,614\s"));
            Assert.That(result.Output, Does.Match(@"Stanford Cars\s+FGVC\s+196\s+64\s+1,397,184\s+150,724\s"));
        });
    }

    [Test]
    public void A_task_table_needs_a_policy_where_there_is_a_choice()
    {
        using var project = new TinyProject();
        var result = CommandLine.Run("explain", project.Spec, "--tasks", "classes");
        Assert.That((result.Code, result.Errors), Is.EqualTo(((int)ExitCode.Spec, result.Errors)));
        Assert.That(result.Errors, Does.Contain("--policy"));
    }

    [Test]
    public void The_graph_lists_shapes_and_what_differs_between_images()
    {
        using var project = new TinyProject();
        var result = CommandLine.Run("explain", project.Spec, "--graph");
        Assert.That(result.Output, Does.Match(@"logits\s+Linear\s+\(B, 2\)\s+per image"));
    }

    [Test]
    public void Generated_files_are_written_and_the_same_each_time()
    {
        using var project = new TinyProject();
        Assert.That(CommandLine.Run("gen", project.Spec, "--out", project.At("a")).Code, Is.Zero);
        Assert.That(CommandLine.Run("gen", project.Spec, "--out", project.At("b")).Code, Is.Zero);
        var files = Directory.GetFiles(project.At("a")).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal).ToArray();
        Assert.That(files, Does.Contain("FusionGen.Tests.Tiny.Supernet.g.cs"));
        foreach (var file in files)
            Assert.That(File.ReadAllText(project.At("b", file)), Is.EqualTo(File.ReadAllText(project.At("a", file))));
    }

    [Test]
    public void The_schema_is_json() => Assert.That(System.Text.Json.JsonDocument.Parse(CommandLine.Run("schema").Output).RootElement.GetProperty("title").GetString(), Is.EqualTo("FusionGen spec"));

    [Test]
    public void The_doctor_knows_the_library_it_runs_on()
    {
        var result = CommandLine.Run("doctor");
        Assert.That(result.Code, Is.Zero, result.Output);
        Assert.That(result.Output, Does.Match(LibTorch.IsPresent ? $@"libtorch\s+{TorchSharp.torch.__version__}" : @"libtorch\s+not used"));
        var missing = CommandLine.Run("doctor", "--missing").Output;
        Assert.That(missing.Split('\n').Any(line => line.StartsWith("libtorch ", StringComparison.Ordinal)), Is.EqualTo(!LibTorch.IsPresent));
    }

    [Test]
    public void The_bench_times_every_step()
    {
        using var project = new TinyProject();
        var result = CommandLine.Run("bench", project.Spec, "--steps", "1");
        Assert.That(result.Code, Is.Zero, result.Errors);
        Assert.That(result.Output, Does.Contain("search: weights").And.Contain("search: α").And.Contain("training").And.Contain("forward"));
    }
}
