using System.Text.RegularExpressions;
using FusionGen.Compiler.Spec;

namespace FusionGen.Cli.Parity;

/// <summary>VAPT (ICLR 2026): VPT's first layers, then adaptive ones, which are counted from 0.</summary>
internal sealed partial class VaptLayout(SpecDocument spec) : VptLayout(spec)
{
    private (int Layer, string Name) Adaptive => this.First("vapt");

    /// <inheritdoc/>
    protected override int DeepPrompts => this.Adaptive.Layer;

    /// <summary>Static prompts in the first layers, adaptive ones in the others, with the case's options.</summary>
    public static new string Spec(ReferenceCase reference)
    {
        var first = reference.Integer("prompt.VPT_DEPTH", 1);
        var activation = reference.Text("prompt.ACTIVATION") is { Length: > 0 } named ? named : "relu";
        string Flag(string key, bool missing) => reference.Flag("prompt." + key, missing) ? "true" : "false";
        return $$"""
            {{Header(reference, "VaptReference", PooledRows(reference, "prompt"))}}prompts: { tokens: {{reference.Integer("prompt_length")}} }
            operators:
              deep: { kind: prefix }
              adaptive:
                kind: vapt
                kernel: {{reference.Integer("prompt.KERNEL", 2)}}
                padding: {{reference.Integer("prompt.PADDING", 0)}}
                channelwise: {{Flag("CHANNELWISE", true)}}
                hidden: {{reference.Integer("prompt.HIDDEN_DIM", 8)}}
                activation: {{activation}}
                learn-scale: {{Flag("LEARNABLE_SCALE", false)}}
                share: {{Flag("SHARE_PROJECTOR", true)}}
            layers:
              - { at: 0..{{first - 1}}, candidates: [deep] }
              - { at: {{first}}..{{reference.Integer("depth") - 1}}, candidates: [adaptive] }

            """;
    }

    /// <inheritdoc/>
    protected override IEnumerable<Placement> PlaceTuned(string name, string rest)
    {
        if (Projector.Match(rest) is { Success: true } projector)
            return [new Placement($"operators.{this.Adaptive.Name}{(projector.Groups[1].Success ? $".{this.LayerOf(projector.Groups[1])}" : "")}.mlp.{projector.Groups[2].Value}", name)];
        if (Layer.Match(rest) is { Success: true } layer)
            return [new Placement($"operators.{this.Adaptive.Name}.{this.LayerOf(layer.Groups[2])}.{(layer.Groups[1].Value == "norm" ? "norm." : "")}{layer.Groups[3].Value}", name)];
        return base.PlaceTuned(name, rest);
    }

    [GeneratedRegex(@"^deep_prompt_embeddings_mlp\.(?:(\d+)\.)?(?:block\.)?(.+)$")]
    private static partial Regex Projector { get; }

    [GeneratedRegex(@"^deep_prompt_(norm|downsample)\.(\d+)\.(.+)$")]
    private static partial Regex Layer { get; }

    private int LayerOf(Group index) => this.Adaptive.Layer + Index(index);
}
