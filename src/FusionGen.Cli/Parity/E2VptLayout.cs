using System.Text.RegularExpressions;
using FusionGen.Compiler.Spec;

namespace FusionGen.Cli.Parity;

/// <summary>E²VPT (Han et al. 2023): VPT's names, one set of masks for all layers, and each attention's own keys and values.</summary>
internal sealed partial class E2VptLayout(SpecDocument spec) : VptLayout(spec)
{
    private const string PromptMask = "prompt_soft_tokens_mask_cls_token";
    private const string SegmentMask = "prompt_soft_tokens_pieces_mask_cls_token";

    /// <summary>Masked prompts and keys and values in every layer.</summary>
    public static new string Spec(ReferenceCase reference)
    {
        var masks = !reference.Flag("p_vk.MASK_CLS_TOKEN") ? "none" : reference.Texts("trainable").Any(name => name.EndsWith(PromptMask, StringComparison.Ordinal)) ? "tuned" : "fixed";
        return $$"""
            {{Header(reference, "E2VptReference", PooledRows(reference, "p_vk"))}}prompts: { tokens: {{reference.Integer("prompt_length")}} }
            operators: { e2vpt: { kind: e2vpt, rows: {{reference.Integer("p_vk.NUM_TOKENS")}}, masks: {{masks}}, segments: {{reference.Integer("p_vk.CLS_TOKEN_P_PIECES_NUM", 16)}} } }
            layers: [ { at: 0..{{reference.Integer("depth") - 1}}, candidates: [e2vpt] } ]

            """;
    }

    /// <inheritdoc/>
    protected override IEnumerable<Placement> PlaceTuned(string name, string rest)
    {
        var own = $"operators.{this.First("e2vpt").Name}";
        if (KeysValues.Match(rest) is { Success: true } match)
            return [new Placement($"{own}.{Index(match.Groups[1])}.rows", name)];
        return rest switch
        {
            PromptMask => [new Placement($"{own}.mask.prompts", name)],
            SegmentMask => [new Placement($"{own}.mask.segments", name)],
            _ => base.PlaceTuned(name, rest),
        };
    }

    [GeneratedRegex(@"^encoder\.layer\.(\d+)\.attn\.deep_QKV_embeddings$")]
    private static partial Regex KeysValues { get; }
}
