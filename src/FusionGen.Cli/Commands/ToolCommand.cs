using System.CommandLine;
using FusionGen.Cli.Output;

namespace FusionGen.Cli.Commands;

/// <summary>A command line that was understood, and where its command runs.</summary>
internal sealed record Invocation(ParseResult Parse, Terminal Terminal, CancellationToken Cancellation)
{
    /// <summary>Value of an option.</summary>
    public T Get<T>(Option<T> option) => this.Parse.GetValue(option)!;

    /// <summary>Value of an argument.</summary>
    public T Get<T>(Argument<T> argument) => this.Parse.GetValue(argument)!;
}

/// <summary>A command of the tool: one file each. Its help ends with examples that can be pasted.</summary>
internal abstract class ToolCommand : Command
{
    /// <summary>A command with a name, a summary and examples.</summary>
    protected ToolCommand(string name, string summary, params string[] examples)
        : base(name, summary)
    {
        this.Examples = examples;
        this.Options.Add(this.Verbose);
    }

    /// <summary>Command lines that can be pasted.</summary>
    public IReadOnlyList<string> Examples { get; }

    /// <summary>Whether an internal error shows its stack.</summary>
    public Option<bool> Verbose { get; } = new("--verbose") { Description = "Show where an internal error comes from." };

    /// <summary>Runs it.</summary>
    /// <exception cref="FusionException">Something the user can mend.</exception>
    public abstract ExitCode Run(Invocation invocation);

    /// <summary>Adds an option and returns it.</summary>
    internal Option<T> Takes<T>(Option<T> option)
    {
        this.Options.Add(option);
        return option;
    }

    /// <summary>Adds an argument and returns it.</summary>
    internal Argument<T> Takes<T>(Argument<T> argument)
    {
        this.Arguments.Add(argument);
        return argument;
    }
}
