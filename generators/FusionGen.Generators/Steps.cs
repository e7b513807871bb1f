using FusionGen.Compiler;
using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec;
using Microsoft.CodeAnalysis;

namespace FusionGen.Generators;

/// <summary>What each step of the generator does with a file. No step throws for any file: one bad file shall not take the others' code away.</summary>
internal static class Steps
{
    /// <summary>Text to values, while other files are read.</summary>
    public static Task<SourceFile> BeginParse(AdditionalText file, CancellationToken cancellation) => Task.Run(() => Parse(file, cancellation), cancellation);

    /// <summary>What was begun; done here if no other thread came to it.</summary>
    public static T Await<T>(Task<T> begun, CancellationToken cancellation) => begun.GetAwaiter().GetResult();

    /// <summary>The spec's values.</summary>
    public static SpecFile Spec(SourceFile file, CancellationToken cancellation) => new(file.Path, file.Stem, file.Spec?.Document, file.Spec?.Shell);

    /// <summary>The policy's values.</summary>
    public static PolicyFile Policy(SourceFile file, CancellationToken cancellation) => new(file.Path, file.Stem, file.Policy?.Document);

    /// <summary>Models that more than one spec describes.</summary>
    public static EquatableArray<Clash> Clashes(IEnumerable<SpecFile> specs, CancellationToken cancellation) => specs
        .Where(s => s.Shell is not null)
        .GroupBy(s => s.FullName, StringComparer.OrdinalIgnoreCase)
        .Where(g => g.Count() > 1)
        .OrderBy(g => g.Key.ToUpperInvariant(), StringComparer.Ordinal)
        .Select(g => new Clash(g.Key.ToUpperInvariant(), g.Select(s => s.Path).OrderBy(p => p, StringComparer.Ordinal).ToEquatableArray()))
        .ToEquatableArray();

    /// <summary>A spec with what else its code depends on.</summary>
    public static Unit Join(SpecFile spec, EquatableArray<PolicyFile> policies, EquatableArray<Clash> clashes) => new(
        spec,
        policies.FirstOrDefault(p => p.Stem == spec.Stem),
        clashes.FirstOrDefault(c => c.Paths.Contains(spec.Path)));

    /// <summary>Values to C#, while other specs' are.</summary>
    public static Task<CompiledUnit> BeginLower(Unit unit, NetworkCache cache, CancellationToken cancellation) => Task.Run(() => Lower(unit, cache), cancellation);

    /// <summary>The problems of a file with their places.</summary>
    public static FileDiagnostics Diagnose(SourceFile file, EquatableArray<FileProblems> compiled, EquatableArray<string> specs)
    {
        IEnumerable<Problem> problems = file.Problems;
        problems = problems.Concat(compiled.Where(p => p.Path == file.Path).SelectMany(p => p.Problems));
        if (file.Kind == FileKind.Policy && !specs.Contains(file.Stem))
            problems = problems.Append(ProblemCatalogue.PolicyOrphan.At("", SourceFile.NameOf(file.Stem) + SourceFile.SpecSuffix));
        return new FileDiagnostics(file.Path, problems.Select(p => new PlacedProblem(p, file.Positions.Find(p.Node))).ToEquatableArray());
    }

    /// <summary>Text to values.</summary>
    private static SourceFile Parse(AdditionalText file, CancellationToken cancellation)
    {
        var path = file.Path;
        var kind = HasSuffix(path, SourceFile.SpecSuffix) ? FileKind.Spec : HasSuffix(path, SourceFile.PolicySuffix) ? FileKind.Policy : FileKind.Other;
        var stem = kind == FileKind.Other ? path : path.Substring(0, path.Length - SourceFile.SpecSuffix.Length);
        var empty = new SourceFile(path, stem, kind, null, null, default);
        if (kind == FileKind.Other)
            return empty with { Problems = EquatableArray.Of(ProblemCatalogue.FileName.At("", empty.Name)) };
        try
        {
            var text = file.GetText(cancellation)?.ToString() ?? "";
            if (kind == FileKind.Policy)
                return PolicyReader.Read(text) is var policy ? empty with { Policy = policy, Problems = policy.Problems } : empty;
            var spec = SpecReader.Read(text);
            return empty with { Spec = spec, Problems = spec.Problems };
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            return empty with { Problems = EquatableArray.Of(Fault(e)) };
        }
    }

    private static CompiledUnit Lower(Unit unit, NetworkCache cache)
    {
        var nothing = new CompiledUnit(null, new FileProblems(unit.Spec.Path, default), new FileProblems(unit.Policy?.Path ?? "", default), null);
        if (unit.Clash is { } clash)
        {
            var names = string.Join(", ", clash.Paths.Select(SourceFile.NameOf));
            return nothing with { SpecProblems = nothing.SpecProblems with { Problems = EquatableArray.Of(ProblemCatalogue.DuplicateModel.At("model", unit.Spec.FullName, names)) } };
        }

        try
        {
            return Compile(unit, nothing, cache);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            return nothing with { SpecProblems = nothing.SpecProblems with { Problems = EquatableArray.Of(Fault(e)) } };
        }
    }

    private static CompiledUnit Compile(Unit unit, CompiledUnit nothing, NetworkCache cache)
    {
        if (unit.Spec.Document is not { } spec)
            return unit.Spec.Shell is { } shell ? nothing with { Source = FusionCompiler.Join(shell, FusionCompiler.Shell(shell)) } : nothing;
        var policy = unit.Policy?.Document;
        var policyProblems = policy is null ? default : PolicyBinder.Check(spec, policy);
        var compiled = FusionCompiler.Compile(spec, policy is not null && policyProblems.All(p => p.Kind.Severity != Severity.Error) ? policy : null, cache);
        // A policy that is there but wrong: the model's type stays known, so that the wrong choice is the only error.
        var broken = unit.Policy is not null && (policy is null || policyProblems.Any(p => p.Kind.Severity == Severity.Error));
        return new CompiledUnit(
            FusionCompiler.Join(SpecShell.Of(spec), broken ? FusionCompiler.Shell(SpecShell.Of(spec)) : compiled.Files),
            nothing.SpecProblems with { Problems = compiled.Problems },
            nothing.PolicyProblems with { Problems = policyProblems },
            compiled.Networks);
    }

    private static Problem Fault(Exception exception) => ProblemCatalogue.Internal.At("", $"{exception.GetType().Name}: {exception.Message}");

    private static bool HasSuffix(string path, string suffix) => path.EndsWith(suffix, StringComparison.OrdinalIgnoreCase);
}
