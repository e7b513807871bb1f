using System.Globalization;
using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Tests.Spec;

/// <summary>Random damage to valid specs: whatever the text, the compiler answers with problems in the text, and soon.</summary>
internal sealed class FuzzTests
{
    private const string Alphabet = "abz019 \t\n\r:-,.#[]{}&*!|>'\"%@`?~<=_\\/\uFEFF\u0085\u2028\uD834";

    private static readonly string[] Fragments =
        ["kind: ", "0..11", "- ", "{ ", " }", "[", "]", ": ", "\n  ", "null", "~", "&a ", "*a", "!!int ", "<<: ", "---\n", "...\n", "% ", "|\n", ">-\n", "? ", "1e309", "-0", "9999999999", "\"", "'", "#"];

    [Test]
    [CancelAfter(120_000)]
    public void Twenty_thousand_mutations_never_throw_and_every_problem_has_a_place_in_the_text(CancellationToken cancellation)
    {
        var random = new Random(20261121);
        var texts = Samples.All.Append(PolicyWriter.Write(new PolicyDocument("Tiny", "00", EquatableArray.Of("add", "", "affine")))).ToArray();
        var (valid, broken, compiled) = (0, 0, 0);
        for (var i = 0; i < 20_000; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            var original = texts[random.Next(texts.Length)];
            var text = Mutate(original, random, 1 + (i % 4));
            if (original.StartsWith("fusiongen-policy", StringComparison.Ordinal))
            {
                var policy = PolicyReader.Read(text);
                Check(text, policy.Problems, policy.Positions, policy.Document is null);
            }

            var spec = SpecReader.Read(text);
            Check(text, spec.Problems, spec.Positions, spec.Document is null);
            if (spec.Document is null)
                broken++;
            else
                valid++;
            // What still reads must compile or say why not; a few, because a network is built for each.
            if (spec.Document is { } document && document.Backbone is { Depth: <= 24, Width: <= 1024 } && compiled++ % 200 == 0)
                Assert.That(FusionCompiler.Compile(document, null).Files, Is.Not.Empty, text);
        }

        // Damage must neither always break the spec nor mostly leave it whole, or the test would not reach what it is for.
        Assert.That(Math.Min(valid, broken), Is.GreaterThan(500), $"{valid} valid, {broken} broken");
    }

    /// <summary>The largest texts of the worst kinds: none may take more than linear work, so each is done in a moment.</summary>
    [TestCaseSource(nameof(Monsters))]
    public void Large_and_crafted_texts_are_judged_in_a_moment(string name, string text)
    {
        Assert.That(text, Has.Length.LessThanOrEqualTo(1 << 18), name);
        var reading = Task.Run(() => SpecReader.Read(text));
        Assert.That(reading.Wait(TimeSpan.FromSeconds(30)), "hangs");
        Assert.That(reading.Result.Document, Is.Null);
        Assert.That(reading.Result.Problems, Has.Count.InRange(1, 26));
    }

    private static IEnumerable<TestCaseData> Monsters()
    {
        const int Size = (1 << 18) - 2000;
        yield return Monster("brackets", new string('[', Size));
        yield return Monster("braces", new string('{', Size));
        yield return Monster("dashes", string.Concat(Enumerable.Repeat("- ", Size / 2)));
        yield return Monster("quote", "a: \"" + new string('x', Size));
        yield return Monster("keys", Lines(Size / 10, i => $"k{i}: 1"));
        yield return Monster("equal keys", Lines(Size / 5, _ => "k: 1"));
        yield return Monster("anchors", Lines(Size / 20, i => $"k{i}: &a{i} 1"));
        yield return Monster("operators", Samples.Preset.Replace("operators: {", "operators: { " + string.Concat(Enumerable.Range(0, Size / 24).Select(i => $"o{i}: {{ kind: none }}, "))));
        yield return Monster("candidates", Samples.Preset.Replace("candidates: [deep]", $"candidates: [{string.Concat(Enumerable.Repeat("deep,", Size / 5))}]"));
        yield return Monster("layers", Samples.Preset.Replace("at: 0\n", $"at: [{string.Concat(Enumerable.Repeat("0..11,", Size / 6))}]\n"));
        yield return Monster("entries", Samples.Preset + "\n" + Lines(Size / 30, _ => "- { at: 0, candidates: [] }"));
        yield return Monster("long word", Samples.Preset.Replace("classes: 100", "classes: " + new string('9', Size)));
        yield return Monster("comment", "#" + new string('#', Size));
        yield return Monster("spaces", "a:" + new string(' ', Size) + "[");
        yield return Monster("block", "a: |\n" + Lines(Size / 4, _ => " x"));
        yield return Monster("questions", string.Concat(Enumerable.Repeat("? ", Size / 2)));

        static TestCaseData Monster(string name, string text) => new TestCaseData(name, text).SetArgDisplayNames(name);
        static string Lines(int count, Func<int, string> line) => string.Concat(Enumerable.Range(0, count).Select(i => line(i) + "\n"));
    }

    private static void Check(string text, EquatableArray<Problem> problems, SpecPositions positions, bool failed)
    {
        Assert.That(problems.Any(p => p.Kind.Severity == Severity.Error), Is.EqualTo(failed), text);
        foreach (var problem in problems)
        {
            var range = positions.Find(problem.Node);
            if (problem.Message.Length == 0 || problem.Kind.Id == "FG9001" || range.Start < 0 || range.Length < 0 || range.Start + range.Length > text.Length || range.StartColumn < 0)
                Assert.Fail($"{problem.Kind.Id} {problem.Message} at {range} in\n{text}");
        }
    }

    private static string Mutate(string text, Random random, int times)
    {
        for (var i = 0; i < times && text.Length > 0; i++)
        {
            var at = random.Next(text.Length);
            var length = Math.Min(random.Next(1, 12), text.Length - at);
            var line = text.LastIndexOf('\n', at) + 1;
            var next = text.IndexOf('\n', at) is var end and >= 0 ? end + 1 : text.Length;
            text = random.Next(10) switch
            {
                0 => text.Remove(at, length),
                1 => text.Insert(at, Alphabet[random.Next(Alphabet.Length)].ToString()),
                2 => text.Remove(at, 1).Insert(at, Alphabet[random.Next(Alphabet.Length)].ToString()),
                3 => text.Insert(random.Next(text.Length), text.Substring(at, length)),
                4 => text.Remove(line, next - line),
                5 => text.Insert(line, text[line..next]),
                6 => text.Insert(at, Fragments[random.Next(Fragments.Length)]),
                7 or 8 => Digit(text, at, random),
                _ => text[..at] + (random.Next(20) == 0 ? "" : text[Math.Min(at + 1, text.Length)..]),
            };
        }

        return text;
    }

    private static string Digit(string text, int at, Random random)
    {
        var digit = text.IndexOfAny("0123456789".ToCharArray(), at);
        return digit < 0 ? text : text.Remove(digit, 1).Insert(digit, random.Next(10).ToString(CultureInfo.InvariantCulture));
    }
}
