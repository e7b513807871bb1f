using System.Reflection;
using System.Text;
using FusionGen.Cli.Compilation;
using FusionGen.Compiler;
using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Operators;
using FusionGen.Compiler.Spec;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.EndToEnd.Tests;

/// <summary>Each operator alone against the authors' code: y = F(u, P), and the gradients of Σ y ⊙ cotangent.</summary>
public sealed class OperatorGoldenTests
{
    private const int Prompts = 5, Tokens = 17, Width = 48, Heads = 4;

    [TestCase("add", "add", 0)]
    [TestCase("affine", "affine", 0)]
    [TestCase("concat", "concat", 0)]
    [TestCase("concat_top4", "concat", 4)]
    [TestCase("cross", "cross-attention", 0)]
    public void Operator_is_the_authors(string golden, string kind, int top)
    {
        IgnoredWithoutLibTorch.Now();
        using var file = SafeTensors.Open(Path.Combine(TestContext.CurrentContext.TestDirectory, "goldens", "pfd_ops.safetensors"));
        using var scope = NewDisposeScope();
        var spec = kind == "concat" ? Specs.Operator(kind, ("top", top == 0 ? double.NaN : top)) : Specs.Operator(kind);
        var (network, parameters) = OperatorGraph(spec);
        var run = Compile(network, parameters);
        var official = kind == "cross-attention" ? "cross" : kind;
        string OfficialName(string name) => name == "prompts.0" ? "prompt" : $"operators.{official}.{name[$"operators.{kind}.".Length..]}";

        var u = file.Read("input/u").requires_grad_();
        var values = parameters.Select(p => file.Read(p.Name == "prompts.0" ? "input/prompt" : "state/" + OfficialName(p.Name)).requires_grad_()).ToArray();
        var y = (Tensor)run.Invoke(null, [u, values])!;
        Assert.That((y - file.Read($"output/{golden}")).abs().max().item<float>(), Is.LessThan(1e-5));

        (y * file.Read("input/cotangent")).sum().backward();
        Near(u.grad!, file.Read($"grad/{golden}/u"), "u");
        foreach (var (parameter, value) in parameters.Zip(values))
        {
            var expected = $"grad/{golden}/{OfficialName(parameter.Name)}";
            Near(value.grad!, file.Read(expected), parameter.Name);
        }
    }

    private static void Near(Tensor actual, Tensor expected, string what)
    {
        var largest = expected.abs().max().item<float>();
        Assert.That((actual - expected).abs().max().item<float>(), Is.LessThan((1e-4 * largest) + 1e-7), what);
    }

    private static (Value Output, ParameterOp[] Parameters) OperatorGraph(OperatorSpec spec)
    {
        var graph = new GraphBuilder();
        var u = graph.Input("u", Shape.Batched(1, Tokens, Width));
        var document = Specs.Tiny() with { Operators = EquatableArray.Of(spec), Prompts = new PromptSpec { Tokens = Prompts } };
        var fused = Fusion.OfBlock(graph, document, 0, EquatableArray.Of(spec.Name), Heads, "").At(Site.AttentionInput, u, u);
        var live = new HashSet<Value>();
        void Reach(Value value)
        {
            if (live.Add(value))
                value.Inputs.ToList().ForEach(Reach);
        }
        Reach(fused);
        return (fused, [.. graph.Values.Where(live.Contains).Select(value => value.Op).OfType<ParameterOp>()]);
    }

    private static MethodInfo Compile(Value output, ParameterOp[] parameters)
    {
        var names = new Dictionary<Value, string>();
        var body = new StringBuilder();
        string NameOf(Value value)
        {
            if (names.TryGetValue(value, out var known))
                return known;
            if (value.Op is InputOp)
                return "u";
            if (value.Op is ParameterOp parameter)
                return $"w[{Array.IndexOf(parameters, parameter)}]";
            var code = EagerCode.Expression(value, [.. value.Inputs.Select(NameOf)], isSupernet: false);
            names.Add(value, $"v{value.Id}");
            body.Append("var v").Append(value.Id).Append(" = ").Append(code).Append(";\n");
            return names[value];
        }
        var result = NameOf(output);
        var text = $$"""
            using FusionGen; using TorchSharp; using static TorchSharp.torch; using static TorchSharp.torch.nn;
            public static class Alone { public static Tensor Run(Tensor u, Tensor[] w) { {{body}} return {{result}}; } }
            """;
        return CompiledSpec.Load("Alone", [("Alone.cs", text)]).GetType("Alone")!.GetMethod("Run")!;
    }
}
