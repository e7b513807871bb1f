using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Emit;

/// <summary>The types of a spec without their content.</summary>
internal static class ShellCode
{
    public static IEnumerable<GeneratedFile> Files(SpecShell shell)
    {
        if (shell.Model.Length == 0 || shell.Namespace.Length == 0)
            yield break;
        yield return new GeneratedFile(FusionCompiler.FileName(shell.Namespace, shell.Model, "Shell"), SourceHeader.File(shell.Namespace, code => Write(code, shell)));
    }

    private static void Write(CodeWriter code, SpecShell shell)
    {
        var model = shell.Model;
        const string Reason = "throw new InvalidOperationException(\"the spec has errors; see the build's FG messages\")";
        code.Line("#pragma warning disable CS1591");
        code.Line(SourceHeader.GeneratedCode);
        using (code.Block($"public static class {model}Plan"))
        {
            code.Line($"public static NetworkPlan Backbone => {Reason};");
            code.Line($"public static NetworkPlan Supernet => {Reason};");
            code.Line($"public static NetworkPlan Model => {Reason};");
            code.Line($"public static SearchSettings Search => {Reason};");
            code.Line($"public static TrainSettings Train => {Reason};");
        }
        code.Line(SourceHeader.GeneratedCode);
        using (code.Block($"public sealed record {model}Policy : IPolicy<{model}Policy>"))
        {
            code.Line("public static IReadOnlyList<LayerCandidates> Layers => [];");
            code.Line($"public string Model => {Names.Literal(model)};");
            code.Line("public string SpecHash => \"\";");
            code.Line("public IReadOnlyList<int> Choices => [];");
            code.Line("public IReadOnlyList<string> Names => [];");
            code.Line($"public static {model}Policy FromChoices(IReadOnlyList<int> choices) => {Reason};");
            code.Line($"public static {model}Policy Parse(string text) => {Reason};");
            code.Line($"public string ToYaml() => {Reason};");
        }
        Network(code, $"{model}Supernet", $"Supernet<{model}Policy>", $"base({model}Plan.Supernet, [], device, dtype)", ", Mixture mixture", Reason);
        Network(code, $"{model}Backbone", "FusionModel", $"base({model}Plan.Backbone, [], [], device, dtype)", "", Reason);
        Network(code, $"{model}Model", "FusionModel", $"base({model}Plan.Model, [], [], device, dtype)", "", Reason);
    }

    private static void Network(CodeWriter code, string type, string @base, string call, string mixture, string reason)
    {
        code.Line(SourceHeader.GeneratedCode);
        using (code.Block($"public sealed class {type} : {@base}"))
        {
            using (code.Block($"public {type}(Device? device = null, ScalarType dtype = ScalarType.Float32)\n    : {call}"))
            {
            }
            code.Line($"public override Tensor Features(Tensor images, IReadOnlyList<Tensor> values{mixture}) => {reason};");
            code.Line($"public override Tensor Forward(Tensor images, IReadOnlyList<Tensor> values{mixture}) => {reason};");
        }
    }
}
