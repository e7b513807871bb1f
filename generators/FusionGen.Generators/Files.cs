using FusionGen.Compiler;
using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec;

namespace FusionGen.Generators;

// What passes between the steps of the generator: values only, so that an equal value means nothing to do.

/// <summary>What a file in the folder of specs is.</summary>
internal enum FileKind
{
    Spec,
    Policy,
    Other,
}

/// <summary>A file as read, with the places of its nodes. <paramref name="Stem"/>: its path without <c>.fusion.yaml</c> or <c>.policy.yaml</c>.</summary>
internal sealed record SourceFile(string Path, string Stem, FileKind Kind, SpecResult? Spec, PolicyResult? Policy, EquatableArray<Problem> Problems)
{
    public const string SpecSuffix = ".fusion.yaml";
    public const string PolicySuffix = ".policy.yaml";

    public SpecPositions Positions => this.Spec?.Positions ?? this.Policy?.Positions ?? new SpecPositions(default);

    public string Name => NameOf(this.Path);

    public static string NameOf(string path) => path.Substring(path.LastIndexOfAny(['/', '\\']) + 1);
}

/// <summary>A spec without places: equal before and after a comment was edited.</summary>
internal sealed record SpecFile(string Path, string Stem, SpecDocument? Document, SpecShell? Shell)
{
    /// <summary>What hint names are made of; two specs with one cannot both be generated. Case does not tell hint names apart.</summary>
    public string FullName => $"{this.Shell?.Namespace}.{this.Shell?.Model}";
}

/// <summary>A policy without places; <paramref name="Document"/> is null where it has errors.</summary>
internal sealed record PolicyFile(string Path, string Stem, PolicyDocument? Document);

/// <summary>The files of specs that share a model's name.</summary>
internal sealed record Clash(string FullName, EquatableArray<string> Paths);

/// <summary>All that a spec's code depends on.</summary>
internal sealed record Unit(SpecFile Spec, PolicyFile? Policy, Clash? Clash);

/// <summary>What a spec compiles to. <paramref name="Networks"/>: what other specs may share.</summary>
internal sealed record CompiledUnit(GeneratedFile? Source, FileProblems SpecProblems, FileProblems PolicyProblems, CompiledNetworks? Networks);

/// <summary>Problems of a file, by node.</summary>
internal sealed record FileProblems(string Path, EquatableArray<Problem> Problems);

/// <summary>A problem at a place in a file.</summary>
internal sealed record PlacedProblem(Problem Problem, TextRange Range);

/// <summary>Problems of a file, by place.</summary>
internal sealed record FileDiagnostics(string Path, EquatableArray<PlacedProblem> Problems);
