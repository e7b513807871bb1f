using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Emit;

/// <summary>A network's graph as the body of a class: parameters as typed members, one method per scope, straight-line code.</summary>
internal sealed class NetworkCode
{
    private const string MixtureParameter = ", Mixture mixture";
    private readonly bool isSupernet;
    private readonly List<Part> parts;
    private readonly Network network;

    public NetworkCode(Network network, bool isSupernet)
    {
        this.network = network;
        this.isSupernet = isSupernet;
        this.parts = this.Parts();
    }

    /// <summary>The table of parameters as the text of a collection of <c>TensorSpec</c>.</summary>
    public static void WriteSpecs(CodeWriter code, Network network)
    {
        code.Line("[");
        foreach (var run in ParameterRun.Of(network.Parameters))
        {
            if (run.Times == 1)
            {
                WriteSpec(code, "    ", Names.Literal(network.Parameters[run.Start].Name), network.Parameters[run.Start]);
                continue;
            }
            code.Line($"    .. TensorSpec.Each({run.First}, {run.Times}, i =>");
            code.Line("    [");
            for (var i = 0; i < run.Length; i++)
            {
                var parameter = network.Parameters[run.Start + i];
                var parts = parameter.Name.Split('.');
                parts[run.Places[i]] = "{i}";
                WriteSpec(code, "        ", "$" + Names.Literal(string.Join(".", parts)), parameter);
            }
            code.Line("    ]),");
        }
        code.Line("];");
    }

    /// <summary>Members, <c>Features</c>, <c>Forward</c> and the methods of the scopes.</summary>
    public void Write(CodeWriter code)
    {
        this.WriteMembers(code);
        code.Line();
        this.WriteEntry(code);
        foreach (var part in this.parts.Where(part => part.Like == part))
        {
            code.Line();
            this.WritePart(code, part);
        }
    }

    private static void WriteSpec(CodeWriter code, string indent, string name, ParameterOp parameter)
    {
        code.Append(indent);
        code.Append("new(");
        code.Append(name);
        code.Append(", TensorRole.");
        code.Append(RoleOf(parameter.Role));
        for (var i = 0; i < parameter.Shape.Rank; i++)
        {
            code.Append(i == 0 ? ", [" : ", ");
            code.Append(parameter.Shape[i].Size);
        }
        code.Line($"], {InitCode(parameter.Init)}),");
    }

    private static string InitCode(Init init) => init.Kind switch
    {
        InitKind.Constant when init.Scale == 0 => "Initializer.Zero",
        InitKind.Constant when init.Scale == 1 => "Initializer.One",
        InitKind.Identity => $"Initializer.Identity({Text.Invariant(init.Prompts)}, {Names.Literal(init.Scale)})",
        InitKind.Normal when init.Mean != 0 => $"Initializer.Normal({Names.Literal(init.Scale)}, {Names.Literal(init.Mean)})",
        _ => $"Initializer.{init.Kind}({Names.Literal(init.Scale)})",
    };

    private List<Part> Parts()
    {
        var (parts, byScope) = (new List<Part>(), new Dictionary<string, Part>(StringComparer.Ordinal));
        foreach (var value in this.network.Values)
        {
            if (value.IsLeaf)
                continue;
            if (!byScope.TryGetValue(value.Scope, out var part))
            {
                byScope.Add(value.Scope, part = new Part(value.Scope, this.network.Sections.Find(value.Scope)));
                parts.Insert(value.Scope == GraphBuilder.SharedScope ? 0 : parts.Count, part);
            }
            part.Values.Add(value);
        }
        // By the values' ids: the last part that reads one of another.
        var last = new Part?[this.network.Logits.Id + 1];
        foreach (var part in parts)
        {
            foreach (var value in part.Values)
            {
                foreach (var input in value.InputArray)
                {
                    if (!(input.Op is InputOp || (!input.IsLeaf && input.Scope != part.Scope)) || last[input.Id] == part)
                        continue;
                    part.Inputs.Add(input);
                    last[input.Id] = part;
                }
            }
        }
        var bySection = new Dictionary<Section, Part>();
        foreach (var part in parts)
        {
            part.Outputs.AddRange(part.Values.FindAll(value => last[value.Id] is not null || value == this.network.Logits));
            part.LastInputs.AddRange(part.Inputs.FindAll(input => input.Op is not InputOp && last[input.Id] == part));
            if (part.Section is not { } section)
                continue;
            part.Own = section.Indices(this.network.Parameters);
            bySection.Add(section, part);
            // One method serves all that are the same, if their parameters lie in the table in the same way.
            if (bySection[section.Same] is var first && AreAtSamePlaces(first.Own, part.Own))
            {
                part.Like = first;
                first.Times++;
            }
        }
        return parts;
    }

    /// <summary>Whether parameters lie in the table in the same way.</summary>
    private static bool AreAtSamePlaces(int[] own, int[] others)
    {
        if (own.Length != others.Length)
            return false;
        for (var i = 1; i < own.Length; i++)
        {
            if (own[i] - own[0] != others[i] - others[0])
                return false;
        }
        return true;
    }

