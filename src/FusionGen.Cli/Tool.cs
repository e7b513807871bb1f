using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using FusionGen.Cli.Commands;
using FusionGen.Cli.Output;

namespace FusionGen.Cli;

/// <summary>The tool: finds the command, runs it, turns what goes wrong into a message and an exit code.</summary>
internal static class Tool
{
    /// <summary>Runs a command line.</summary>
    public static int Run(IReadOnlyList<string> arguments, Terminal terminal, CancellationToken cancellation)
    {
        var root = Root();
        var parse = root.Parse(arguments);
        if (parse.Errors.Count > 0)
            return (int)Refuse(parse, terminal);
        if (parse.Action is SynchronousCommandLineAction action)
            return action.Invoke(Configured(parse, terminal));
        var command = (ToolCommand)parse.CommandResult.Command;
        try
        {
            return (int)command.Run(new Invocation(parse, terminal, cancellation));
        }
        catch (DiagnosticsException error)
        {
            terminal.Diagnostics(error.Diagnostics);
            return (int)error.Code;
        }
        catch (FusionException error)
        {
            terminal.Error(error.Message);
            return (int)error.Code;
        }
        catch (OperationCanceledException)
        {
            terminal.Error("stopped before there was a state worth saving; run the same command again");
            return (int)ExitCode.Checkpointed;
        }
        catch (NotSupportedException error) when (!LibTorch.IsPresent)
        {
            terminal.Error(error.Message);
            return (int)ExitCode.Spec;
        }
#pragma warning disable CA1031 // The last line of defence: whatever it is, the user gets a sentence and not a crash.
        catch (Exception error)
#pragma warning restore CA1031
        {
            var isVerbose = parse.GetValue(command.Verbose);
            terminal.Error(isVerbose ? $"internal error: {error}" : $"internal error: {error.GetType().Name}: {error.Message} (--verbose shows where)");
            return (int)ExitCode.Internal;
        }
    }

    /// <summary>Every command.</summary>
    public static RootCommand Root()
    {
        var root = new RootCommand("Searches, trains and checks prompt-fusion networks that are declared in YAML specs.\nStart with: fusiongen check specs/sprites.fusion.yaml");
        foreach (var command in Commands())
            root.Subcommands.Add(command);
        var help = root.Options.OfType<HelpOption>().Single();
        help.Action = new HelpWithExamples((HelpAction)help.Action!);
        return root;
    }

    private static IEnumerable<ToolCommand> Commands() =>
    [
        new CheckCommand(),
        new ExplainCommand(),
        new GenCommand(),
        new SearchCommand(),
        new TrainCommand(),
        new RunCommand(),
        new CompareCommand(),
        new EvalCommand(),
        new PredictCommand(),
        new ReportCommand(),
        new DataCommand(),
        new ParityCommand(),
        new PretrainCommand(),
        new ImportWeightsCommand(),
        new ExportCommand(),
        new BenchCommand(),
        new DoctorCommand(),
        new SchemaCommand(),
    ];

    private static ParseResult Configured(ParseResult parse, Terminal terminal)
    {
        parse.InvocationConfiguration.Output = terminal.Output;
        parse.InvocationConfiguration.Error = terminal.ErrorOutput;
        return parse;
    }

    private static ExitCode Refuse(ParseResult parse, Terminal terminal)
    {
        foreach (var error in parse.Errors)
            terminal.Error(error.Message);
        var name = parse.CommandResult.Command is ToolCommand command ? $"fusiongen {command.Name}" : "fusiongen";
        terminal.ErrorOutput.WriteLine($"'{name} --help' shows what it takes.");
        return ExitCode.Spec;
    }

    /// <summary>The library's help, followed by the command's examples.</summary>
    private sealed class HelpWithExamples(HelpAction help) : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            var code = help.Invoke(parseResult);
            if (parseResult.CommandResult.Command is ToolCommand command)
            {
                var output = parseResult.InvocationConfiguration.Output;
                output.WriteLine("Examples:");
                foreach (var example in command.Examples)
                    output.WriteLine($"  {example}");
                output.WriteLine();
            }
            return code;
        }
    }
}
