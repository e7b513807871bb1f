using FusionGen.Compiler.Problems;
using Microsoft.CodeAnalysis;

namespace FusionGen.Generators.Tests;

internal sealed class DiagnosticsTests
{
    [Test]
    public void A_problem_is_a_diagnostic_in_the_spec_with_place_arguments_and_help()
    {
        var run = new Harness(("specs/tiny.fusion.yaml", Specs.Tiny.Replace("[add, affine]", "[add, afine]"))).Run();
        var diagnostic = run.Result.Diagnostics.Single();
        var span = diagnostic.Location.GetLineSpan();
        Assert.Multiple(() =>
        {
            Assert.That(diagnostic.Id, Is.EqualTo("FG3004"));
            Assert.That(diagnostic.Severity, Is.EqualTo(DiagnosticSeverity.Error));
            Assert.That(diagnostic.GetMessage(System.Globalization.CultureInfo.InvariantCulture), Is.EqualTo("'afine' is no operator of this spec. Did you mean 'affine'? Declared: add, affine."));
            Assert.That(diagnostic.Descriptor.HelpLinkUri, Is.EqualTo("docs/problems.md#fg3004"));
            Assert.That(diagnostic.Location.Kind, Is.EqualTo(LocationKind.ExternalFile));
            Assert.That(span.Path, Is.EqualTo("specs/tiny.fusion.yaml"));
            Assert.That((span.StartLinePosition.Line, span.StartLinePosition.Character), Is.EqualTo((10, 34)));
            Assert.That((span.EndLinePosition.Line, span.EndLinePosition.Character), Is.EqualTo((10, 39)));
            Assert.That(Specs.Tiny.Replace("[add, affine]", "[add, afine]").Substring(diagnostic.Location.SourceSpan.Start, diagnostic.Location.SourceSpan.Length), Is.EqualTo("afine"));
        });
    }

    [Test]
    public void A_diagnostic_moves_with_its_line_while_nothing_is_compiled()
    {
        var project = new Harness(("specs/tiny.fusion.yaml", Specs.Tiny.Replace("classes: 3", "classes: x")));
        Assert.That(project.Run().Diagnostics, Is.EqualTo(new[] { "specs/tiny.fusion.yaml(6,10-11) FG1003" }));
        var run = project.Edit("specs/tiny.fusion.yaml", "# small", "# a\n# small").Run();
        Assert.That(run.Diagnostics, Is.EqualTo(new[] { "specs/tiny.fusion.yaml(7,10-11) FG1003" }));
        Assert.That(run.Reasons(TrackingNames.Lower), Is.EqualTo("Cached 1"));
        Assert.That(run.Reasons(TrackingNames.Plan), Is.EqualTo("Cached 1"));
    }

    [Test]
    public void Problems_that_the_compiler_finds_have_places_too()
    {
        var run = new Harness(("specs/tiny.fusion.yaml", Specs.Tiny + "\nbudget: { tuned: 0.001% }\n")).Run();
        Assert.That(run.Diagnostics, Is.EqualTo(new[] { "specs/tiny.fusion.yaml(12,18-24) FG2100" }));
    }

    [Test]
    public void Two_specs_of_one_model_are_reported_on_both_and_neither_is_generated()
    {
        var run = new Harness(
            ("specs/a.fusion.yaml", Specs.Named("Same")), ("specs/sub/b.fusion.yaml", Specs.Named("SAME")), ("specs/c.fusion.yaml", Specs.Named("Other"))).Run();
        Assert.That(run.Diagnostics, Is.EqualTo(new[] { "specs/a.fusion.yaml(3,8-12) FG3008", "specs/sub/b.fusion.yaml(3,8-12) FG3008" }));
        Assert.That(run.Result.Diagnostics.Select(d => d.GetMessage(System.Globalization.CultureInfo.InvariantCulture)), Has.All.Contain("a.fusion.yaml, b.fusion.yaml"));
        Assert.That(run.Sources.Keys, Is.Not.Empty.And.All.Contain("App.Other."));
    }