    private void WriteMembers(CodeWriter code)
    {
        var parameters = this.network.Parameters;
        var scopes = new HashSet<string>(this.network.Sections.All.Select(section => section.Scope).Where(scope => char.IsDigit(scope[scope.Length - 1])), StringComparer.Ordinal);
        // A layer's own, or one alone.
        var last = "";
        var groups = Enumerable.Range(0, parameters.Count).GroupBy(i => last = ScopeOf(parameters[i].Name, scopes, last)).Select(group => (group.Key, Own: group.ToArray())).ToList();
        var (types, told) = (new List<(string Scope, int[] Own, string Name)>(), new HashSet<string>(StringComparer.Ordinal));
        foreach (var (group, member) in groups.Zip(Names.Members(groups.Select(group => group.Key)), (group, member) => (group, member)))
        {
            var first = group.Own[0];
            if (scopes.Contains(group.Key))
            {
                var type = types.Find(type => this.AreAlike(type.Scope, type.Own, group.Key, group.Own)).Name;
                if (type is null)
                {
                    types.Add((group.Key, group.Own, type = member + "Parameters"));
                    this.WriteGroup(code, type, group.Key, group.Own);
                }
                code.Line($"public {type} {member} => new(this.Table, {first});");
                continue;
            }
            // Parsing a comment takes a compiler longer than parsing the member: one does for all that differ in their number alone.
            if (told.Add(string.Concat(group.Key.Where(c => !char.IsDigit(c))) + parameters[first].Shape))
                WriteDoc(code, group.Key, parameters[first]);
            code.Line($"public Parameter {member} => this.Table[{first}];");
        }
    }

