using System.Diagnostics;
using FusionGen.Cli.Output;

namespace FusionGen.Cli.Tests;

/// <summary>Runs command lines in this process.</summary>
internal static class CommandLine
{
    /// <summary>What a command line came to.</summary>
    public sealed record Result(int Code, string Output, string Errors);

    /// <summary>Runs it as a pipe would see it.</summary>
    public static Result Run(params string[] arguments) => Run(default, arguments);

    /// <summary>Runs it and cancels when a line of its error output says so.</summary>
    public static Result RunUntil(string text, params string[] arguments)
    {
        using var cancellation = new CancellationTokenSource();
        using var errors = new Watcher(line =>
        {
            if (line.Contains(text, StringComparison.Ordinal))
                cancellation.Cancel();
        });
        return Run(errors, arguments, cancellation.Token);
    }

    /// <summary>Runs it as a pipe would see it, until cancelled.</summary>
    public static Result Run(CancellationToken cancellation, params string[] arguments)
    {
        using var errors = new StringWriter();
        return Run(errors, arguments, cancellation);
    }

    private static Result Run(StringWriter errors, string[] arguments, CancellationToken cancellation)
    {
        using var output = new StringWriter();
        var code = Tool.Run(arguments, new Terminal(output, errors), cancellation);
        if (!LibTorch.IsPresent && errors.ToString().Contains("libtorch-dev", StringComparison.Ordinal))
            throw new IgnoreException(errors.ToString());
        return new Result(code, output.ToString(), errors.ToString());
    }

    /// <summary>Runs it by the tool in a folder, in a process of its own.</summary>
    public static Result Process(string folder, params string[] arguments)
    {
        using var process = System.Diagnostics.Process.Start(new ProcessStartInfo("dotnet", [Path.Combine(folder, "fusiongen.dll"), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = folder,
        })!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new Result(process.ExitCode, output, errors.Result);
    }

    /// <summary>A file of the shared goldens.</summary>
    public static string Golden(string name) => Path.Combine(TestContext.CurrentContext.TestDirectory, "goldens", $"{name}.safetensors");

    private sealed class Watcher(Action<string> see) : StringWriter
    {
        public override void WriteLine(string? value)
        {
            base.WriteLine(value);
            see(value ?? "");
        }
    }
}
