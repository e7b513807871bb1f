using System.Globalization;
using System.Text;
using FusionGen.Cli.Compilation;
using FusionGen.Cli.Output;
using FusionGen.Compiler;
using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Operators;
using FusionGen.Compiler.Spec;
using FusionGen.Static;
using static TorchSharp.torch;

namespace FusionGen.Cli.Parity;

/// <summary>Each operator of prompt-fusion discovery alone: y = F(u, P), and the gradients of Σ y ⊙ cotangent. Its graph is compiled by itself, without a backbone.</summary>
internal static class OperatorParity
{
    private const double Output = 1e-5;
    private const double Gradient = 1e-4;
    private const double GradientFloor = 1e-7;

    /// <summary>Whether a case is of that kind.</summary>
    public static bool Concerns(ReferenceCase reference) => reference.Has("input/u");

    /// <summary>Runs every operator that the case has an output of, and compares.</summary>
    /// <exception cref="FusionException">The static program is asked for, or an operator is not known here.</exception>
    public static ParityResult Run(ReferenceCase reference, ScalarType dtype, Engine engine, Terminal terminal)
    {
        if (engine == Engine.Static)
            throw new FusionException($"{reference.Path}: an operator alone is no network, so there is no static program of it", ExitCode.Data);
        var document = SpecFile.Parse("the derived spec", Spec(reference), terminal).Document;
        var differences = new List<Difference>();
        foreach (var name in reference.Names("output/"))
        {
            using var scope = NewDisposeScope();
            var spec = document.Operators.FirstOrDefault(one => one.Name == name.Replace('_', '-'))
                ?? throw new FusionException($"{reference.Path}: has an output of '{name}'; known here are {string.Join(", ", document.Operators.Select(one => one.Name))}", ExitCode.Data);
            var (output, parameters) = Graph(document, spec, reference);
            var run = Compile(output, parameters);
            var u = reference.Read("input/u").to(dtype).requires_grad_();
            var values = parameters.Select(parameter => reference.Read(parameter.Name == "prompts.0" ? "input/prompt" : $"state/{Official(parameter.Name)}").to(dtype).requires_grad_()).ToArray();
            var y = run(u, values);
            differences.Add(Difference.Of(name, [(y, reference.Read($"output_f64/{name}"))], _ => Output));
            (y * reference.Read("input/cotangent").to(dtype)).sum().backward();
            Compare("u", u);
            foreach (var (parameter, value) in parameters.Zip(values))
                Compare(parameter.Name == "prompts.0" ? "prompt" : Official(parameter.Name), value);

            void Compare(string what, Tensor of) => differences.Add(Difference.Of($"∂ {name}/{what}", [(of.grad!, reference.Read($"grad/{name}/{what}"))], largest => (Gradient * largest) + GradientFloor));

            string Official(string parameter) => $"operators.{(spec.Kind == "cross-attention" ? "cross" : spec.Kind)}.{parameter[$"operators.{spec.Name}.".Length..]}";
        }
        return new ParityResult(differences, []);
    }

    private static string Spec(ReferenceCase reference) => string.Create(CultureInfo.InvariantCulture, $$"""
        {{ReferenceLayout.Header(reference, "OperatorReference")}}prompts: { tokens: {{reference.Integer("prompt_length")}} }
        operators:
          add: { kind: add }
          affine: { kind: affine, reduction: {{reference.Integer("affine_reduction")}} }
          concat: { kind: concat, top: null }
          concat-top4: { kind: concat, top: 4 }
          cross: { kind: cross-attention, reduction: {{reference.Integer("cross_reduction")}} }
        layers: [ { at: 0..{{reference.Integer("depth") - 1}}, candidates: [add, affine, concat, concat-top4, cross] } ]

        """);

    private static (Value Output, IReadOnlyList<ParameterOp> Parameters) Graph(SpecDocument document, OperatorSpec spec, ReferenceCase reference)
    {
        var graph = new GraphBuilder();
        var u = graph.Input("u", Shape.Batched(1, reference.Integer("tokens"), reference.Integer("width")));
        var output = Fusion.OfBlock(graph, document, 0, EquatableArray.Of(spec.Name), reference.Integer("heads"), "").At(Site.AttentionInput, u, u);
        return (output, [.. graph.Live([output]).Select(value => value.Op).OfType<ParameterOp>()]);
    }

    private static Func<Tensor, Tensor[], Tensor> Compile(Value output, IReadOnlyList<ParameterOp> parameters)
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
                return string.Create(CultureInfo.InvariantCulture, $"w[{parameters.ToList().IndexOf(parameter)}]");
            var code = EagerCode.Expression(value, [.. value.Inputs.Select(NameOf)], isSupernet: false);
            names.Add(value, string.Create(CultureInfo.InvariantCulture, $"v{value.Id}"));
            body.Append("var ").Append(names[value]).Append(" = ").Append(code).Append(";\n");
            return names[value];
        }
        var result = NameOf(output);
        var text = $$"""
            using FusionGen; using TorchSharp; using static TorchSharp.torch; using static TorchSharp.torch.nn;
            public static class Alone { public static Tensor Run(Tensor u, Tensor[] w) { {{body}} return {{result}}; } }
            """;
        return CompiledSpec.Load("Alone", [("Alone.cs", text)]).GetType("Alone")!.GetMethod("Run")!.CreateDelegate<Func<Tensor, Tensor[], Tensor>>();
    }
}
