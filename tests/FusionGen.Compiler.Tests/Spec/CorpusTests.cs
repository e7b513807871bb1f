using System.Globalization;
using System.Text.RegularExpressions;
using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Tests.Spec;

/// <summary>A malformed file and the problems it must give: lines <c>#! FG1003 5:10-15 part of the message</c> at its end, one-based.</summary>
internal sealed record CorpusCase(string Name, string Text, IReadOnlyList<string> Expected)
{
    /// <summary>The spec that the corpus' policies are for.</summary>
    public static SpecDocument Base { get; } = SpecReader.Read("""
        fusiongen: 1
        model: Tiny
        namespace: Corpus
        backbone: { family: vit, image: 32, patch: 8, width: 48, depth: 4, heads: 4 }
        classes: 7
        operators: { add: { kind: add }, affine: { kind: affine } }
        layers: [{ at: 0..3, candidates: [add, affine] }]
        """).Document!;

    public static IReadOnlyList<CorpusCase> All { get; } =
        [.. Directory.EnumerateFiles(Path.Combine(TestContext.CurrentContext.TestDirectory, "Corpus"), "*.yaml").Order(StringComparer.Ordinal).Select(Load)];

    public override string ToString() => this.Name;

    /// <summary>What the compiler says of the file: problems with their place.</summary>
    public IReadOnlyList<(Problem Problem, TextRange Range)> Judge()
    {
        if (this.Name.EndsWith(".policy.yaml", StringComparison.Ordinal))
        {
            var policy = PolicyReader.Read(this.Text);
            var all = policy.Problems.Concat(policy.Document is null ? [] : PolicyBinder.Check(Base, policy.Document));
            return [.. all.Select(p => (p, policy.Positions.Find(p.Node)))];
        }

        var spec = SpecReader.Read(this.Text);
        var problems = spec.Problems.Concat(spec.Document is null ? [] : FusionCompiler.Compile(spec.Document, null).Problems);
        return [.. problems.Select(p => (p, spec.Positions.Find(p.Node)))];
    }

    private static CorpusCase Load(string path)
    {
        var text = File.ReadAllText(path);
        var footer = text.StartsWith("#! ", StringComparison.Ordinal) ? 0 : text.IndexOf("\n#! ", StringComparison.Ordinal) + 1;
        return new CorpusCase(Path.GetFileName(path), text[..footer].Replace("@HASH@", SpecHash.Of(Base), StringComparison.Ordinal), text[footer..].TrimEnd('\n').Split('\n'));
    }
}

internal sealed partial class CorpusTests
{
    [TestCaseSource(typeof(CorpusCase), nameof(CorpusCase.All))]
    public void A_malformed_file_gives_the_expected_problems_in_the_expected_places(object file)
    {
        var (_, _, expected) = (CorpusCase)file;
        var found = ((CorpusCase)file).Judge();
        var report = string.Join('\n', found.Select(f => $"{f.Problem.Kind.Id} {Place(f.Range)} {f.Problem.Message}"));
        Assert.That(found, Has.Count.EqualTo(expected.Count), report);
        foreach (var ((problem, range), line) in found.Zip(expected))
        {
            var parts = Expectation().Match(line);
            Assert.That(parts.Success, line);
            Assert.That(problem.Kind.Id, Is.EqualTo(parts.Groups["id"].Value), report);
            var place = Place(range);
            Assert.That(parts.Groups["place"].Value.Contains('-', StringComparison.Ordinal) ? place : place.Split('-')[0], Is.EqualTo(parts.Groups["place"].Value), report);
            Assert.That(problem.Message, Does.Contain(parts.Groups["text"].Value));
            Assert.That(range.StartLine, Is.EqualTo(range.EndLine));
        }
    }

    [Test]
    public void The_corpus_is_large_enough() => Assert.That(CorpusCase.All, Has.Count.GreaterThanOrEqualTo(100));

    [Test]
    public void A_text_too_long_to_be_a_spec_is_refused()
    {
        var result = SpecReader.Read(new string('#', (1 << 18) + 1));
        Assert.That(result.Problems.Single().Message, Does.Contain("262145").And.Contain("262144"));
    }

    private static string Place(TextRange range) =>
        string.Create(CultureInfo.InvariantCulture, $"{range.StartLine + 1}:{range.StartColumn + 1}-{range.EndColumn + 1}");

    [GeneratedRegex(@"^#! (?<id>FG\d{4}) (?<place>\d+:\d+(-\d+)?) ?(?<text>.*)$")]
    private static partial Regex Expectation();
}
