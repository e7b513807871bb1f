using FusionGen.Cli.Commands;

namespace FusionGen.Cli.Tests;

/// <summary>Help that teaches: every command says what it does, explains every option and ends with examples that parse.</summary>
[TestFixture]
internal sealed class HelpTests
{
    [TestCaseSource(nameof(Names))]
    public void Help_ends_with_examples(string name)
    {
        var result = CommandLine.Run(name, "--help");
        Assert.Multiple(() =>
        {
            Assert.That(result.Code, Is.Zero, result.Errors);
            Assert.That(result.Output, Does.Contain("Examples:").And.Contain($"  fusiongen {name}"));
        });
    }

    [TestCaseSource(nameof(Names))]
    public void Examples_are_command_lines_the_tool_understands(string name)
    {
        foreach (var example in Command(name).Examples.Where(example => example.StartsWith("fusiongen ", StringComparison.Ordinal)))
        {
            var words = example.Split('#')[0].Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).ToArray();
            Assert.That(Tool.Root().Parse(words).Errors.Select(error => error.Message), Is.Empty, example);
        }
    }

    [TestCaseSource(nameof(Names))]
    public void Every_option_is_explained(string name) => Assert.That(
        Command(name).Options.Where(option => string.IsNullOrEmpty(option.Description)).Select(option => option.Name), Is.Empty);

    [Test]
    public void The_tool_lists_its_commands()
    {
        var result = CommandLine.Run("--help");
        Assert.That(result.Code, Is.Zero);
        foreach (var name in Names())
            Assert.That(result.Output, Does.Contain($"  {name} "));
    }

    private static ToolCommand Command(string name) => Tool.Root().Subcommands.OfType<ToolCommand>().First(command => command.Name == name);

    private static IEnumerable<string> Names() => Tool.Root().Subcommands.Select(command => command.Name);
}
