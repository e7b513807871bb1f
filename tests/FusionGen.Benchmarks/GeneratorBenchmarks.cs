using System.Collections.Immutable;
using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Runtime;
using System.Text.Json;
using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using FusionGen.Generators;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Text;

namespace FusionGen.Benchmarks;

/// <summary>What a run of the generator takes.</summary>
/// <param name="Name">What was run.</param>
/// <param name="Specs">Specs of the project, of 24 layers each.</param>
/// <param name="Seconds">Median.</param>
/// <param name="Bytes">Allocated.</param>
/// <param name="MostSeconds">What it should take at most; 0 for no demand.</param>
/// <param name="MostBytes">What it should allocate at most; 0 for no demand.</param>
internal sealed record GeneratorRow(string Name, int Specs, double Seconds, long Bytes, double MostSeconds, long MostBytes)
{
    /// <summary>As on the command line; as first argument of a process, makes it measure and answer with what it measured.</summary>
    public const string Row = "generator";

    private const string ServerCollector = "DOTNET_gcServer";

    private const int WarmUps = 3;

    /// <summary>Measures every row, in a process that collects garbage as the compiler's server does.</summary>
    public static IReadOnlyList<GeneratorRow> Run()
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!, [typeof(GeneratorRow).Assembly.Location, Row]) { RedirectStandardOutput = true };
        start.Environment[ServerCollector] = "1";
        using var process = Process.Start(start)!;
        var answer = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? JsonSerializer.Deserialize<GeneratorRow[]>(answer)!
            : throw new FusionException("the generator could not be measured; what it said is above", ExitCode.Internal);
    }

    /// <summary>Measures every row here, and writes them to standard output.</summary>
    public static void Answer() => Console.WriteLine(JsonSerializer.Serialize(Measure()));

    private static IEnumerable<GeneratorRow> Measure()
    {
        var summary = BenchmarkRunner.Run<GeneratorBenchmarks>(ManualConfig.CreateEmpty()
            .AddColumnProvider(DefaultColumnProviders.Instance)
            .AddLogger(NullLogger.Instance)
            .AddDiagnoser(MemoryDiagnoser.Default)
            .AddJob(Job.Default.WithToolchain(InProcessEmitToolchain.Instance).WithWarmupCount(WarmUps).WithIterationCount(7))
            .WithArtifactsPath(Path.Combine(Path.GetTempPath(), "fusiongen-benchmarks"))
            .WithOptions(ConfigOptions.DisableLogFile));
        foreach (var report in summary.Reports)
        {
            var benchmark = report.BenchmarkCase;
            var name = benchmark.Descriptor.WorkloadMethod.Name;
            var specs = (int)benchmark.Parameters["Specs"];
            yield return new GeneratorRow(
                benchmark.Descriptor.WorkloadMethodDisplayInfo.Trim('\''),
                specs,
                (report.ResultStatistics?.Median ?? double.NaN) / 1e9,
                report.GcStats.GetBytesAllocatedPerOperation(benchmark) ?? 0,
                (name, specs) switch { (nameof(GeneratorBenchmarks.Cold) or nameof(GeneratorBenchmarks.ColdApart), GeneratorBenchmarks.Many) => 0.060, (nameof(GeneratorBenchmarks.Unrelated), _) => 50e-6, _ => 0 },
                name == nameof(GeneratorBenchmarks.Unrelated) ? 30 * 1024 : 0);
        }
    }
}

/// <summary>The generator under Roslyn's driver, as the compiler and an editor run it.</summary>
public class GeneratorBenchmarks
{
    internal const int Many = 50;

    // The JIT compiles a method again and again as it learns of it: it is done when so many builds give it almost nothing to do.
    private const int Builds = 10, MostMethods = 20, MostRounds = 30;
    private static readonly CSharpParseOptions Options = new(LanguageVersion.CSharp14);
    private static readonly GeneratorDriver Empty = CSharpGeneratorDriver.Create([new FusionGenerator().AsSourceGenerator()], parseOptions: Options, optionsProvider: new SpecOptions());
    private ImmutableArray<AdditionalText> specs;
    private ImmutableArray<AdditionalText> apart;
    private CSharpCompilation compilation = null!;
    private CSharpCompilation edited = null!;
    private GeneratorDriver warm = null!;
    private AdditionalText recipe = null!;
    private int edits;

    /// <summary>Specs of the project.</summary>
    [Params(5, Many)]
    public int Specs { get; set; }

