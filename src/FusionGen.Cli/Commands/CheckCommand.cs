using System.CommandLine;
using FusionGen.Cli.Compilation;
using FusionGen.Cli.Output;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen check</c>.</summary>
internal sealed class CheckCommand : ToolCommand
{
    private readonly Argument<string[]> specs;
    private readonly Option<string[]> overrides;

    public CheckCommand()
        : base(
            "check",
            "Checks specs and the policies beside them, as a build does: keys, types, shapes and budgets.",
            "fusiongen check specs/sprites.fusion.yaml",
            "fusiongen check specs/*.yaml",
            "fusiongen check specs/sprites.fusion.yaml --set prompts.tokens=20")
    {
        this.specs = this.Takes(new Argument<string[]>("specs") { Description = "One or more specs; a policy stands for the spec beside it.", Arity = ArgumentArity.OneOrMore });
        this.overrides = this.Takes(CommonOptions.Set());
    }

    public override ExitCode Run(Invocation invocation)
    {
        var code = ExitCode.Ok;
        foreach (var path in invocation.Get(this.specs).Select(SpecFile.OfPolicy).Distinct(StringComparer.Ordinal))
        {
            try
            {
                var spec = SpecFile.Load(path, invocation.Get(this.overrides), invocation.Terminal);
                var policy = spec.Policy(null, invocation.Terminal);
                spec.Files(policy, invocation.Terminal);
                invocation.Terminal.Line($"{path}: {spec.Document.Model} holds{(policy is null ? "" : ", and so does its policy")}");
            }
            catch (DiagnosticsException error)
            {
                // One bad file does not hide the problems of the next.
                invocation.Terminal.Diagnostics(error.Diagnostics);
                code = ExitCode.Spec;
            }
            catch (FusionException error)
            {
                invocation.Terminal.Error(error.Message);
                code = error.Code;
            }
        }
        return code;
    }
}
