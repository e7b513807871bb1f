using Spectre.Console;

namespace FusionGen.Cli.Output;

/// <summary>Where a command writes: results to the output, complaints and progress to the error output. Plain text unless it is a terminal.</summary>
internal sealed class Terminal
{
    // Pipes and files have no width: nothing is wrapped there.
    private const int PlainWidth = 10_000;
    private readonly IAnsiConsole console;
    private readonly IAnsiConsole errorConsole;

    /// <summary>Writes to two writers.</summary>
    public Terminal(TextWriter output, TextWriter error, bool isTerminal = false, bool isErrorTerminal = false, int width = PlainWidth)
    {
        this.Output = output;
        this.ErrorOutput = error;
        this.IsErrorTerminal = isErrorTerminal;
        this.Width = width;
        this.console = Console(output, isTerminal, width);
        this.errorConsole = Console(error, isErrorTerminal, width);
    }

    /// <summary>Results.</summary>
    public TextWriter Output { get; }

    /// <summary>Complaints and progress.</summary>
    public TextWriter ErrorOutput { get; }

    /// <summary>Whether lines of the error output can be overwritten.</summary>
    public bool IsErrorTerminal { get; }

    /// <summary>Columns.</summary>
    public int Width { get; }

    /// <summary>The process's own.</summary>
    public static Terminal OfProcess()
    {
        var isTerminal = !System.Console.IsOutputRedirected;
        var isErrorTerminal = !System.Console.IsErrorRedirected;
        return new Terminal(System.Console.Out, System.Console.Error, isTerminal, isErrorTerminal, isTerminal || isErrorTerminal ? Math.Max(60, System.Console.WindowWidth) : PlainWidth);
    }

    /// <summary>A line of results.</summary>
    public void Line(string text = "") => this.Output.WriteLine(text);

    /// <summary>Something worth knowing that is no result.</summary>
    public void Note(string text) => this.ErrorOutput.WriteLine(text);

    /// <summary>A heading.</summary>
    public void Heading(string text) => this.console.MarkupLineInterpolated($"[bold]{text}[/]");

    /// <summary>A table.</summary>
    public void Table(Table table) => this.console.Write(table);

    /// <summary>A complaint.</summary>
    public void Error(string text)
    {
        this.errorConsole.Markup("[red]error:[/] ");
        this.ErrorOutput.WriteLine(text);
    }

    /// <summary>Problems of specs and policies, as a compiler prints them.</summary>
    public void Diagnostics(IEnumerable<Diagnostic> diagnostics)
    {
        foreach (var diagnostic in diagnostics)
        {
            if (this.IsErrorTerminal)
                this.errorConsole.MarkupLineInterpolated($"{diagnostic.Place}: [{diagnostic.Colour}]{diagnostic.Severity} {diagnostic.Id}[/]: {diagnostic.Message}");
            else
                this.ErrorOutput.WriteLine(diagnostic);
        }
    }

    private static IAnsiConsole Console(TextWriter writer, bool isTerminal, int width)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = isTerminal ? AnsiSupport.Detect : AnsiSupport.No,
            ColorSystem = isTerminal ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
            Out = new AnsiConsoleOutput(writer),
        });
        console.Profile.Width = width;
        return console;
    }
}