    /// <summary>Whether two layers' parameters are the same but for the layer's name, and lie in the table in the same way.</summary>
    private bool AreAlike(string scope, int[] own, string otherScope, int[] others)
    {
        if (!AreAtSamePlaces(own, others))
            return false;
        var table = this.network.Parameters;
        for (var i = 0; i < own.Length; i++)
        {
            var (a, b) = (table[own[i]], table[others[i]]);
            var length = a.Name.Length - scope.Length;
            if (a.Role != b.Role || a.Shape != b.Shape || length != b.Name.Length - otherScope.Length
                || string.CompareOrdinal(a.Name, scope.Length, b.Name, otherScope.Length, length) != 0)
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>The type of a layer's own parameters, and of those of every layer whose parameters lie in the table in the same way.</summary>
    private void WriteGroup(CodeWriter code, string type, string scope, int[] own)
    {
        var members = Names.Members(own.Select(index => this.network.Parameters[index].Name.Substring(scope.Length + 1)));
        code.Doc($"Parameters of {scope} and of those like it.");
        using (code.Block($"public readonly struct {type}(IReadOnlyList<Parameter> table, int at)"))
        {
            foreach (var (index, member) in own.Zip(members, (index, member) => (index, member)))
            {
                WriteDoc(code, this.network.Parameters[index].Name.Substring(scope.Length + 1), this.network.Parameters[index]);
                code.Line($"public Parameter {member} => table[at{(index == own[0] ? "" : $" + {Text.Invariant(index - own[0])}")}];");
            }
        }
    }

    /// <summary>The layer that a parameter is named after; its own name for none.</summary>
    /// <param name="name">The parameter's.</param>
    /// <param name="scopes">The layers.</param>
    /// <param name="last">The layer of the one before it, as it mostly is.</param>
    private static string ScopeOf(string name, HashSet<string> scopes, string last)
    {
        if (last.Length > 0 && name.Length > last.Length && name[last.Length] == '.' && name.StartsWith(last, StringComparison.Ordinal) && scopes.Contains(last))
            return last;
        for (var end = name.IndexOf('.'); end > 0; end = name.IndexOf('.', end + 1))
        {
            if (name.Substring(0, end) is var scope && scopes.Contains(scope))
                return scope;
        }
        return name;
    }

    private static void WriteDoc(CodeWriter code, string name, ParameterOp parameter) =>
        code.Line($"/// <summary>{CodeWriter.Escape(name)} {parameter.Shape}, {RoleName(parameter.Role)}.</summary>");

    private static string RoleOf(ParameterRole role) => role switch
    {
        ParameterRole.Frozen => "Frozen",
        ParameterRole.Tuned => "Tuned",
        ParameterRole.Head => "Head",
        ParameterRole.Architecture => "Architecture",
        _ => "Fixed",
    };

    private static string RoleName(ParameterRole role) => role switch
    {
        ParameterRole.Frozen => "frozen",
        ParameterRole.Tuned => "tuned",
        ParameterRole.Head => "head",
        ParameterRole.Architecture => "architecture",
        _ => "fixed",
    };

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

    private string Arguments(Part part, Dictionary<Value, string> names)
    {
        var arguments = new List<string> { "values" };
        if (this.isSupernet)
            arguments.Add("mixture");
        if (part.HasAt)
            arguments.Add(Text.Invariant(part.Start));
        if (part.HasLayer)
            arguments.Add(Text.Invariant(part.Section!.Mixture));
        arguments.AddRange(part.Inputs.Select(input => input.Op is InputOp ? "images" : names[input]));
        return string.Join(", ", arguments);
    }

    private void WritePart(CodeWriter code, Part part)
    {
        var taken = new HashSet<string>(StringComparer.Ordinal) { "w", "mixture", "scope", "at", "layer" };
        var names = new Dictionary<Value, string>();
        foreach (var input in part.Inputs)
            names[input] = Names.Unique(NameOf(input, part), taken);
        var parameters = string.Concat(part.Inputs.Select(input => $", Tensor {names[input]}"));
        var shapes = string.Join(", ", part.Inputs.Select(input => input.Shape.ToString()));
        code.Doc($"{part.Scope}{(part.Times > 1 ? $" and {Text.Invariant(part.Times - 1)} like it" : "")}: {(shapes.Length > 0 ? shapes + " → " : "")}{string.Join(", ", part.Outputs.Select(output => output.Shape.ToString()))}.");
        var result = part.Outputs.Count == 1 ? "Tensor" : $"({string.Join(", ", part.Outputs.Select(_ => "Tensor"))})";
        using (code.Block($"private {(part.Values.Any(value => value.Op is DropoutMaskOp) ? "" : "static ")}{result} {part.Method}(IReadOnlyList<Tensor> w{(this.isSupernet ? MixtureParameter : "")}{(part.HasAt ? ", int at" : "")}{(part.HasLayer ? ", int layer" : "")}{parameters})"))
        {
            code.Line("using var scope = NewDisposeScope();");
            foreach (var parameter in part.Values.SelectMany(value => value.Inputs).Where(input => input.Op is ParameterOp && !names.ContainsKey(input)))
            {
                if (names.ContainsKey(parameter))
                    continue;
                names[parameter] = Names.Unique(NameOf(parameter, part), taken);
                var index = this.network.Parameters.IndexOf((ParameterOp)parameter.Op);
                var place = !part.HasAt || !part.Own.Contains(index) ? Text.Invariant(index) : index == part.Start ? "at" : $"at + {Text.Invariant(index - part.Start)}";
                code.Line($"var {names[parameter]} = w[{place}];");
            }
            foreach (var value in part.Values)
            {
                names[value] = Names.Unique(NameOf(value, part), taken);
                code.Line($"var {names[value]} = {EagerCode.Expression(value, [.. value.Inputs.Select(input => Reference(input, part, names))], this.isSupernet)};");
            }
            var outputs = part.Outputs.Select(output => $"{names[output]}.MoveToOuterDisposeScope()").ToArray();
            code.Line(outputs.Length == 1 ? $"return {outputs[0]};" : $"return ({string.Join(", ", outputs)});");
        }
    }

    private static string Reference(Value value, Part part, Dictionary<Value, string> names) => value.Op is MixtureOp mixture
        ? $"mixture.{(mixture.Log ? "LogWeights" : "Weights")}[{(part.HasLayer ? "layer" : Text.Invariant(mixture.Layer))}]!"
        : names[value];

    private static string NameOf(Value value, Part? part = null) =>
        value.Hint.Length > 0 ? Names.Camel(value.Hint)
        : value.Op is not ParameterOp parameter ? Names.Camel(value.Op.GetType().Name.Replace("Op", ""))
        : Names.Camel(part is not null && parameter.Name.StartsWith(part.Scope + ".", StringComparison.Ordinal) ? parameter.Name.Substring(part.Scope.Length + 1) : parameter.Name);

    /// <summary>What a method computes.</summary>
    private sealed class Part
    {
        public Part(string scope, Section? section)
        {
            (this.Scope, this.Section) = (scope, section);
            this.Like = this;
        }

        public string Scope { get; }

        public List<Value> Values { get; } = [];

        public Section? Section { get; }

        /// <summary>Where its own parameters are in the table.</summary>
        public int[] Own { get; set; } = [];

        public int Start => this.Own.Length > 0 ? this.Own[0] : 0;

        public List<Value> Inputs { get; } = [];

        public List<Value> Outputs { get; } = [];

        /// <summary>Inputs that no later part uses.</summary>
        public List<Value> LastInputs { get; } = [];

        /// <summary>The part whose method serves this one too.</summary>
        public Part Like { get; set; }

        /// <summary>How many parts its method serves.</summary>
        public int Times { get; set; }

        public bool HasAt => this.Like.Times > 1 && this.Own.Length > 0;

        public bool HasLayer => this.Like.Times > 1 && this.Section!.Mixture >= 0;

        public string Method => "Run" + Names.Pascal(this.Like.Scope);
    }
}
