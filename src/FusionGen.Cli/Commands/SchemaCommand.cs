using System.CommandLine;
using FusionGen.Checkpoints;
using FusionGen.Compiler.Spec;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen schema</c>.</summary>
internal sealed class SchemaCommand : ToolCommand
{
    private readonly Option<string?> path;

    public SchemaCommand()
        : base(
            "schema",
            "Prints the JSON schema of specs (draft-07), for completion in editors.",
            "fusiongen schema",
            "fusiongen schema --out schema/fusiongen.schema.json",
            "# first line of a spec:  # yaml-language-server: $schema=../schema/fusiongen.schema.json")
    {
        this.path = this.Takes(CommonOptions.Out("Write it to a file instead."));
    }

    public override ExitCode Run(Invocation invocation)
    {
        var text = JsonSchemas.Spec();
        if (invocation.Get(this.path) is { } file)
            AtomicFile.WriteText(file, text.EndsWith('\n') ? text : text + "\n");
        else
            invocation.Terminal.Line(text.TrimEnd('\n'));
        return ExitCode.Ok;
    }
}
