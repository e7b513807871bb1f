namespace FusionGen.Cli.Tests;

/// <summary>The catalogue on the command line, and data sources of every form through a whole run.</summary>
[TestFixture]
internal sealed class DataTests
{
    [Test]
    public void Every_task_is_listed()
    {
        var result = CommandLine.Run("data");
        Assert.That(result.Code, Is.Zero, result.Errors);
        Assert.That(result.Output, Does.Match(@"vtab-dmlab\s+Structured\s+DMLab\s+dmlab\s+6\s+800\s+200\s+22,735\s+100"));
        Assert.That(result.Output.Split('\n').Count(line => line.TrimStart().StartsWith("hta-", StringComparison.Ordinal)), Is.EqualTo(10));
    }

    [Test]
    public void A_folder_with_faults_is_4_and_says_what_is_missing_extra_miscounted_and_unreadable()
    {
        using var project = new TinyProject();
        var root = Vtab(project);
        File.Delete(Path.Combine(root, "images", "train", "red", "00.png"));
        File.WriteAllText(Path.Combine(root, "images", "train", "blue", "00.png"), "");
        File.Copy(Path.Combine(root, "images", "train", "blue", "01.png"), Path.Combine(root, "images", "stray.png"));
        var result = CommandLine.Run("data", "vtab-camelyon", root, "--decode");
        Assert.Multiple(() =>
        {
            Assert.That(result.Code, Is.EqualTo((int)ExitCode.Data), result.Errors);
            Assert.That(result.Output, Does.Contain("train800.txt(13): 'images/train/red/00.png' does not exist"));
            Assert.That(result.Output, Does.Contain("23 training pictures; Patch Camelyon has 800"));
            Assert.That(result.Output, Does.Contain("blue/00.png: the file is empty").And.Contain("stray.png: is on no list"));
            Assert.That(result.Output, Does.Match(@"Patch Camelyon\s+2\s+23\s+12\s+12\s+47\s+\d"));
        });
    }

    [Test]
    public void An_unknown_task_is_2() => Assert.That(CommandLine.Run("data", "vtab-dmlap", "x").Code, Is.EqualTo((int)ExitCode.Spec));

    [Test]
    public void A_missing_folder_is_4() => Assert.That(CommandLine.Run("data", "vtab", "/nowhere").Code, Is.EqualTo((int)ExitCode.Data));

    [Test]
    public void A_list_trains_and_a_broken_one_is_4()
    {
        using var project = new TinyProject();
        var root = Vtab(project);
        string[] command = ["search", project.Spec, "--weights", "none", "--data", $"vtab:{root}", "--out", project.At("run")];
        Assert.That(CommandLine.Run(command).Code, Is.Zero);
        File.AppendAllText(Path.Combine(root, "val200.txt"), "../far.png 1\n");
        var broken = CommandLine.Run(command);
        Assert.That((broken.Code, broken.Errors), Is.EqualTo(((int)ExitCode.Data, broken.Errors)));
        Assert.That(broken.Errors, Does.Contain("val200.txt(13): '../far.png' leaves the folder"));
    }

    /// <summary>The project's pictures under the community's lists, in a folder whose name is a task's.</summary>
    private static string Vtab(TinyProject project)
    {
        project.WriteImages();
        var root = project.At("patch_camelyon");
        Directory.CreateDirectory(root);
        Directory.Move(project.Images, Path.Combine(root, "images"));
        foreach (var (part, list) in new[] { ("train", "train800.txt"), ("val", "val200.txt"), ("test", "test.txt") })
        {
            var lines = Directory.GetFiles(Path.Combine(root, "images", part), "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
                .Select(path => $"{Path.GetRelativePath(root, path)} {(path.Contains("red", StringComparison.Ordinal) ? 1 : 0)}\n");
            File.WriteAllText(Path.Combine(root, list), string.Concat(lines));
        }
        return root;
    }
}
