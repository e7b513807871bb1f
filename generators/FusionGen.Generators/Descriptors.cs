using FusionGen.Compiler.Problems;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Text;

namespace FusionGen.Generators;

/// <summary>The catalogue of problems as Roslyn's diagnostics.</summary>
internal static class Descriptors
{
    /// <summary>By id.</summary>
    public static IReadOnlyDictionary<string, DiagnosticDescriptor> All { get; } = ProblemCatalogue.All.ToDictionary(kind => kind.Id, Of, StringComparer.Ordinal);

    /// <summary>A diagnostic at a place of a spec or policy.</summary>
    public static Diagnostic Create(string path, PlacedProblem placed)
    {
        var range = placed.Range;
        var location = Location.Create(
            path,
            new TextSpan(range.Start, range.Length),
            new LinePositionSpan(new LinePosition(range.StartLine, range.StartColumn), new LinePosition(range.EndLine, range.EndColumn)));
        return Diagnostic.Create(All[placed.Problem.Kind.Id], location, [.. placed.Problem.Arguments]);
    }

    private static DiagnosticDescriptor Of(ProblemKind kind) => new(
        kind.Id,
        kind.Title,
        kind.Format,
        "FusionGen",
        kind.Severity switch { Severity.Error => DiagnosticSeverity.Error, Severity.Warning => DiagnosticSeverity.Warning, _ => DiagnosticSeverity.Info },
        isEnabledByDefault: true,
        helpLinkUri: ProblemCatalogue.HelpLink(kind));
}
