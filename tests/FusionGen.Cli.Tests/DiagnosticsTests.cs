namespace FusionGen.Cli.Tests;

/// <summary>Problems look like a compiler's, so that editors and logs link to them.</summary>
[TestFixture]
internal sealed class DiagnosticsTests
{
    [Test]
    public void A_problem_names_file_line_and_column()
    {
        using var project = new TinyProject();
        File.WriteAllText(project.Spec, TinyProject.SpecText("x").Replace("classes: 2", "classes: two", StringComparison.Ordinal));
        var result = CommandLine.Run("check", project.Spec);
        Assert.That(result.Code, Is.EqualTo((int)ExitCode.Spec));
        Assert.That(result.Errors, Does.Match(@"^.*tiny\.fusion\.yaml\(6,10\): error FG1003: .+\n$"));
        Assert.That(result.Output, Is.Empty);
    }

    [Test]
    public void Every_bad_file_is_reported()
    {
        using var project = new TinyProject();
        var other = project.At("other.fusion.yaml");
        File.WriteAllText(other, "fusiongen: 1\nmodle: X\n");
        File.WriteAllText(project.Spec, TinyProject.SpecText("x").Replace("add, prefix", "ad, prefix", StringComparison.Ordinal));
        var result = CommandLine.Run("check", project.Spec, other);
        Assert.That(result.Errors, Does.Contain("tiny.fusion.yaml(").And.Contain("other.fusion.yaml(2,1): error FG1001: "));
    }

    [Test]
    public void A_policy_stands_for_its_spec()
    {
        using var project = new TinyProject();
        var policy = project.Spec.Replace(".fusion.yaml", ".policy.yaml", StringComparison.Ordinal);
        var result = CommandLine.Run("check", project.Spec, policy);
        Assert.That(result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries), Has.Length.EqualTo(1).And.Exactly(1).Contains("holds"));
    }

    [Test]
    public void A_policy_is_checked_with_its_spec()
    {
        using var project = new TinyProject();
        File.WriteAllText(project.At("tiny.policy.yaml"), "fusiongen-policy: 1\nmodel: Tiny\nspec: 'x'\nlayers:\n  - add\n  - concat\n");
        var result = CommandLine.Run("check", project.Spec);
        Assert.That(result.Code, Is.EqualTo((int)ExitCode.Spec));
        Assert.That(result.Errors, Does.Contain("tiny.policy.yaml(6,5): error FG4003: "));
    }

    [Test]
    public void A_broken_budget_points_at_the_budget()
    {
        using var project = new TinyProject();
        File.AppendAllText(project.Spec, "budget: { tuned: 0.1% }\n");
        var result = CommandLine.Run("check", project.Spec);
        Assert.That(result.Errors, Does.Match(@"tiny\.fusion\.yaml\(16,\d+\): error FG2100: "));
    }

    [TestCaseSource(nameof(Shipped))]
    public void Shipped_specs_and_policies_have_no_problem(string name)
    {
        var result = CommandLine.Run("check", Path.Combine(TestContext.CurrentContext.TestDirectory, "specs", name));
        Assert.That((result.Code, result.Errors), Is.EqualTo((0, "")));
    }

    private static IEnumerable<string> Shipped()
    {
        var root = Path.Combine(TestContext.CurrentContext.TestDirectory, "specs");
        return Directory.EnumerateFiles(root, "*.fusion.yaml", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(root, path)).Order(StringComparer.Ordinal);
    }
}
