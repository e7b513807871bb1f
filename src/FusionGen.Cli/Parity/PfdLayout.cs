using System.Globalization;
using System.Text.RegularExpressions;
using FusionGen.Compiler;
using FusionGen.Compiler.Spec;

namespace FusionGen.Cli.Parity;

/// <summary>"Prompt Fusion Discovery", released code: timm's backbone, prompts and α per layer, banks of operators shared between layers or one for each.</summary>
internal sealed partial class PfdLayout : ReferenceLayout
{
    private static readonly string[] Operators = ["add", "affine", "concat", "cross"];
    private readonly SpecDocument spec;
    private readonly IReadOnlyList<string> bankKeys;
    private readonly IReadOnlyList<string> order;
    private readonly PolicyDocument? policy;

    /// <summary>The layout of a case, under a spec and, where it is discretised, a policy.</summary>
    public PfdLayout(ReferenceCase reference, SpecDocument spec, PolicyDocument? policy)
        : this(reference.Path, spec, policy, reference.Texts("bank_keys"), reference.Texts("operators"))
    {
    }

    /// <summary>The layout of a file in which each layer has a bank of that key, and α has operators in that order; none for the authors' order.</summary>
    public PfdLayout(string path, SpecDocument spec, PolicyDocument? policy, IReadOnlyList<string> bankKeys, IReadOnlyList<string> order)
    {
        this.spec = spec;
        this.policy = policy;
        this.bankKeys = bankKeys;
        this.order = order.Count > 0 ? order : Operators;
        if (bankKeys.Count != spec.Layers.Count)
            throw new FusionException($"{path}: its 'bank_keys' name {bankKeys.Count} layers, {spec.Model} has {spec.Layers.Count}", ExitCode.Data);
    }

    /// <summary>All four operators in every layer, with the case's options.</summary>
    public static string Spec(ReferenceCase reference)
    {
        var top = reference.NumberOrNull("sparse_topk");
        var share = reference.Flag("share_fusion") ? "true" : "false";
        return string.Create(CultureInfo.InvariantCulture, $$"""
            {{Header(reference, "PfdReference")}}prompts: { tokens: {{reference.Integer("prompt_length")}} }
            operators:
              add: { kind: add }
              affine: { kind: affine, reduction: {{reference.Integer("affine_reduction")}}, share: {{share}} }
              concat: { kind: concat, identity: {{reference.Number("identity_strength")}}, top: {{(double.IsNaN(top) ? "null" : top)}}, share: {{share}} }
              cross: { kind: cross-attention, reduction: {{reference.Integer("cross_reduction")}}, share: {{share}} }
            layers: [ { at: 0..{{DepthOf(reference) - 1}}, candidates: [add, affine, concat, cross] } ]

            """);
    }

    /// <summary>The blueprint of a discretised case.</summary>
    public static PolicyDocument? Policy(ReferenceCase reference, SpecDocument spec)
    {
        var blueprint = reference.Texts("blueprint");
        return blueprint.Count == 0
            ? null
            : new PolicyDocument(spec.Model, SpecHash.Of(spec), blueprint.Select((kind, layer) => Candidate(spec, layer, kind)).ToEquatableArray());
    }

    /// <inheritdoc/>
    public override IEnumerable<Placement> Place(string name)
    {
        if (name.StartsWith("backbone.", StringComparison.Ordinal))
            return TimmLayout.Buffer(name) is null ? [new Placement(name["backbone.".Length..], name)] : [];
        if (name.StartsWith("head.", StringComparison.Ordinal) || name.StartsWith("prompts.", StringComparison.Ordinal))
            return [new Placement(name, name)];
        if (name == "architecture_logits" && this.policy is null)
            return this.spec.Layers.Select((layer, i) => new Placement($"architecture.{i}", name) { Entry = i, Order = this.OrderOf(layer) });
        return this.PlaceInBank(name);
    }

    /// <inheritdoc/>
    public override string? Ignores(string name) => name switch
    {
        "selected_operators" => "the policy says it",
        "operator_costs" => "constants of the search's objective",
        "architecture_logits" => "no part of a discretised model",
        _ => TimmLayout.Buffer(name),
    };

    [GeneratedRegex(@"^fusion_banks\.([^.]+)\.operators\.(add|affine|concat|cross)\.(.+)$")]
    private static partial Regex Bank { get; }

    private IEnumerable<Placement> PlaceInBank(string name)
    {
        if (Bank.Match(name) is not { Success: true } match)
            return [];
        var (key, kind, weight) = (match.Groups[1].Value, match.Groups[2].Value, match.Groups[3].Value);
        var layers = Enumerable.Range(0, this.bankKeys.Count).Where(layer => this.bankKeys[layer] == key && this.Uses(layer, kind)).ToList();
        return layers.Select(layer => this.Named(layer, kind, weight)).Distinct(StringComparer.Ordinal).Select(parameter => new Placement(parameter, name));
    }

    /// <summary>Our name of an operator's weight at a layer: banks are one for all layers, one per stage where widths differ, or one per layer.</summary>
    private string Named(int layer, string kind, string weight)
    {
        var name = Candidate(this.spec, layer, kind);
        var stages = this.spec.Backbone.Depths.Count > 0;
        var bank = !this.spec.Operator(name).Flag("share") ? $".{layer}"
            : stages ? $".stage{this.bankKeys.Distinct(StringComparer.Ordinal).ToList().IndexOf(this.bankKeys[layer])}"
            : "";
        return $"operators.{name}{bank}.{weight}";
    }

    private bool Uses(int layer, string kind) =>
        this.policy is not { } policy || (policy.Choices[layer].Length > 0 && this.spec.Operator(policy.Choices[layer]).Kind == KindOf(kind));

    private List<long> OrderOf(LayerSpec layer)
    {
        var positions = layer.Candidates.Select(candidate => (long)this.order.ToList().FindIndex(kind => KindOf(kind) == this.spec.Operator(candidate).Kind)).ToList();
        return positions.Distinct().Count() == this.order.Count && !positions.Contains(-1)
            ? positions
            : throw new FusionException($"the reference mixes [{string.Join(", ", this.order)}], {this.spec.Model} has [{string.Join(", ", layer.Candidates)}]", ExitCode.Data);
    }

    private static string KindOf(string name) => name == "cross" ? "cross-attention" : name;

    private static string Candidate(SpecDocument spec, int layer, string kind) => spec.Layers[layer].Candidates.FirstOrDefault(name => spec.Operator(name).Kind == KindOf(kind))
        ?? throw new FusionException($"layer {layer} of {spec.Model} has no candidate of kind '{KindOf(kind)}', which the reference uses there", ExitCode.Data);
}
