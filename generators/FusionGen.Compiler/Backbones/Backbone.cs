using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Operators;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Backbones;

/// <summary>What a backbone builds on.</summary>
/// <param name="Graph">The graph under construction.</param>
/// <param name="Spec">The spec.</param>
/// <param name="Candidates">Operators of each layer: all candidates for a supernet, the choice for a model, none for the bare backbone.</param>
public sealed record BackboneContext(GraphBuilder Graph, SpecDocument Spec, EquatableArray<LayerSpec> Candidates)
{
    /// <summary>Blocks from the one that is built to the last, which is 1; 0 past the blocks, null before them.</summary>
    public int? FromEnd { get; set; }

    /// <summary>Something of every image.</summary>
    public Value? Images { get; set; }

    /// <summary>What the backbone's dropout leaves of x in training, of every image by a mask of its own.</summary>
    /// <param name="site">What is dropped; a name of its own, or it is dropped alike.</param>
    /// <param name="x">(B, T, d), or (1, T, d) of all images alike.</param>
    public Value Dropped(string site, Value x)
    {
        var rate = this.Spec.Backbone.Dropout;
        return rate == 0 || x.Shape.IsPerSample ? this.Graph.Dropout(x, site, rate, x) : this.Dropped(site, this.Graph.Expand(x, this.Images!));
    }

    /// <summary>A weight of the backbone under timm's name; frozen, unless the spec tunes it.</summary>
    public Value Weight(string name, Init init, params int[] shape) =>
        this.Graph.Parameter(name, this.Spec.Tune.Includes(name, this.FromEnd) ? ParameterRole.Tuned : ParameterRole.Frozen, init, shape);

    /// <summary>Weight and bias of a layer norm.</summary>
    public (Value Weight, Value Bias) Norm(string name, int width) =>
        (this.Weight($"{name}.weight", Init.One, width), this.Weight($"{name}.bias", Init.Zero, width));

    /// <summary>
    /// Weight and bias of a linear layer, for those who pretrain: Xavier uniform and zero, as the original ViT starts; a fixed deviation
    /// of 0.02 is too small for narrow networks. <paramref name="parts"/> layers side by side (q, k, v) start as that many layers.
    /// </summary>
    public (Value Weight, Value Bias) Dense(string name, int output, int input, int parts = 1) =>
        (this.Weight($"{name}.weight", Init.Xavier(input, output / parts), output, input), this.Weight($"{name}.bias", Init.Zero, output));

    /// <summary>Builds a block.</summary>
    public Value InBlock(string name, int layer, Func<Value> build)
    {
        this.FromEnd = this.Spec.Backbone.Depth - layer;
        var result = this.Graph.In(name, build);
        this.FromEnd = 0;
        return result;
    }

    /// <summary>The candidates of a block.</summary>
    public Fusion Block(int layer, int heads, string bank = "") => Fusion.OfBlock(this.Graph, this.Spec, layer, this.Candidates[layer].Candidates, heads, bank);

    /// <summary>The operator at a place outside the blocks.</summary>
    public Fusion At(Place place) => Fusion.At(this.Graph, this.Spec, place);
}

/// <summary>A family of frozen networks: one file, one entry of <see cref="BackboneCatalogue"/>.</summary>
public abstract class Backbone
{
    /// <summary>Its name in specs.</summary>
    public abstract string Family { get; }

    /// <summary>Rows that attention sees in the first block.</summary>
    public abstract int Tokens(BackboneSpec spec);

    /// <summary>Builds the network up to the pooled features (B, width of the last stage), or several streams' (<see cref="ReadoutsOp"/>).</summary>
    public abstract Value Build(BackboneContext context);

    /// <summary>x + fc2(gelu(fc1(LN(x)))); <paramref name="pass"/> tells dropout what runs through the block beside the image.</summary>
    private protected static Value Mlp(BackboneContext context, string block, Fusion fusion, Value x, int hidden, double epsilon, string pass = "")
    {
        var graph = context.Graph;
        var width = x.Shape.Last;
        var (normWeight, normBias) = context.Norm($"{block}.norm2", width);
        var (fc1, bias1) = context.Dense($"{block}.mlp.fc1", hidden, width);
        var (fc2, bias2) = context.Dense($"{block}.mlp.fc2", width, hidden);
        var u = fusion.At(Site.MlpInput, x, graph.LayerNorm(x, epsilon, normWeight, normBias));
        var inner = context.Dropped($"{block}.mlp.hidden{pass}", graph.Apply(UnaryKind.Gelu, fusion.At(Site.MlpHidden, u, graph.Linear(u, fc1, bias1).Named("hidden"))));
        var output = fusion.At(Site.MlpOutput, inner, context.Dropped($"{block}.mlp.output{pass}", graph.Linear(inner, fc2, bias2).Named("mlp")));
        return graph.Sum(x, output).Named("x");
    }

    /// <summary>
    /// Self-attention of fused tokens u: through qkv, with prefixes through the same norm and projections, and the output projection; only
    /// the first rows ask where the others reach nobody. <paramref name="x"/> is what the norm was given.
    /// </summary>
    private protected static Value Attention(BackboneContext context, string block, Fusion fusion, Value x, Value u, double epsilon, Value? bias = null, int? rows = null, bool withPrefixes = true)
    {
        var graph = context.Graph;
        var width = u.Shape.Last;
        var (norm, (qkv, qkvBias), (proj, projBias)) = AttentionOf(context, block, width);
        var prefixes = (withPrefixes ? fusion.Prefixes : []).Select(prefix =>
        {
            // Prompt rows pass the block's own norm and key and value projections; their queries reach nobody (S1).
            var normed = graph.LayerNorm(fusion.Joining(prefix.Rows, x), epsilon, norm.Weight, norm.Bias);
            var keysValues = graph.Linear(normed, graph.Slice(qkv, 0, width, 2 * width), graph.Slice(qkvBias, 0, width, 2 * width));
            return (keysValues.Named("prefix"), prefix.LogWeight);
        }).Concat(fusion.KeysValues).ToArray();
        var projections = fusion.At(Site.Qkv, u, graph.Linear(u, qkv, qkvBias).Named("qkv"));
        var attended = graph.Attention(projections, fusion.Heads, prefixes, bias, rows).Named("attended");
        return fusion.At(Site.AttentionOutput, attended, graph.Linear(attended, proj, projBias).Named("projected"));
    }

    /// <summary>The frozen weights of a block's attention.</summary>
    private protected static AttentionWeights AttentionOf(BackboneContext context, string block, int width) => new(
        context.Norm($"{block}.norm1", width), context.Dense($"{block}.attn.qkv", 3 * width, width, parts: 3), context.Dense($"{block}.attn.proj", width, width));

    /// <summary>The first rows (B, rows, d) of (B, T, d); null for all.</summary>
    private protected static Value First(GraphBuilder graph, Value x, int? rows) => rows is { } count ? graph.Slice(x, 1, 0, count) : x;
}

/// <summary>Every backbone family a spec can name.</summary>
public static class BackboneCatalogue
{
    /// <summary>The families.</summary>
    public static IReadOnlyList<Backbone> All { get; } = [new VisionTransformer(), new SwinTransformer()];

    /// <summary>The family of that name.</summary>
    public static Backbone Get(string family) => All.First(candidate => candidate.Family == family);
}
