using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Emit;

/// <summary>A generated file: its hint name and text.</summary>
public sealed record GeneratedFile(string Name, Code Code)
{
    /// <summary>Its text as a string.</summary>
    public string Text => this.Code.ToString();
}

/// <summary>What a spec compiles to.</summary>
/// <param name="Files">The files.</param>
/// <param name="Problems">What is wrong with it.</param>
/// <param name="Networks">Its networks, which a <see cref="NetworkCache"/> knows as long as somebody holds them; null where there is an error.</param>
public sealed record CompileResult(EquatableArray<GeneratedFile> Files, EquatableArray<Problem> Problems, CompiledNetworks? Networks);

/// <summary>From a spec, and a policy where one was found, to C# text. Deterministic to the byte.</summary>
public static class FusionCompiler
{
    /// <summary>Compiles a spec.</summary>
    /// <param name="spec">The spec.</param>
    /// <param name="policy">The policy; null where none was found.</param>
    /// <param name="cache">Networks of specs compiled before; null for none.</param>
    public static CompileResult Compile(SpecDocument spec, PolicyDocument? policy, NetworkCache? cache = null)
    {
        CompiledNetworks networks;
        try
        {
            networks = (cache ?? new NetworkCache()).Of(spec, policy);
        }
        catch (ShapeException exception)
        {
            var problem = exception.Operator.Length > 0
                ? ProblemCatalogue.OperatorShape.At($"operators.{exception.Operator}", exception.Operator, exception.Message)
                : ProblemCatalogue.BackboneShape.At("backbone", spec.Backbone.Family, exception.Message);
            return new CompileResult(Shell(SpecShell.Of(spec)), EquatableArray.Of(problem), null);
        }
        var problems = Budget.Check(networks).ToEquatableArray();
        return problems.Any(problem => problem.Kind.Severity == Severity.Error)
            ? new CompileResult(Shell(SpecShell.Of(spec)), problems, null)
            : new CompileResult(Files(networks, policy).ToEquatableArray(), problems, networks);
    }

    /// <summary>Types without content for a spec that has no meaning, so that a wrong key is one error and not one per use of the model.</summary>
    public static EquatableArray<GeneratedFile> Shell(SpecShell shell) => ShellCode.Files(shell).ToEquatableArray();

    /// <summary>A spec's files as one: what a build adds. A driver looks through all names for each it is given, so fewer are better.</summary>
    public static GeneratedFile? Join(SpecShell shell, EquatableArray<GeneratedFile> files) =>
        files.Count == 0 ? null : new GeneratedFile($"{shell.Namespace}.{shell.Model}.g.cs", Code.Join(files.Select(file => file.Code)));

    /// <summary>Hint name of a generated file. The dot before the part keeps models A and APlan apart.</summary>
    internal static string FileName(string @namespace, string model, string part) => $"{@namespace}.{model}.{part}.g.cs";

    private static IEnumerable<GeneratedFile> Files(CompiledNetworks networks, PolicyDocument? policy)
    {
        var spec = networks.Spec;
        yield return File(spec, "Plan", code => PlanCode.Write(code, SpecHash.Of(spec), networks));
        yield return File(spec, "Backbone", code => Model(code, spec, "Backbone", networks.Backbone, spec.Layers.Select(_ => ""), spec.Tune.Scope switch
        {
            TuneScope.All => "the whole network, every parameter tuned",
            TuneScope.Bias => "the backbone with every bias tuned, and its head",
            TuneScope.Last => $"the backbone with its last {Text.Invariant(spec.Tune.Blocks)} blocks and final norm tuned, and its head",
            _ => "the frozen backbone and its head: the linear probe",
        }));
        if (networks.Supernet is { } supernet)
        {
            yield return File(spec, "Policy", code => PolicyCode.Write(code, spec));
            yield return File(spec, "Supernet", code => Type(code, spec, "Supernet", supernet, $"Supernet<{spec.Model}Policy>", "", $"{spec.Model} with every candidate of every layer."));
        }
        if (networks.Model is { } model)
            yield return File(spec, "Model", code => Model(code, spec, "Model", model, policy!.Choices, "the operators of the found policy and nothing else"));
        foreach (var (name, network) in networks.All)
        {
            yield return File(spec, $"{name}Training", code => Program(code, $"{spec.Model}{name}Training", network.Training, "A training step: the forward pass and the gradients of everything tuned"));
            yield return File(spec, $"{name}Inference", code => Program(code, $"{spec.Model}{name}Inference", network.Inference, "The forward pass"));
        }
    }

    private static GeneratedFile File(SpecDocument spec, string suffix, Action<CodeWriter> write) =>
        new(FileName(spec.Namespace, spec.Model, suffix), SourceHeader.File(spec.Namespace, write));

    private static void Model(CodeWriter code, SpecDocument spec, string suffix, CompiledNetwork network, IEnumerable<string> policy, string doc) =>
        Type(code, spec, suffix, network, "FusionModel", $", [{string.Join(", ", policy.Select(Names.Literal))}]", $"{spec.Model}: {doc}.");

    /// <summary>A network's class; <paramref name="arguments"/> are what its base takes between the table of parameters and the device.</summary>
    private static void Type(CodeWriter code, SpecDocument spec, string suffix, CompiledNetwork network, string baseType, string arguments, string doc)
    {
        var type = spec.Model + suffix;
        code.Doc($"{doc} {spec.Doc}".TrimEnd());
        code.Line(SourceHeader.GeneratedCode);
        using (code.Block($"public sealed class {type} : {baseType}"))
        {
            code.Doc("Creates the parameters; call Initialize or load weights before use.");
            using (code.Block($"public {type}(Device? device = null, ScalarType dtype = ScalarType.Float32)\n    : base({spec.Model}Plan.{suffix}, {spec.Model}Plan.{suffix}Tensors{arguments}, device, dtype)"))
            {
            }
            code.Line();
            code.Line("/// <inheritdoc/>");
            code.Line($"protected override StaticProgram TrainingProgram() => new {type}Training();");
            code.Line();
            code.Line("/// <inheritdoc/>");
            code.Line($"protected override StaticProgram InferenceProgram() => new {type}Inference();");
            code.Line();
            code.Lines(network.Members);
        }
    }

    /// <summary>A static program's class.</summary>
    private static void Program(CodeWriter code, string type, CompiledProgram program, string doc)
    {
        code.Doc($"{doc}, on memory planned at compile time.");
        code.Line(SourceHeader.GeneratedCode);
        code.Line($"internal sealed class {type}()");
        code.Lines(program.Class);
    }
}
