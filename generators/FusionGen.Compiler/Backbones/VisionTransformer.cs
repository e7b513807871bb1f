using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Operators;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Backbones;

/// <summary>ViT (Dosovitskiy et al. 2021) as timm builds it: pre-norm blocks, fused qkv with bias, erf GELU, ε 1e-6 (METHOD §1.1).</summary>
public sealed class VisionTransformer : Backbone
{
    private const double Epsilon = 1e-6;

    /// <inheritdoc/>
    public override string Family => "vit";

    /// <inheritdoc/>
    public override int Tokens(BackboneSpec spec) => 1 + (spec.Image / spec.Patch * (spec.Image / spec.Patch));

    /// <inheritdoc/>
    public override Value Build(BackboneContext context)
    {
        var (graph, spec) = (context.Graph, context.Spec.Backbone);
        var x = graph.In("embed", () => this.Embed(context));
        for (var layer = 0; layer < spec.Depth; layer++)
        {
            var block = $"blocks.{Text.Invariant(layer)}";
            var input = x;
            var fusion = context.Block(layer, spec.Heads);
            // Only the class token leaves the last block: past its attention no other row is computed (METHOD §6.1, S3).
            int? rows = spec.Pool == Pooling.Cls && layer == spec.Depth - 1 ? 1 : null;
            x = context.InBlock(block, layer, () =>
            {
                var norm = context.Norm($"{block}.norm1", spec.Width);
                var u = graph.LayerNorm(input, Epsilon, norm.Weight, norm.Bias).Named("u");
                var residual = graph.Sum(First(graph, input, rows), Attention(context, block, fusion, input, u, Epsilon, norm, rows: rows)).Named("x");
                return Mlp(context, block, fusion, residual, spec.Mlp, Epsilon);
            });
        }
        return graph.In("pool", () => this.Pool(context, x));
    }

    private Value Embed(BackboneContext context)
    {
        var (graph, spec) = (context.Graph, context.Spec.Backbone);
        var weight = context.Weight("patch_embed.proj.weight", Init.Linear(3 * spec.Patch * spec.Patch), spec.Width, 3, spec.Patch, spec.Patch);
        var bias = context.Weight("patch_embed.proj.bias", Init.Zero, spec.Width);
        var cls = context.Weight("cls_token", new Init(InitKind.Normal, 1e-6), 1, 1, spec.Width);
        var positions = context.Weight("pos_embed", new Init(InitKind.TruncatedNormal, 0.02), 1, this.Tokens(spec), spec.Width);
        var images = graph.Input("images", Shape.Batched(1, 3, spec.Image, spec.Image));
        var fusion = context.At(Place.Embed);
        var patches = fusion.At(Site.Patches, images, graph.PatchEmbed(images, weight, bias, spec.Patch).Named("patches"));
        var x = graph.Sum(graph.Concat(1, graph.Expand(cls, patches), patches), positions).Named("x");
        return fusion.At(Site.Sequence, x, x);
    }

    private Value Pool(BackboneContext context, Value x)
    {
        var (graph, spec) = (context.Graph, context.Spec.Backbone);
        // Patches are the last rows, whatever was inserted before them.
        var patches = this.Tokens(spec) - 1;
        var pooled = spec.Pool == Pooling.Cls ? graph.Select(x, 1, 0) : graph.Mean(graph.Slice(x, 1, x.Shape[1].Size - patches, patches), 1);
        var norm = context.Norm(spec.Pool == Pooling.Cls ? "norm" : "fc_norm", spec.Width);
        return context.At(Place.Norm).At(Site.Features, pooled, graph.LayerNorm(pooled, Epsilon, norm.Weight, norm.Bias).Named("features"));
    }
}
