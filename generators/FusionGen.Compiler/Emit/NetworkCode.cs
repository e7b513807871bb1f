using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Emit;

/// <summary>A network's graph as the body of a class: parameters as typed members, one method per scope, straight-line code.</summary>
internal sealed class NetworkCode
{
    private const string MixtureParameter = ", Mixture mixture";
    private readonly bool isSupernet;
    private readonly IReadOnlyList<string> members;
    private readonly Dictionary<string, string> memberOf = new(StringComparer.Ordinal);
    private readonly List<Part> parts;
    private readonly Network network;

    public NetworkCode(Network network, bool isSupernet)
    {
        this.network = network;
        this.isSupernet = isSupernet;
        this.members = Names.Members(network.Parameters.Select(parameter => parameter.Name));
        for (var i = 0; i < this.members.Count; i++)
            this.memberOf.Add(network.Parameters[i].Name, this.members[i]);
        this.parts = Parts(network);
    }

    /// <summary>The table of parameters as the text of a collection of <c>TensorSpec</c>.</summary>
    public static void WriteSpecs(CodeWriter code, string name, Network network)
    {
        code.Doc("Every parameter, in the order of the table.");
        code.Line($"public static IReadOnlyList<TensorSpec> {name} {{ get; }} =");
        code.Line("[");
        foreach (var p in network.Parameters)
            code.Line($"    new({Names.Literal(p.Name)}, TensorRole.{p.Role}, [{string.Join(", ", p.Shape.Dims.Select(dim => Text.Invariant(dim.Size)))}], {InitCode(p.Init)}),");
        code.Line("];");
    }

    /// <summary>Members, <c>Features</c>, <c>Forward</c> and the methods of the scopes.</summary>
    public void Write(CodeWriter code)
    {
        this.WriteMembers(code);
        code.Line();
        this.WriteEntry(code);
        foreach (var part in this.parts)
        {
            code.Line();
            this.WritePart(code, part);
        }
        code.Line();
        code.Doc("Position of every parameter in the table.");
        using (code.Block("private static class At"))
        {
            for (var i = 0; i < this.members.Count; i++)
                code.Line($"public const int {this.members[i]} = {Text.Invariant(i)};");
        }
    }

    private static string InitCode(Init init) => init.Kind switch
    {
        InitKind.Constant when init.Scale == 0 => "Initializer.Zero",
        InitKind.Constant when init.Scale == 1 => "Initializer.One",
        InitKind.Identity => $"Initializer.Identity({Text.Invariant(init.Prompts)}, {Names.Literal(init.Scale)})",
        InitKind.Normal when init.Mean != 0 => $"Initializer.Normal({Names.Literal(init.Scale)}, {Names.Literal(init.Mean)})",
        _ => $"Initializer.{init.Kind}({Names.Literal(init.Scale)})",
    };

    private static List<Part> Parts(Network network)
    {
        var parts = network.Values.Where(value => !IsLeaf(value)).GroupBy(value => value.Scope)
            .OrderBy(scope => scope.Key != GraphBuilder.SharedScope).Select(scope => new Part(scope.Key, [.. scope])).ToList();
        var last = new Dictionary<Value, Part>();
        foreach (var part in parts)
        {
            foreach (var input in part.Values.SelectMany(value => value.Inputs).Where(input => input.Op is InputOp || (!IsLeaf(input) && input.Scope != part.Scope)).Distinct())
            {
                part.Inputs.Add(input);
                last[input] = part;
            }
        }
        foreach (var part in parts)
        {
            part.Outputs.AddRange(part.Values.Where(value => last.ContainsKey(value) || value == network.Logits));
            part.LastInputs.AddRange(part.Inputs.Where(input => input.Op is not InputOp && last[input] == part));
        }
        return parts;
    }

    private static bool IsLeaf(Value value) => value.Op is ParameterOp or MixtureOp or InputOp;

    private void WriteMembers(CodeWriter code)
    {
        for (var i = 0; i < this.members.Count; i++)
        {
            var parameter = this.network.Parameters[i];
            code.Doc($"{parameter.Name} {parameter.Shape}, {parameter.Role.ToString().ToLowerInvariant()}.");
            code.Line($"public Parameter {this.members[i]} => this.Table[At.{this.members[i]}];");
        }
    }

