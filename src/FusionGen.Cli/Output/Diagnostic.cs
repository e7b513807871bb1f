using System.Globalization;
using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec;

namespace FusionGen.Cli.Output;

/// <summary>A problem at a place: <c>specs/x.fusion.yaml(4,5): error FG1003: …</c>, which editors and build logs understand.</summary>
/// <param name="Place">File, and line and column from 1.</param>
/// <param name="Severity"><c>error</c>, <c>warning</c> or <c>info</c>.</param>
/// <param name="Id"><c>FG####</c>.</param>
/// <param name="Message">What is wrong and what to do.</param>
internal sealed record Diagnostic(string Place, string Severity, string Id, string Message)
{
    /// <summary>Colour on a terminal.</summary>
    public string Colour => this.Severity switch { "error" => "red", "warning" => "yellow", _ => "blue" };

    /// <summary>Whether nothing can be compiled.</summary>
    public bool IsError => this.Severity == "error";

    /// <summary>A problem of a file.</summary>
    public static Diagnostic Of(string path, Problem problem, SpecPositions positions)
    {
        var range = positions.Find(problem.Node);
        return new Diagnostic(
            string.Create(CultureInfo.InvariantCulture, $"{path}({range.StartLine + 1},{range.StartColumn + 1})"), Name(problem.Kind.Severity), problem.Kind.Id, problem.Message);
    }

    /// <summary>A problem of an override.</summary>
    public static Diagnostic OfOverride(string assignment, Problem problem) => new($"--set {assignment}", Name(problem.Kind.Severity), problem.Kind.Id, problem.Message);

    /// <inheritdoc/>
    public override string ToString() => $"{this.Place}: {this.Severity} {this.Id}: {this.Message}";

    private static string Name(Severity severity) => severity switch
    {
        Compiler.Problems.Severity.Error => "error",
        Compiler.Problems.Severity.Warning => "warning",
        _ => "info",
    };
}

/// <summary>A spec or policy has errors.</summary>
internal sealed class DiagnosticsException(IReadOnlyList<Diagnostic> diagnostics) : FusionException(string.Join('\n', diagnostics), ExitCode.Spec)
{
    /// <summary>Every problem, warnings too.</summary>
    public IReadOnlyList<Diagnostic> Diagnostics { get; } = diagnostics;
}
