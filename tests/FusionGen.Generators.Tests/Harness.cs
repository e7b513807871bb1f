using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Text;

namespace FusionGen.Generators.Tests;

/// <summary>
/// A project with specs, edited and built again and again as an editor does. Every <see cref="Run"/> runs the generator twice and asserts that
/// the second run had nothing to do: whatever is tested, it is tested to be incremental.
/// </summary>
internal sealed class Harness
{
    private static readonly CSharpParseOptions Options = new(LanguageVersion.Preview, DocumentationMode.Diagnose);

    private static readonly ImmutableArray<MetadataReference> References =
    [
        .. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Where(p => Path.GetFileName(p) is var name && !name.StartsWith("Microsoft.CodeAnalysis", StringComparison.Ordinal) && !name.StartsWith("nunit", StringComparison.OrdinalIgnoreCase))
            .Select(p => MetadataReference.CreateFromFile(p)),
    ];

    private readonly Dictionary<string, AdditionalText> files = new(StringComparer.Ordinal);
    private GeneratorDriver driver;
    private CSharpCompilation compilation = CSharpCompilation.Create(
        "Consumer",
        references: References,
        options: new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, nullableContextOptions: NullableContextOptions.Enable, warningLevel: 9999));

    public Harness(params (string Path, string Text)[] files)
        : this(isTracked: true)
    {
        foreach (var (path, text) in files)
            this.Write(path, text);
    }

    public Harness(bool isTracked)
    {
        this.driver = CSharpGeneratorDriver.Create(
            [new FusionGenerator().AsSourceGenerator()],
            parseOptions: Options,
            optionsProvider: new MetadataOptions(),
            driverOptions: new GeneratorDriverOptions(IncrementalGeneratorOutputKind.None, trackIncrementalGeneratorSteps: isTracked));
    }

    /// <summary>Adds a file, or changes it.</summary>
    public Harness Write(string path, string text)
    {
        var file = new InMemoryText(path, text);
        this.driver = this.files.TryGetValue(path, out var old) ? this.driver.ReplaceAdditionalText(old, file) : this.driver.AddAdditionalTexts([file]);
        this.files[path] = file;
        return this;
    }

    /// <summary>Deletes a file.</summary>
    public Harness Delete(string path)
    {
        this.driver = this.driver.RemoveAdditionalTexts([this.files[path]]);
        this.files.Remove(path);
        return this;
    }

    /// <summary>Replaces a piece of a file that must be there.</summary>
    public Harness Edit(string path, string old, string replacement)
    {
        var text = this.files[path].GetText()!.ToString();
        Assert.That(text, Does.Contain(old));
        return this.Write(path, text.Replace(old, replacement, StringComparison.Ordinal));
    }

    /// <summary>Adds C# to the project.</summary>
    public Harness AddCode(string code)
    {
        this.compilation = this.compilation.AddSyntaxTrees(CSharpSyntaxTree.ParseText(code, Options));
        return this;
    }

    /// <summary>An equal but new provider of options, as every evaluation of the project gives.</summary>
    public Harness RenewOptions()
    {
        this.driver = this.driver.WithUpdatedAnalyzerConfigOptions(new MetadataOptions());
        return this;
    }

    /// <summary>Runs the generator, and again.</summary>
    public GeneratorRun Run()
    {
        this.driver = this.driver.RunGenerators(this.compilation);
        var first = this.driver.GetRunResult().Results.Single();
        // A new compilation with the same content: what another keystroke elsewhere gives.
        this.driver = this.driver.RunGenerators(this.compilation.Clone());
        var second = this.driver.GetRunResult().Results.Single();
        Assert.That(first.Exception, Is.Null);
        foreach (var (name, steps) in second.TrackedSteps.Where(s => s.Key.StartsWith("FusionGen", StringComparison.Ordinal) || s.Key.Contains("Output", StringComparison.Ordinal)))
        {
            foreach (var (_, reason) in steps.SelectMany(s => s.Outputs))
                Assert.That(reason, Is.AnyOf(IncrementalStepRunReason.Cached, IncrementalStepRunReason.Unchanged), $"{name} has work to do though nothing changed");
        }

        foreach (var (_, reason) in second.TrackedOutputSteps.SelectMany(s => s.Value).SelectMany(s => s.Outputs))
            Assert.That(reason, Is.EqualTo(IncrementalStepRunReason.Cached), "an output has work to do though nothing changed");
        return new GeneratorRun(first, this.compilation.AddSyntaxTrees(first.GeneratedSources.Select(s => s.SyntaxTree)));
    }

    private sealed class InMemoryText(string path, string text) : AdditionalText
    {
        private readonly SourceText source = SourceText.From(text);

        public override string Path => path;

        public override SourceText GetText(CancellationToken cancellationToken = default) => this.source;
    }

    /// <summary>Files below specs/ carry the flag that the package's props give them.</summary>
    private sealed class MetadataOptions : AnalyzerConfigOptionsProvider
    {
        public override AnalyzerConfigOptions GlobalOptions => new Values(false);

        public override AnalyzerConfigOptions GetOptions(SyntaxTree tree) => this.GlobalOptions;

        public override AnalyzerConfigOptions GetOptions(AdditionalText textFile) => new Values(textFile.Path.StartsWith("specs/", StringComparison.Ordinal));

        private sealed class Values(bool isSpec) : AnalyzerConfigOptions
        {
            public override bool TryGetValue(string key, [NotNullWhen(true)] out string? value)
            {
                value = isSpec && key == "build_metadata.AdditionalFiles.FusionGenSpec" ? "true" : null;
                return value is not null;
            }
        }
    }
}

/// <summary>What a run gave.</summary>
internal sealed record GeneratorRun(GeneratorRunResult Result, CSharpCompilation Compilation)
{
    /// <summary>Texts by hint name.</summary>
    public IReadOnlyDictionary<string, string> Sources { get; } = Result.GeneratedSources.ToDictionary(s => s.HintName, s => s.SourceText.ToString());

    /// <summary>Diagnostics of specs and policies, as the compiler prints them.</summary>
    public IReadOnlyList<string> Diagnostics { get; } =
    [
        .. Result.Diagnostics.OrderBy(d => d.Location.GetLineSpan().Path, StringComparer.Ordinal).ThenBy(d => d.Location.SourceSpan.Start).Select(d =>
        {
            var span = d.Location.GetLineSpan();
            return FormattableString.Invariant($"{span.Path}({span.StartLinePosition.Line + 1},{span.StartLinePosition.Character + 1}-{span.EndLinePosition.Character + 1}) {d.Id}");
        }),
    ];

    /// <summary>How often each step gave an output for each reason: <c>Parse: Modified 1, Cached 2</c>.</summary>
    public string Reasons(string step) => string.Join(", ", this.Result.TrackedSteps.GetValueOrDefault(step, []).SelectMany(s => s.Outputs).GroupBy(o => o.Reason).OrderBy(g => g.Key).Select(g => $"{g.Key} {g.Count()}"));

    /// <summary>How many outputs were produced anew.</summary>
    public int FreshOutputs => this.Result.TrackedOutputSteps.SelectMany(s => s.Value).SelectMany(s => s.Outputs).Count(o => o.Reason is not IncrementalStepRunReason.Cached);
}
