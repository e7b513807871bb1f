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
        var branch = graph.In("embed", () => context.At(Place.Branch).Begin(this.Beside(context), x));
        for (var layer = 0; layer < spec.Depth; layer++)
        {
            var (input, index) = (x, layer);
            // Only the class token leaves the last block: past its attention no other row is computed (METHOD §6.1, S3).
            int? rows = spec.Pool == Pooling.Cls && layer == spec.Depth - 1 ? 1 : null;
            x = context.InBlock(Name(layer), layer, () =>
            {
                var output = Block(context, index, context.Block(index, spec.Heads), input, rows);
                return branch is null ? output : branch.Pass(index, input, output, rows);
            });
        }
        var plain = Fusion.None(graph, context.Spec, spec.Heads);
        return graph.In("pool", () => branch is null
            ? this.Pool(context, context.At(Place.Norm), x)
            : graph.Readouts([1 - branch.Loss, branch.Loss], this.Pool(context, context.At(Place.Norm), x), this.Pool(context, plain, branch.Tokens)).Named("readouts"));
    }

    private static string Name(int layer) => $"blocks.{Text.Invariant(layer)}";

    private static Value Block(BackboneContext context, int layer, Fusion fusion, Value x, int? rows, string pass = "")
    {
        var (graph, spec, block) = (context.Graph, context.Spec.Backbone, Name(layer));
        var norm = context.Norm($"{block}.norm1", spec.Width);
        var u = fusion.At(Site.AttentionInput, x, graph.LayerNorm(x, Epsilon, norm.Weight, norm.Bias).Named("u"));
        // The pool reads the last block's prompts too: they go through it as tokens do (METHOD §6.1, S1).
        var arePooled = layer == spec.Depth - 1 && spec.Pool == Pooling.MeanWithPrompts;
        foreach (var (prompts, weight) in arePooled ? fusion.Prefixes : [])
        {
            if (weight is not null)
                throw new ShapeException("'pool: mean-with-prompts' averages the last layer's prompts, so they cannot be one of several candidates there: give the last layer one.");
            var joining = fusion.JoiningEach(prompts, x);
            (x, u) = (graph.Concat(1, x, joining), graph.Concat(1, u, graph.LayerNorm(joining, Epsilon, norm.Weight, norm.Bias)));
        }
        var residual = graph.Sum(First(graph, x, rows), Attention(context, block, fusion, x, u, Epsilon, rows: rows, withPrefixes: !arePooled)).Named("x");
        return Mlp(context, block, fusion, residual, spec.Mlp, Epsilon, pass);
    }

    private BranchPoint Beside(BackboneContext context)
    {
        var (graph, spec, passes) = (context.Graph, context.Spec.Backbone, 0);
        return new BranchPoint(
            graph,
            this.Positions(context),
            spec.Image / spec.Patch,
            spec.Depth,
            spec.Heads,
            (layer, x, rows) => Block(context, layer, Fusion.None(graph, context.Spec, spec.Heads), x, rows, $".beside{Text.Invariant(passes++)}"),
            layer => AttentionOf(context, Name(layer), spec.Width),
            context.Dropped,
            Epsilon);
    }

    private Value Positions(BackboneContext context) => context.Weight("pos_embed", new Init(InitKind.TruncatedNormal, 0.02), 1, this.Tokens(context.Spec.Backbone), context.Spec.Backbone.Width);

    private Value Embed(BackboneContext context)
    {
        var (graph, spec) = (context.Graph, context.Spec.Backbone);
        var weight = context.Weight("patch_embed.proj.weight", Init.Linear(3 * spec.Patch * spec.Patch), spec.Width, 3, spec.Patch, spec.Patch);
        var bias = context.Weight("patch_embed.proj.bias", Init.Zero, spec.Width);
        var cls = context.Weight("cls_token", new Init(InitKind.Normal, 1e-6), 1, 1, spec.Width);
        var positions = this.Positions(context);
        var images = graph.Input("images", Shape.Batched(1, 3, spec.Image, spec.Image));
        var fusion = context.At(Place.Embed);
        var patches = fusion.At(Site.Patches, images, graph.PatchEmbed(images, weight, bias, spec.Patch).Named("patches"));
        context.Images = patches;
        var x = context.Dropped("embed", graph.Sum(graph.Concat(1, graph.Expand(cls, patches), patches), positions)).Named("x");
        return fusion.At(Site.Sequence, x, x);
    }

    private Value Pool(BackboneContext context, Fusion fusion, Value x)
    {
        var (graph, spec) = (context.Graph, context.Spec.Backbone);
        // Patches are the last rows, whatever was inserted before them; a pool of prompts as well reads all but the class token.
        var patches = this.Tokens(spec) - 1;
        var pooled = spec.Pool switch
        {
            Pooling.Cls => graph.Select(x, 1, 0),
            Pooling.Mean => graph.Mean(graph.Slice(x, 1, x.Shape[1].Size - patches, patches), 1),
            _ => graph.Mean(graph.Slice(x, 1, 1, x.Shape[1].Size - 1), 1),
        };
        var norm = context.Norm(spec.Pool == Pooling.Cls ? "norm" : "fc_norm", spec.Width);
        return fusion.At(Site.Features, pooled, graph.LayerNorm(pooled, Epsilon, norm.Weight, norm.Bias).Named("features"));
    }
}