    private void WriteEntry(CodeWriter code)
    {
        var mixture = this.isSupernet ? MixtureParameter : "";
        code.Line("/// <inheritdoc/>");
        using (code.Block($"public override Tensor Features(Tensor images, IReadOnlyList<Tensor> values{mixture})"))
        {
            code.Line("ArgumentNullException.ThrowIfNull(values);");
            if (this.isSupernet)
                code.Line("ArgumentNullException.ThrowIfNull(mixture);");
            code.Line("using var scope = NewDisposeScope();");
            var names = new Dictionary<Value, string>();
            var taken = new HashSet<string>(StringComparer.Ordinal) { "scope", "values", "mixture", "images" };
            foreach (var part in this.parts.Where(part => !part.Outputs.Contains(this.network.Logits)))
            {
                foreach (var output in part.Outputs)
                    names[output] = Names.Unique(Names.Camel(part.Outputs.Count == 1 && part.Scope != GraphBuilder.SharedScope ? part.Scope : NameOf(output)), taken);
                code.Line($"{Bind(part, names)} = {part.Method}({this.Arguments(part, names)});");
                foreach (var input in part.LastInputs)
                    code.Line($"{names[input]}.Dispose();");
            }
            code.Line($"return {names[this.network.Features]}.MoveToOuterDisposeScope();");
        }
        code.Line();
        code.Line("/// <inheritdoc/>");
        using (code.Block($"public override Tensor Forward(Tensor images, IReadOnlyList<Tensor> values{mixture})"))
        {
            var head = this.parts.First(part => part.Outputs.Contains(this.network.Logits));
            code.Line($"using var features = this.Features(images, values{(this.isSupernet ? ", mixture" : "")});");
            code.Line($"return {head.Method}({this.Arguments(head, new Dictionary<Value, string> { [this.network.Features] = "features" })});");
        }
    }

    private static string Bind(Part part, Dictionary<Value, string> names) =>
        part.Outputs.Count == 1 ? $"var {names[part.Outputs[0]]}" : $"var ({string.Join(", ", part.Outputs.Select(output => names[output]))})";

    private string Arguments(Part part, Dictionary<Value, string> names) =>
        string.Concat(part.Inputs.Select(input => input.Op is InputOp ? ", images" : ", " + names[input])).Insert(0, this.isSupernet ? "values, mixture" : "values");

    private void WritePart(CodeWriter code, Part part)
    {
        var taken = new HashSet<string>(StringComparer.Ordinal) { "w", "mixture", "scope" };
        var names = new Dictionary<Value, string>();
        foreach (var input in part.Inputs)
            names[input] = Names.Unique(NameOf(input), taken);
        var inputs = string.Concat(part.Inputs.Select(input => $", Tensor {names[input]}"));
        var shapes = string.Join(", ", part.Inputs.Select(input => input.Shape.ToString()));
        code.Doc($"{part.Scope}: {(shapes.Length > 0 ? shapes + " → " : "")}{string.Join(", ", part.Outputs.Select(output => output.Shape.ToString()))}.");
        var result = part.Outputs.Count == 1 ? "Tensor" : $"({string.Join(", ", part.Outputs.Select(_ => "Tensor"))})";
        using (code.Block($"private static {result} {part.Method}(IReadOnlyList<Tensor> w{(this.isSupernet ? MixtureParameter : "")}{inputs})"))
        {
            code.Line("using var scope = NewDisposeScope();");
            foreach (var value in part.Values)
            {
                names[value] = Names.Unique(NameOf(value), taken);
                code.Line($"var {names[value]} = {EagerCode.Expression(value, [.. value.Inputs.Select(input => this.Reference(input, names))], this.isSupernet)};");
            }
            var outputs = part.Outputs.Select(output => $"{names[output]}.MoveToOuterDisposeScope()").ToArray();
            code.Line(outputs.Length == 1 ? $"return {outputs[0]};" : $"return ({string.Join(", ", outputs)});");
        }
    }

    private string Reference(Value value, Dictionary<Value, string> names) => value.Op switch
    {
        ParameterOp parameter => $"w[At.{this.memberOf[parameter.Name]}]",
        MixtureOp mixture => $"mixture.{(mixture.Log ? "LogWeights" : "Weights")}[{Text.Invariant(mixture.Layer)}]!",
        _ => names[value],
    };

    private static string NameOf(Value value) => value.Hint.Length > 0 ? Names.Camel(value.Hint) : Names.Camel(value.Op.GetType().Name.Replace("Op", ""));

    private sealed record Part(string Scope, IReadOnlyList<Value> Values)
    {
        public List<Value> Inputs { get; } = [];

        public List<Value> Outputs { get; } = [];

        /// <summary>Inputs that no later part uses.</summary>
        public List<Value> LastInputs { get; } = [];

        public string Method => "Run" + Names.Pascal(this.Scope);
    }
}
