using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Operators;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Backbones;

/// <summary>
/// Swin (Liu et al. 2021) as timm builds it: windows, cyclic shift, relative position bias, merging at the start of a stage, ε 1e-5, mean over
/// all places after the last norm. Prompts fuse with every window after norm, shift and partition; rows that pad an incomplete window are
/// fused too and act as unmasked keys, as in the authors' code (METHOD §8, 5).
/// </summary>
public sealed class SwinTransformer : Backbone
{
    private const double Epsilon = 1e-5;

    /// <inheritdoc/>
    public override string Family => "swin";

    /// <inheritdoc/>
    public override int Tokens(BackboneSpec spec)
    {
        var window = Math.Min(spec.Window, spec.Image / spec.Patch);
        return window * window;
    }

    /// <inheritdoc/>
    public override Value Build(BackboneContext context)
    {
        if (context.Spec.Branch is { Length: > 0 } branch)
            throw new ShapeException("A second stream of tokens needs a backbone whose blocks all see the same tokens: vit.") { Operator = branch };
        var (graph, spec) = (context.Graph, context.Spec.Backbone);
        var x = graph.In("embed", () => Embed(context));
        var layer = 0;
        for (var stage = 0; stage < spec.Depths.Count; stage++)
        {
            for (var block = 0; block < spec.Depths[stage]; block++, layer++)
            {
                var place = new Position($"layers.{Text.Invariant(stage)}.blocks.{Text.Invariant(block)}", layer, stage, spec.StageHeads[stage], IsShifted: block % 2 == 1);
                var (input, merge) = (x, stage > 0 && block == 0);
                x = context.InBlock(place.Name, layer, () => Block(context, merge ? Merge(context, input, place) : input, place));
            }
        }
        return graph.In("pool", () =>
        {
            var norm = context.Norm("norm", x.Shape.Last);
            var normed = context.At(Place.Norm).At(Site.Features, x, graph.LayerNorm(x, Epsilon, norm.Weight, norm.Bias));
            return graph.Mean(graph.Reshape(normed, Shape.Batched(1, x.Shape[1].Size * x.Shape[2].Size, x.Shape.Last)), 1).Named("features");
        });
    }

    private static Value Embed(BackboneContext context)
    {
        var (graph, spec) = (context.Graph, context.Spec.Backbone);
        var weight = context.Weight("patch_embed.proj.weight", Init.Linear(3 * spec.Patch * spec.Patch), spec.Width, 3, spec.Patch, spec.Patch);
        var bias = context.Weight("patch_embed.proj.bias", Init.Zero, spec.Width);
        var norm = context.Norm("patch_embed.norm", spec.Width);
        var images = graph.Input("images", Shape.Batched(1, 3, spec.Image, spec.Image));
        var fusion = context.At(Place.Embed);
        var patches = fusion.At(Site.Patches, images, graph.PatchEmbed(images, weight, bias, spec.Patch));
        context.Images = patches;
        var x = context.Dropped("embed", graph.LayerNorm(patches, Epsilon, norm.Weight, norm.Bias));
        x = fusion.At(Site.Sequence, x, x);
        var grid = spec.Image / spec.Patch;
        return graph.Reshape(x, Shape.Batched(1, grid, grid, spec.Width)).Named("x");
    }

    /// <summary>2×2 neighbours side by side, (row 0, col 0), (1, 0), (0, 1), (1, 1), normed and projected to twice the width.</summary>
    private static Value Merge(BackboneContext context, Value x, Position place)
    {
        var graph = context.Graph;
        var name = $"layers.{Text.Invariant(place.Stage)}.downsample";
        var (rows, columns, width) = (x.Shape[1].Size, x.Shape[2].Size, x.Shape.Last);
        x = graph.Pad(x, rows % 2, columns % 2);
        var (halfRows, halfColumns) = ((rows + 1) / 2, (columns + 1) / 2);
        var quads = graph.Permute(graph.Reshape(x, Shape.Batched(1, halfRows, 2, halfColumns, 2, width)), 0, 1, 3, 4, 2, 5);
        var joined = graph.Reshape(quads, Shape.Batched(1, halfRows, halfColumns, 4 * width));
        var norm = context.Norm($"{name}.norm", 4 * width);
        var reduction = context.Weight($"{name}.reduction.weight", new Init(InitKind.TruncatedNormal, 0.02), 2 * width, 4 * width);
        return graph.Linear(graph.LayerNorm(joined, Epsilon, norm.Weight, norm.Bias), reduction).Named("merged");
    }

    private static Value Block(BackboneContext context, Value x, Position place)
    {
        var (graph, spec) = (context.Graph, context.Spec.Backbone);
        var (rows, columns, width) = (x.Shape[1].Size, x.Shape[2].Size, x.Shape.Last);
        var window = Math.Min(spec.Window, Math.Min(rows, columns));
        var shift = place.IsShifted && Math.Min(rows, columns) > spec.Window ? window / 2 : 0;
        var (down, across) = ((rows + window - 1) / window, (columns + window - 1) / window);

        var norm = context.Norm($"{place.Name}.norm1", width);
        Value Windows(Value of)
        {
            var padded = graph.Pad(graph.Roll(of, -shift), (down * window) - rows, (across * window) - columns);
            var windows = graph.Permute(graph.Reshape(padded, Shape.Batched(1, down, window, across, window, width)), 0, 1, 3, 2, 4, 5);
            return graph.Reshape(windows, Shape.Batched(down * across, window * window, width));
        }
        var u = Windows(graph.LayerNorm(x, Epsilon, norm.Weight, norm.Bias)).Named("u");
        var fusion = context.Block(place.Layer, place.Heads, $".stage{Text.Invariant(place.Stage)}");

        var side = (2 * window) - 1;
        var table = context.Weight($"{place.Name}.attn.relative_position_bias_table", new Init(InitKind.TruncatedNormal, 0.02), side * side, place.Heads);
        var bias = graph.RelativeBias(table, window).Named("bias");
        if (shift > 0)
            bias = graph.Sum(bias, graph.WindowMask(down * window, across * window, window, shift));
        var tokens = Windows(x);
        var attended = Attention(context, place.Name, fusion, tokens, fusion.At(Site.AttentionInput, tokens, u), Epsilon, bias);

        var back = graph.Permute(graph.Reshape(attended, Shape.Batched(1, down, across, window, window, width)), 0, 1, 3, 2, 4, 5);
        var grid = graph.Reshape(back, Shape.Batched(1, down * window, across * window, width));
        grid = graph.Roll(Crop(graph, Crop(graph, grid, 1, rows), 2, columns), shift);
        return Mlp(context, place.Name, fusion, graph.Sum(x, grid).Named("x"), spec.Mlp << place.Stage, Epsilon);
    }

    private static Value Crop(GraphBuilder graph, Value x, int axis, int size) => x.Shape[axis].Size == size ? x : graph.Slice(x, axis, 0, size);

    private sealed record Position(string Name, int Layer, int Stage, int Heads, bool IsShifted);
}
