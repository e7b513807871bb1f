namespace FusionGen.Compiler.Problems;

/// <summary>How bad a <see cref="Problem"/> is.</summary>
public enum Severity
{
    /// <summary>Worth knowing.</summary>
    Info,

    /// <summary>Probably not what was meant; code is still emitted.</summary>
    Warning,

    /// <summary>The spec has no meaning as it stands; only type shells are emitted.</summary>
    Error,
}

/// <summary>A place in a text: zero-based lines and columns, zero-based offsets, as Roslyn counts them.</summary>
public readonly record struct TextRange(int Start, int Length, int StartLine, int StartColumn, int EndLine, int EndColumn);

/// <summary>
/// Something wrong with a spec or policy. <paramref name="Node"/> names the place in the document
/// (<c>layers[0].candidates[2]</c>, <c>backbone.patch</c>) so that a problem stays equal when lines move;
/// <c>SpecPositions</c> turns it into line and column.
/// </summary>
/// <param name="Kind">The catalogue entry.</param>
/// <param name="Node">Path of the node in the document; empty for the document itself.</param>
/// <param name="Arguments">What fills the message's <c>{0}</c>, <c>{1}</c>, ….</param>
public sealed record Problem(ProblemKind Kind, string Node, EquatableArray<string> Arguments)
{
    /// <summary>The message, complete.</summary>
    public string Message => string.Format(System.Globalization.CultureInfo.InvariantCulture, this.Kind.Format, [.. this.Arguments]);
}

/// <summary>An entry of the catalogue of problems: one id, one meaning.</summary>
/// <param name="Id"><c>FG####</c>: FG0xxx YAML syntax, FG1xxx schema, FG2xxx shapes and budgets, FG3xxx names, FG4xxx policy, FG9xxx internal.</param>
/// <param name="Severity">Default severity.</param>
/// <param name="Title">A few words.</param>
/// <param name="Format">The message with <c>{0}</c>-style holes; says what is wrong and what to do.</param>
public sealed record ProblemKind(string Id, Severity Severity, string Title, string Format)
{
    /// <summary>This problem at a node.</summary>
    public Problem At(string node, params string[] arguments) => new(this, node, arguments.ToEquatableArray());
}
