using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Operators;

/// <summary>
/// SA2VP (Pei et al. 2024; METHOD §2.5, §8.2): a map of prompts, one for each token, runs through the frozen blocks beside the image, and each stream
/// attends to the other's neighbourhood by the frozen projections of the block. Further maps join the prompts every few layers.
/// </summary>
public sealed class Sa2vpOperator : FusionOperator
{
    private static readonly string[] Attentions = ["accelerated", "original"];

    /// <inheritdoc/>
    public override string Kind => "sa2vp";

    /// <inheritdoc/>
    public override string Doc => "SA2VP: a map of prompts runs through the same blocks beside the image, and each attends to the other's neighbourhood.";

    /// <inheritdoc/>
    public override double Cost => 1;

    /// <inheritdoc/>
    public override IReadOnlyList<OptionSchema> Options =>
    [
        new("rank", OptionType.Integer, 8, 1, 4096, Nullable: false, "Width of the maps and of the MLPs between the streams."),
        new("weight", OptionType.Number, 0.1, 0, 100, Nullable: false, "What one stream adds to the other is multiplied by this (published: 0.1, 0.5 or 1.5 by task)."),
        OptionSchema.One("attention", Attentions, "Between the streams: accelerated (one head; a border's missing neighbours count as zeros) or original (the backbone's heads; a border has fewer neighbours)."),
        new("every", OptionType.Integer, 4, 1, 1024, Nullable: false, "In every so many layers, the first included, the prompts attend to the image and a further map joins them; in the others the image attends to the prompts."),
        new("loss", OptionType.Number, 0.2, 0, 1, Nullable: false, "Part of the prompt stream's cross-entropy in the loss."),
    ];

    /// <inheritdoc/>
    public override IReadOnlyList<Site> Sites { get; } = [Site.Branch];

    /// <inheritdoc/>
    public override FusionTerm Build(OperatorContext context) => FusionTerm.Identity;

    /// <inheritdoc/>
    public override Branch Begin(OperatorContext context, BranchPoint point) => new Streams(context, point);

    private sealed class Streams : Branch
    {
        private readonly OperatorContext context;
        private readonly BranchPoint point;
        private readonly GraphBuilder graph;
        private readonly int width;
        private readonly int rank;
        private readonly int heads;
        private readonly bool isPadded;
        private readonly Value bias;
        private Value tokens;

        public Streams(OperatorContext context, BranchPoint point)
        {
            (this.context, this.point, this.graph) = (context, point, point.Graph);
            this.width = point.Positions.Shape.Last;
            this.rank = context.Spec.Integer("rank");
            this.isPadded = context.Has("attention", "accelerated");
            this.heads = this.isPadded ? 1 : point.Heads;
            this.bias = this.graph.In(GraphBuilder.SharedScope, () => this.graph.NeighbourBias(point.Side, this.heads, this.isPadded)).Named("neighbours");
            this.tokens = point.Dropped("sa2vp.prompts", this.graph.Sum(this.Map("0"), point.Positions)).Named("p");
        }

        public override Value Tokens => this.tokens;

        public override double Loss => this.context.Spec.Number("loss");

        public override Value Pass(int layer, Value input, Value output, int? rows)
        {
            var before = this.tokens;
            var toPrompts = layer % this.context.Spec.Integer("every") == 0;
            this.tokens = this.point.Block(layer, before, rows);
            if (toPrompts && layer > 0)
            {
                // A further map goes through this block alone, and joins what came out of it.
                var gate = this.Weight($"{Text.Invariant(layer)}.gate", new Init(InitKind.Normal, 0.02), this.width);
                this.tokens = this.graph.Sum(this.tokens, this.graph.Mul(this.point.Block(layer, this.Map(Text.Invariant(layer)), rows), gate));
            }
            if (!toPrompts)
                return this.graph.Sum(output, this.Attend(layer, input, before, rows)).Named("x");
            this.tokens = this.graph.Sum(this.tokens, this.Attend(layer, before, input, rows)).Named("p");
            return output;
        }

        private Value Weight(string name, Init init, params int[] shape) => this.context.Weight(name, init, shape);

        /// <summary>Xavier uniform, and biases of hardly anything, as the released code starts.</summary>
        private (Value Weight, Value Bias) Dense(string name, int output, int input) => (
            this.Weight($"{name}.weight", Init.Xavier(input, output), output, input), this.Weight($"{name}.bias", new Init(InitKind.Normal, 1e-6), output));

        /// <summary>A map of prompts (1, T, r), widened to (1, T, d).</summary>
        private Value Map(string name)
        {
            var rows = this.point.Positions.Shape[1].Size;
            var map = this.Weight($"{name}.prompts", this.context.Site.Fusion.StartOfPrompts(this.rank), 1, rows, this.rank);
            var (weight, bias) = this.Dense($"{name}.proj", this.width, this.rank);
            return this.graph.Linear(map, weight, bias);
        }

        /// <summary>One stream attends to the other by the block's frozen norm and projections, each patch to its neighbourhood, and an MLP makes of it what the first stream is given.</summary>
        private Value Attend(int layer, Value asking, Value asked, int? rows)
        {
            var (d, name) = (this.width, Text.Invariant(layer));
            var frozen = this.point.Attention(layer);
            Value Projected(Value x, int start, int length) => this.graph.Linear(
                this.graph.LayerNorm(x, this.point.Epsilon, frozen.Norm.Weight, frozen.Norm.Bias),
                this.graph.Slice(frozen.Qkv.Weight, 0, start, length),
                this.graph.Slice(frozen.Qkv.Bias, 0, start, length));
            var projections = new[] { Projected(asking, 0, d), Projected(asked, d, 2 * d) };
            var like = projections.First(one => one.Shape.IsPerSample);
            var qkv = this.graph.Concat(2, [.. projections.Select(one => one.Shape.IsPerSample ? one : this.graph.Expand(one, like))]);
            var count = qkv.Shape[1].Size;
            if (this.isPadded)
                qkv = this.graph.Embed(qkv, 1, 0, count + 1);
            var attended = this.graph.Attention(qkv.Named("crossing"), this.heads, [], this.bias, rows ?? count);
            var crossed = this.point.Dropped($"sa2vp.{name}.crossed", this.graph.Linear(attended, frozen.Output.Weight, frozen.Output.Bias));
            var from = rows is { } first ? this.graph.Slice(asking, 1, 0, first) : asking;
            var sum = this.graph.Sum(crossed, from);
            var (normWeight, normBias) = (this.Weight($"{name}.norm.weight", Init.One, d), this.Weight($"{name}.norm.bias", Init.Zero, d));
            var (down, downBias) = this.Dense($"{name}.fc1", this.rank, d);
            var (up, upBias) = this.Dense($"{name}.fc2", d, this.rank);
            var inner = this.point.Dropped($"sa2vp.{name}.hidden", this.graph.Apply(UnaryKind.Gelu, this.graph.Linear(this.graph.LayerNorm(sum, this.point.Epsilon, normWeight, normBias), down, downBias)));
            var given = this.point.Dropped($"sa2vp.{name}.given", this.graph.Linear(inner, up, upBias));
            return this.graph.Scale(given, this.context.Spec.Number("weight")).Named("crossed");
        }
    }
}