    /// <summary>Prepares a project that was built once.</summary>
    [GlobalSetup]
    public void SetUp()
    {
        this.compilation = CSharpCompilation.Create(
            "Consumer",
            [CSharpSyntaxTree.ParseText("class A;", Options)],
            [MetadataReference.CreateFromFile(typeof(object).Assembly.Location)],
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary));
        this.edited = this.compilation.AddSyntaxTrees(CSharpSyntaxTree.ParseText("class B;", Options));
        this.specs = [.. Enumerable.Range(0, this.Specs).Select(i => Spec(i, classes: 10))];
        this.apart = [.. Enumerable.Range(0, this.Specs).Select(i => Spec(i, classes: 10 + i))];
        this.recipe = Spec(0, classes: 10, rate: 0.01);
        this.warm = Empty.AddAdditionalTexts(this.specs).RunGenerators(this.compilation);
        if (this.warm.GetRunResult().Results.Single() is not { Exception: null, Diagnostics.Length: 0, GeneratedSources.Length: > 0 })
            throw new InvalidOperationException("the generator gave nothing");
        for (var round = 0; round < MostRounds; round++)
        {
            var methods = JitInfo.GetCompiledMethodCount();
            for (var build = 0; build < Builds; build++)
                this.ColdApart();
            if (JitInfo.GetCompiledMethodCount() - methods < MostMethods)
                break;
        }
    }

    /// <summary>A first build: backbones of 16 widths, so that of 50 specs about three have the same networks.</summary>
    [Benchmark(Description = "cold build, 16 widths")]
    public GeneratorDriver Cold() => Empty.AddAdditionalTexts(this.specs).RunGenerators(this.compilation);

    /// <summary>A first build where no spec has a network of another.</summary>
    [Benchmark(Description = "cold build, no two networks alike")]
    public GeneratorDriver ColdApart() => Empty.AddAdditionalTexts(this.apart).RunGenerators(this.compilation);

    /// <summary>What comes after it in a build: the driver leaves what it was given unparsed until somebody asks.</summary>
    [Benchmark(Description = "then, Roslyn parsing")]
    public int Parsing() => this.warm.GetRunResult().Results.Single().GeneratedSources.Sum(source => CSharpSyntaxTree.ParseText(source.SourceText, Options).GetRoot().FullSpan.Length);

    /// <summary>C# was edited that no spec knows of.</summary>
    [Benchmark(Description = "unrelated C# edit")]
    public GeneratorDriver Unrelated() => this.warm.RunGenerators(this.edited);

    /// <summary>A learning rate was edited.</summary>
    [Benchmark(Description = "one recipe edited")]
    public GeneratorDriver Recipe() => this.warm.ReplaceAdditionalText(this.specs[0], this.recipe).RunGenerators(this.compilation);

    /// <summary>One spec's network was edited, each time to another one.</summary>
    [Benchmark(Description = "one network edited")]
    public GeneratorDriver One() => this.warm.ReplaceAdditionalText(this.specs[0], Spec(0, classes: 100 + (this.edits++ % 900))).RunGenerators(this.compilation);

    private static SpecText Spec(int index, int classes, double rate = 0.001) => new($"specs/m{index}.fusion.yaml", FormattableString.Invariant($$"""
        fusiongen: 1
        model: Model{{index}}
        namespace: Consumer
        backbone: { family: vit, image: 224, patch: 16, width: {{64 * (1 + (index % 16))}}, depth: 24, heads: {{1 + (index % 16)}}, mlp: {{256 * (1 + (index % 16))}} }
        classes: {{classes}}
        prompts: { tokens: 10 }
        train: { optimizer: { kind: adamw, lr: {{rate}} } }
        operators:
          add:    { kind: add }
          affine: { kind: affine }
          concat: { kind: concat }
          cross:  { kind: cross-attention }
        layers:
          - { at: 0..23, candidates: [add, affine, concat, cross] }
        """));

    private sealed class SpecText(string path, string text) : AdditionalText
    {
        private readonly SourceText source = SourceText.From(text);

        public override string Path => path;

        public override SourceText GetText(CancellationToken cancellationToken = default) => this.source;
    }

    /// <summary>Every additional file is a spec, as the package's props say of a project's folder of specs.</summary>
    private sealed class SpecOptions : AnalyzerConfigOptionsProvider
    {
        private static readonly Flag Ours = new();

        public override AnalyzerConfigOptions GlobalOptions => Ours;

        public override AnalyzerConfigOptions GetOptions(SyntaxTree tree) => Ours;

        public override AnalyzerConfigOptions GetOptions(AdditionalText textFile) => Ours;

        private sealed class Flag : AnalyzerConfigOptions
        {
            public override bool TryGetValue(string key, [NotNullWhen(true)] out string? value)
            {
                value = key == "build_metadata.AdditionalFiles.FusionGenSpec" ? "true" : null;
                return value is not null;
            }
        }
    }
}
