using System.CommandLine;
using FusionGen.Checkpoints;
using FusionGen.Cli.Compilation;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen gen</c>.</summary>
internal sealed class GenCommand : ToolCommand
{
    private readonly Argument<string> spec;
    private readonly Option<string?> policy;
    private readonly Option<string[]> overrides;
    private readonly Option<string?> folder;

    public GenCommand()
        : base(
            "gen",
            "Writes the C# that a build generates from a spec, to read it or to build without the generator.",
            "fusiongen gen specs/sprites.fusion.yaml --out generated",
            "fusiongen gen specs/sprites.fusion.yaml --policy other.policy.yaml --out generated")
    {
        this.spec = this.Takes(CommonOptions.Spec());
        this.policy = this.Takes(CommonOptions.Policy());
        this.overrides = this.Takes(CommonOptions.Set());
        this.folder = this.Takes(CommonOptions.Out("Folder for the files; created if missing. Default: generated."));
    }

    public override ExitCode Run(Invocation invocation)
    {
        var file = SpecFile.Load(invocation.Get(this.spec), invocation.Get(this.overrides), invocation.Terminal);
        var folder = invocation.Get(this.folder) ?? "generated";
        foreach (var generated in file.Files(file.Policy(invocation.Get(this.policy), invocation.Terminal), invocation.Terminal))
        {
            // Hint names start with a folder of their own, which a folder of generated files does not need.
            var path = Path.Combine(folder, Path.GetFileName(generated.Name));
            AtomicFile.WriteText(path, generated.Text);
            invocation.Terminal.Line(path);
        }
        return ExitCode.Ok;
    }
}
