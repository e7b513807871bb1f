using System.Runtime.CompilerServices;
using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Tests.Spec;

internal sealed class ShippedSpecTests
{
    [TestCaseSource(nameof(Files))]
    public void A_shipped_spec_compiles_with_its_policy_and_without_a_word(string name)
    {
        var path = Path.Combine(Folder(), name);
        var spec = SpecReader.Read(File.ReadAllText(path));
        Assert.That(spec.Problems.Select(p => p.Message), Is.Empty);
        var beside = path.Replace(".fusion.yaml", ".policy.yaml", StringComparison.Ordinal);
        var policy = File.Exists(beside) ? PolicyReader.Read(File.ReadAllText(beside)) : null;
        Assert.That(policy?.Problems.Select(p => p.Message) ?? [], Is.Empty);
        if (policy is not null)
            Assert.That(PolicyBinder.Check(spec.Document!, policy.Document!).Select(p => p.Message), Is.Empty);
        var compiled = FusionCompiler.Compile(spec.Document!, policy?.Document);
        Assert.That(compiled.Problems.Select(p => p.Message), Is.Empty);
        Assert.That(JsonSchemaTests.Errors(File.ReadAllText(path)), Is.Empty);
    }

    private static IEnumerable<string> Files() => new[] { "specs", "eng/deploy/specs" }
        .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Folder(), folder), "*.fusion.yaml", SearchOption.AllDirectories))
        .Select(file => Path.GetRelativePath(Folder(), file)).Order(StringComparer.Ordinal);

    private static string Folder([CallerFilePath] string path = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, "../../.."));
}
