using System.Reflection;
using System.Runtime.Loader;
using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Spec;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using static TorchSharp.torch;

namespace FusionGen.Cli.Compilation;

/// <summary>A spec compiled and loaded in memory: the same text that a build generates, through the same compiler and Roslyn.</summary>
public sealed class CompiledSpec
{
    private readonly Assembly assembly;

    private CompiledSpec(SpecDocument spec, PolicyDocument? policy, Assembly assembly)
    {
        this.Spec = spec;
        this.Policy = policy;
        this.assembly = assembly;
    }

    /// <summary>The spec.</summary>
    public SpecDocument Spec { get; }

    /// <summary>The policy it was compiled with, where there is one.</summary>
    public PolicyDocument? Policy { get; }

    /// <summary>Whether some layer has candidates.</summary>
    public bool HasSupernet => this.TypeOf("Supernet") is not null;

    /// <summary>Whether a policy was given.</summary>
    public bool HasModel => this.TypeOf("Model") is not null;

    /// <summary>Compiles a spec, and a policy where one was found.</summary>
    /// <exception cref="FusionException">The spec's shapes or budgets do not hold.</exception>
    public static CompiledSpec Compile(SpecDocument spec, PolicyDocument? policy)
    {
        ArgumentNullException.ThrowIfNull(spec);
        return new CompiledSpec(spec, policy, Load(spec.Model, Emit(spec.Model, Sources(spec, policy))));
    }

    /// <summary>The same as the image of an assembly, for another process to load.</summary>
    /// <exception cref="FusionException">The spec's shapes or budgets do not hold.</exception>
    public static byte[] Image(SpecDocument spec, PolicyDocument? policy)
    {
        ArgumentNullException.ThrowIfNull(spec);
        return Emit(spec.Model, Sources(spec, policy));
    }

    /// <summary>The frozen backbone and its head.</summary>
    public FusionModel CreateBackbone(Device? device = null, ScalarType dtype = ScalarType.Float32) => (FusionModel)this.Create("Backbone", device, dtype);

    /// <summary>The supernet.</summary>
    public Supernet CreateSupernet(Device? device = null, ScalarType dtype = ScalarType.Float32) => (Supernet)this.Create("Supernet", device, dtype);

    /// <summary>The model of the policy.</summary>
    public FusionModel CreateModel(Device? device = null, ScalarType dtype = ScalarType.Float32) => (FusionModel)this.Create("Model", device, dtype);

    /// <summary>Compiles C# against the runtime and loads it into a collectible context.</summary>
    /// <param name="name">Name of the assembly.</param>
    /// <param name="sources">Names and texts of the files.</param>
    /// <exception cref="InvalidOperationException">The text does not compile: a fault of the emitter.</exception>
    internal static Assembly Load(string name, IEnumerable<(string Name, string Text)> sources) => Load(name, Emit(name, sources));

    private static Assembly Load(string name, byte[] image)
    {
        using var stream = new MemoryStream(image);
        return new AssemblyLoadContext(name, isCollectible: true).LoadFromStream(stream);
    }

    private static IEnumerable<(string Name, string Text)> Sources(SpecDocument spec, PolicyDocument? policy)
    {
        var result = FusionCompiler.Compile(spec, policy);
        var errors = result.Problems.Where(problem => problem.Kind.Severity == FusionGen.Compiler.Problems.Severity.Error).ToArray();
        return errors.Length > 0
            ? throw new FusionException(string.Join('\n', errors.Select(problem => $"{problem.Kind.Id}: {problem.Message}")), ExitCode.Spec)
            : result.Files.Select(file => (file.Name, file.Text));
    }

    private static byte[] Emit(string name, IEnumerable<(string Name, string Text)> sources)
    {
        var options = new CSharpParseOptions(LanguageVersion.CSharp14);
        var compilation = CSharpCompilation.Create(
            name,
            sources.Select(source => CSharpSyntaxTree.ParseText(source.Text, options, source.Name)),
            References.Value,
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, optimizationLevel: OptimizationLevel.Release, nullableContextOptions: NullableContextOptions.Enable));
        using var image = new MemoryStream();
        var emitted = compilation.Emit(image);
        if (!emitted.Success)
        {
            var errors = emitted.Diagnostics.Where(diagnostic => diagnostic.Severity == DiagnosticSeverity.Error).Take(5);
            throw new InvalidOperationException("generated code does not compile, which is a fault of FusionGen:\n" + string.Join('\n', errors));
        }
        return image.ToArray();
    }

    private static readonly Lazy<MetadataReference[]> References = new(() =>
    [
        .. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Where(path => path.EndsWith(".dll", StringComparison.Ordinal))
            .Select(path => (MetadataReference)MetadataReference.CreateFromFile(path)),
    ]);

    private Type? TypeOf(string suffix) => this.assembly.GetType($"{this.Spec.Namespace}.{this.Spec.Model}{suffix}");

    private object Create(string suffix, Device? device, ScalarType dtype)
    {
        var type = this.TypeOf(suffix) ?? throw new InvalidOperationException($"{this.Spec.Model} has no {suffix}");
        return Activator.CreateInstance(type, device, dtype)!;
    }
}
