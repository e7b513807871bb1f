using FusionGen.Cli.Output;
using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec;

namespace FusionGen.Cli.Compilation;

/// <summary>A spec out of a file, with the command line's overrides applied.</summary>
internal sealed class SpecFile
{
    private const string Extension = ".fusion.yaml";
    private const string PolicyExtension = ".policy.yaml";
    private readonly SpecPositions positions;

    private SpecFile(string path, string text, SpecDocument document, SpecPositions positions)
    {
        this.Path = path;
        this.Text = text;
        this.Document = document;
        this.positions = positions;
    }

    /// <summary>The file, as the user named it.</summary>
    public string Path { get; }

    /// <summary>Its text after overrides.</summary>
    public string Text { get; }

    /// <summary>What it says.</summary>
    public SpecDocument Document { get; }

    /// <summary>The file's name without <c>.fusion.yaml</c>.</summary>
    public string Name => NameOf(System.IO.Path.GetFileName(this.Path));

    /// <summary>Where its policy is: <c>x.policy.yaml</c> beside it.</summary>
    public string PolicyPath => NameOf(this.Path) + PolicyExtension;

    /// <summary>The spec that a policy lies beside; any other path as it is.</summary>
    public static string OfPolicy(string path) => path.EndsWith(PolicyExtension, StringComparison.Ordinal) ? path[..^PolicyExtension.Length] + Extension : path;

    /// <summary>Reads a spec.</summary>
    /// <param name="path">The file.</param>
    /// <param name="overrides">Assignments such as <c>search.epochs=3</c>.</param>
    /// <param name="terminal">Hears warnings.</param>
    /// <exception cref="DiagnosticsException">The spec has errors.</exception>
    public static SpecFile Load(string path, IReadOnlyList<string> overrides, Terminal terminal)
    {
        return Parse(path, Override(Read(path, "spec"), overrides), terminal);
    }

    /// <summary>Reads a spec's text.</summary>
    /// <exception cref="DiagnosticsException">The spec has errors.</exception>
    public static SpecFile Parse(string path, string text, Terminal terminal)
    {
        var result = SpecReader.Read(text);
        Report(result.Problems.Select(problem => Diagnostic.Of(path, problem, result.Positions)), terminal);
        return new SpecFile(path, text, result.Document!, result.Positions);
    }

    /// <summary>The same spec with further overrides.</summary>
    /// <exception cref="DiagnosticsException">One of them is not legal.</exception>
    public SpecFile With(IReadOnlyList<string> overrides, Terminal terminal) => Parse(this.Path, Override(this.Text, overrides), terminal);

    /// <summary>Reads a policy of this spec.</summary>
    /// <param name="path">The file; null for the one beside the spec, which may be missing.</param>
    /// <param name="terminal">Hears warnings.</param>
    /// <exception cref="DiagnosticsException">The policy has errors or does not fit.</exception>
    public PolicyDocument? Policy(string? path, Terminal terminal)
    {
        if (path is null && !File.Exists(this.PolicyPath))
            return null;
        path ??= this.PolicyPath;
        var result = PolicyReader.Read(Read(path, "policy"));
        var problems = result.Document is { } document ? result.Problems.Concat(PolicyBinder.Check(this.Document, document)) : result.Problems;
        Report(problems.Select(problem => Diagnostic.Of(path, problem, result.Positions)), terminal);
        return result.Document;
    }

    /// <summary>The networks of the spec, for what is known before anything runs.</summary>
    /// <exception cref="DiagnosticsException">Shapes or budgets do not hold.</exception>
    public Networks Networks(PolicyDocument? policy, Terminal terminal)
    {
        this.Files(policy, terminal);
        return Compiler.Emit.Networks.Build(this.Document, policy);
    }

    /// <summary>The files a build generates.</summary>
    /// <exception cref="DiagnosticsException">Shapes or budgets do not hold.</exception>
    public IReadOnlyList<GeneratedFile> Files(PolicyDocument? policy, Terminal terminal)
    {
        var result = FusionCompiler.Compile(this.Document, policy);
        Report(result.Problems.Select(problem => Diagnostic.Of(this.Path, problem, this.positions)), terminal);
        return result.Files;
    }

    /// <summary>Compiles and loads it.</summary>
    /// <exception cref="DiagnosticsException">Shapes or budgets do not hold.</exception>
    public CompiledSpec Compile(PolicyDocument? policy, Terminal terminal)
    {
        this.Files(policy, terminal);
        return CompiledSpec.Compile(this.Document, policy);
    }

    /// <summary>The weights' file; null to leave the backbone at its random start.</summary>
    /// <param name="option">The command line's word: a file, <c>none</c>, or null for the spec's.</param>
    public string? Weights(string? option) => option switch
    {
        "none" => null,
        null => this.Document.Backbone.Weights.Length == 0 ? null : System.IO.Path.Combine(System.IO.Path.GetDirectoryName(this.Path) ?? "", this.Document.Backbone.Weights),
        _ => option,
    };

    /// <summary>Applies overrides in the order that makes each of them legal, if there is one: fewer epochs may need a shorter warm-up first.</summary>
    private static string Override(string text, IReadOnlyList<string> overrides)
    {
        var pending = overrides.ToList();
        while (pending.Count > 0)
        {
            var results = pending.Select(assignment => (Assignment: assignment, Result: SpecOverrides.Apply(text, assignment))).ToList();
            var legal = results.Find(result => !result.Result.Problems.Any(problem => problem.Kind.Severity == Severity.Error));
            if (legal.Assignment is null)
                throw new DiagnosticsException([.. results[0].Result.Problems.Select(problem => Diagnostic.OfOverride(results[0].Assignment, problem))]);
            text = legal.Result.Text;
            pending.Remove(legal.Assignment);
        }
        return text;
    }

    private static string NameOf(string path) => path.EndsWith(Extension, StringComparison.Ordinal) ? path[..^Extension.Length] : System.IO.Path.ChangeExtension(path, null);

    private static string Read(string path, string what)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new FusionException($"{path}: the {what} cannot be read: {error.Message}", ExitCode.Spec, error);
        }
    }

    private static void Report(IEnumerable<Diagnostic> diagnostics, Terminal terminal)
    {
        var all = diagnostics.ToList();
        if (all.Exists(diagnostic => diagnostic.IsError))
            throw new DiagnosticsException(all);
        terminal.Diagnostics(all);
    }
}
