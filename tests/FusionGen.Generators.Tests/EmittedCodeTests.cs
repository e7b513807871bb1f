using Microsoft.CodeAnalysis;

namespace FusionGen.Generators.Tests;

internal sealed class EmittedCodeTests
{
    private const string Every = """
        fusiongen: 1
        model: Every
        namespace: Some.App
        doc: All kinds of operators & <candidates>.
        backbone: { family: vit, image: 32, patch: 8, width: 48, depth: 4, heads: 4, pool: mean }
        classes: 7
        head: vpt
        operators:
          add: { kind: add, cost: 2 }
          affine: { kind: affine, share: false }
          concat: { kind: concat }
          cross: { kind: cross-attention }
          deep: { kind: prefix }
          skip: { kind: none }
        layers:
          - { at: 0..1, candidates: [add, affine, concat, cross, deep, skip] }
          - { at: 2, candidates: [cross] }
          - { at: 3, candidates: [] }
        """;

    private const string Swin = """
        fusiongen: 1
        model: Windows
        namespace: Some.App
        backbone: { family: swin, image: 64, patch: 4, width: 24, depths: [2, 2], heads: [3, 6], window: 4 }
        classes: 5
        operators: { add: { kind: add }, cross: { kind: cross-attention } }
        layers: [{ at: 0..3, candidates: [add, cross] }]
        """;

    private static readonly (string, string)[] Files =
    [
        ("specs/every.fusion.yaml", Every),
        ("specs/every.policy.yaml", Specs.Policy(Every, "concat", "deep", "cross", "")),
        ("specs/windows.fusion.yaml", Swin),
        ("specs/windows.policy.yaml", Specs.Policy(Swin, "add", "cross", "add", "cross")),
        ("specs/plain.fusion.yaml", "fusiongen: 1\nmodel: Plain\nnamespace: App\nbackbone: { family: vit, image: 16, patch: 8, width: 16, depth: 2, heads: 2 }\nclasses: 3\ntune: all\n"),
    ];

    [Test]
    public void Emitted_code_compiles_without_a_warning()
    {
        var run = new Harness(Files).Run();
        Assert.That(run.Diagnostics, Is.Empty);
        Assert.That(run.Compilation.GetDiagnostics().Where(d => d.Severity >= DiagnosticSeverity.Warning).Select(d => d.ToString()), Is.Empty);
        Assert.That(run.Compilation.GetTypeByMetadataName("Some.App.EverySupernet"), Is.Not.Null);
        Assert.That(run.Compilation.GetTypeByMetadataName("Some.App.EveryModel"), Is.Not.Null);
        Assert.That(run.Compilation.GetTypeByMetadataName("App.PlainSupernet"), Is.Null, "no candidates, no supernet");
    }

    [Test]
    public void Shells_compile_without_a_warning()
    {
        var run = new Harness(("specs/every.fusion.yaml", Every.Replace("classes: 7", "classes: many"))).Run();
        Assert.That(run.Sources.Keys, Is.EqualTo(new[] { "Some.App.Every.g.cs" }));
        Assert.That(run.Compilation.GetDiagnostics().Where(d => d.Severity >= DiagnosticSeverity.Warning).Select(d => d.ToString()), Is.Empty);
    }

    [Test]
    public void Emitted_code_is_the_same_to_the_byte_and_holds_no_path()
    {
        var (first, second) = (new Harness(Files).Run(), new Harness(Files).Run());
        Assert.That(first.Sources, Is.EqualTo(second.Sources));
        foreach (var text in first.Sources.Values)
            Assert.That(text, Does.Not.Contain('\r').And.Not.Contain("specs/").And.EndWith("\n"));
    }
}
