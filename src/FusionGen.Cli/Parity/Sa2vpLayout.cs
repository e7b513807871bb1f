using System.Globalization;
using System.Text.RegularExpressions;
using FusionGen.Compiler.Spec;

namespace FusionGen.Cli.Parity;

/// <summary>SA2VP (Pei et al. 2024): VPT's backbone, a map of prompts, further maps, and an MLP between the streams in every layer.</summary>
internal sealed partial class Sa2vpLayout(SpecDocument spec) : ReferenceLayout
{
    private const string Root = "vit_base.transformer.";
    private const string Ours = "operators.sa2vp.branch.";
    private readonly VptLayout backbone = new(spec);

    /// <summary>A second stream beside the blocks.</summary>
    public static string Spec(ReferenceCase reference)
    {
        var attention = reference.Integer("cross_heads") == 1 && reference.Integer("heads") != 1 ? "accelerated" : "original";
        var weight = reference.Number("add_scale").ToString(CultureInfo.InvariantCulture);
        return
            $$"""
            {{Header(reference, "Sa2vpReference")}}operators: { sa2vp: { kind: sa2vp, rank: {{reference.Integer("inner_dim")}}, weight: {{weight}}, attention: {{attention}} } }
            layers: [ { at: branch, candidates: [sa2vp] }, { at: 0..{{reference.Integer("depth") - 1}}, candidates: [] } ]

            """;
    }

    /// <inheritdoc/>
    public override IEnumerable<Placement> Place(string name)
    {
        if (name.StartsWith("class_head.", StringComparison.Ordinal))
            return [new Placement("head." + name["class_head.".Length..], name)];
        if (!name.StartsWith(Root, StringComparison.Ordinal))
            return [];
        var rest = name[Root.Length..];
        if (Between.Match(rest) is { Success: true } match)
            return [new Placement($"{Ours}{Index(match.Groups[1])}.{match.Groups[2].Value switch { "ffn_norm" => "norm", var layer => layer["ffn.".Length..] }}.{match.Groups[3].Value}", name)];
        // Layers 4 and 8 of 12: what the authors count from 0 is named by its layer here.
        if (Further.Match(rest) is { Success: true } further)
            return [new Placement($"{Ours}{Every * (Index(further.Groups[1]) + 1)}.proj.{further.Groups[2].Value}", name)];
        return rest switch
        {
            "embeddings.ppt" => [new Placement($"{Ours}0.prompts", name)],
            "embeddings.ppt_proj.weight" => [new Placement($"{Ours}0.proj.weight", name)],
            "embeddings.ppt_proj.bias" => [new Placement($"{Ours}0.proj.bias", name)],
            "encoder.deep_ppt" => Entries("prompts"),
            "encoder.cross_conv" => Entries("gate"),
            _ => this.backbone.Place("enc.transformer." + rest).Select(placement => placement with { Reference = name }),
        };

        IEnumerable<Placement> Entries(string ours) =>
            Enumerable.Range(1, ((spec.Backbone.Depth + Every - 1) / Every) - 1).Select(entry => new Placement($"{Ours}{Every * entry}.{ours}", name) { Entry = entry - 1 });
    }

    /// <inheritdoc/>
    public override string? Ignores(string name) =>
        Copies.IsMatch(name) ? "a copy of the layer's own projections, which are read there" : null;

    private int Every => spec.Operator("sa2vp").Integer("every");

    [GeneratedRegex(@"^encoder\.cross_attn\.(\d+)\.(ffn_norm|ffn\.fc1|ffn\.fc2)\.(weight|bias)$")]
    private static partial Regex Between { get; }

    [GeneratedRegex(@"^encoder\.deep_proj\.(\d+)\.(weight|bias)$")]
    private static partial Regex Further { get; }

    [GeneratedRegex(@"^vit_base\.transformer\.encoder\.cross_attn\.\d+\.(attention_norm|attn)\.")]
    private static partial Regex Copies { get; }
}