    [Test]
    public void Models_whose_names_add_up_to_each_others_do_not_clash()
    {
        var run = new Harness(("specs/a.fusion.yaml", Specs.Named("A")), ("specs/b.fusion.yaml", Specs.Named("APlan").Replace("classes: 3", "classes: x"))).Run();
        Assert.That(run.Diagnostics, Is.EqualTo(new[] { "specs/b.fusion.yaml(6,10-11) FG1003" }));
        Assert.That(run.Sources.Keys, Has.Some.EqualTo("App.A.g.cs").And.Some.EqualTo("App.APlan.g.cs"));
    }

    [Test]
    public void A_policy_is_judged_by_its_spec_at_places_of_the_policy()
    {
        var run = new Harness(
            ("specs/a.fusion.yaml", Specs.Named("A")), ("specs/a.policy.yaml", Specs.Policy(Specs.Named("A"), "add", "afine"))).Run();
        Assert.That(run.Diagnostics, Is.EqualTo(new[] { "specs/a.policy.yaml(6,5-10) FG4003" }));
        Assert.That(run.Sources.Keys, Is.EqualTo(new[] { "App.A.g.cs" }), "the model's type stays known");
    }

    [Test]
    public void A_stale_policy_is_a_warning_and_still_compiled()
    {
        var run = new Harness(
            ("specs/a.fusion.yaml", Specs.Named("A").Replace("classes: 3", "classes: 4")), ("specs/a.policy.yaml", Specs.Policy(Specs.Named("A"), "add", "add"))).Run();
        Assert.That(run.Result.Diagnostics.Single().Severity, Is.EqualTo(DiagnosticSeverity.Warning));
        Assert.That(run.Diagnostics.Single(), Does.EndWith("FG4004"));
        Assert.That(run.Sources["App.A.g.cs"], Does.Contain("class AModel"));
    }

    [Test]
    public void Files_that_nobody_reads_are_named()
    {
        var run = new Harness(
            ("specs/a.fusion.yaml", Specs.Named("A")), ("specs/b.policy.yaml", Specs.Policy(Specs.Named("A"), "add", "add")), ("specs/c.yaml", "x: 1"), ("elsewhere/c.yaml", "x: 1")).Run();
        Assert.That(run.Diagnostics, Is.EqualTo(new[] { "specs/b.policy.yaml(1,1-17) FG4005", "specs/c.yaml(1,1-1) FG4006" }));
    }

    [Test]
    public void One_wrong_key_is_one_error_for_the_code_that_uses_the_model()
    {
        var project = new Harness(("specs/tiny.fusion.yaml", Specs.Tiny), ("specs/tiny.policy.yaml", Specs.Policy(Specs.Tiny, "add", "affine"))).AddCode("""
            using App;
            using FusionGen;
            public static class User
            {
                public static TinySupernet Build() => new();
                public static FusionModel Model() => new TinyModel();
                public static TinyPolicy Found(TinySupernet supernet) => supernet.Discretise();
                public static string Name => TinyPlan.Supernet.Model;
            }
            """);
        Assert.That(Errors(project.Run()), Is.Empty);
        var run = project.Edit("specs/tiny.fusion.yaml", "classes: 3", "clases: 3").Run();
        Assert.That(run.Diagnostics, Is.EqualTo(new[] { "specs/tiny.fusion.yaml(6,1-7) FG1001" }));
        Assert.That(Errors(run), Is.Empty);
    }

    [Test]
    public void Descriptors_follow_the_catalogue_and_the_release_notes_follow_both()
    {
        Assert.That(Descriptors.All.Keys, Is.EquivalentTo(ProblemCatalogue.All.Select(k => k.Id)));
        var folder = Path.GetFullPath(Path.Combine(SourceFolder(), "../../generators/FusionGen.Generators"));
        var rows = File.ReadAllLines(Path.Combine(folder, "AnalyzerReleases.Unshipped.md")).Concat(File.ReadAllLines(Path.Combine(folder, "AnalyzerReleases.Shipped.md")))
            .Where(l => l.StartsWith("FG", StringComparison.Ordinal));
        Assert.That(rows, Is.EquivalentTo(ProblemCatalogue.All.Select(k => $"{k.Id} | FusionGen | {k.Severity} | {k.Title}")));
    }

    private static IEnumerable<string> Errors(GeneratorRun run) => run.Compilation.GetDiagnostics().Where(d => d.Severity == DiagnosticSeverity.Error).Select(d => d.ToString());

    private static string SourceFolder([System.Runtime.CompilerServices.CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
}
