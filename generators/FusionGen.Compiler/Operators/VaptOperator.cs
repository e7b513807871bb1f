using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Operators;

/// <summary>
/// VAPT (ICLR 2026; METHOD §2.3, as its code does it): prompts made of the block's own input. Its patches pass a layer norm, a convolution K×K whose kernel
/// all channels share and a linear layer from places to prompts, G; then prompt = G + s·W₂f(W₁G). Convolution and linear layer are one product with a matrix
/// that depends on parameters only (METHOD §6.3), so places are never convolved.
/// </summary>
public sealed class VaptOperator : FusionOperator
{
    private const double Epsilon = 1e-5;

    private static readonly UnaryKind?[] Activations = [UnaryKind.Relu, UnaryKind.Gelu, UnaryKind.Sigmoid, null];

    /// <inheritdoc/>
    public override string Kind => "vapt";

    /// <inheritdoc/>
    public override string Doc => "VAPT: further key and value rows that are made of the block's input.";

    /// <inheritdoc/>
    public override IReadOnlyList<OptionSchema> Options =>
    [
        new("kernel", OptionType.Integer, 2, 1, 64, Nullable: false, "Side of the convolution's kernel."),
        new("padding", OptionType.Integer, 0, 0, 64, Nullable: false, "Zeros around the patches before the convolution."),
        new("channelwise", OptionType.Flag, 1, 0, 1, Nullable: false, "One kernel that every channel is convolved with, as published; otherwise one for each channel."),
        new("hidden", OptionType.Integer, 8, 1, 4096, Nullable: false, "Hidden width of the feature projector."),
        OptionSchema.One("activation", ["relu", "gelu", "sigmoid", "softmax"], "Between the feature projector's layers."),
        new("scale", OptionType.Number, 1, 0, 1e6, Nullable: false, "Factor of the feature projector."),
        new("learn-scale", OptionType.Flag, 0, 0, 1, Nullable: false, "Whether that factor is tuned."),
        new("residual", OptionType.Flag, 1, 0, 1, Nullable: false, "Whether the projector's input is added to its result, as in the published code; the published text does not."),
        new("channel-dropout", OptionType.Number, 0.1, 0, 0.99, Nullable: false, "How likely a channel of the convolution's result is dropped in training."),
        new("dropout", OptionType.Number, 0.1, 0, 0.99, Nullable: false, "How likely a number between the feature projector's layers is dropped in training."),
        new("share", OptionType.Flag, 1, 0, 1, Nullable: false, "One feature projector for all layers, or one per layer."),
    ];

    /// <inheritdoc/>
    public override double Cost => 0.06;

    /// <inheritdoc/>
    public override FusionTerm Build(OperatorContext context)
    {
        var (graph, site, spec, input) = (context.Graph, context.Site, context.Spec, context.Site.Input);
        if (input.Shape[0].Size != 1 || input.Shape[1].Size <= site.Grid * site.Grid)
            throw new ShapeException("it reads the patches that follow a class token; only the vit family has them in each block.");
        var (width, prompts, hidden, name) = (site.Width, site.PromptRows, spec.Integer("hidden"), $"{spec.Name}.{site.Fusion.Name}");
        var bias = graph.BroadcastTo(graph.Reshape(context.Own("linear.bias", Init.Zero, prompts), Shape.Of(prompts, 1)), Shape.Of(prompts, width));
        // A dropped channel is one of the convolution's result; the product with places' weights comes after it, and is linear.
        var made = graph.Sum(graph.Dropout(FromPlaces(context, input), $"{name}.channels", spec.Number("channel-dropout"), input, channels: true), bias);
        var inner = graph.Linear(made, context.Weight("mlp.0.weight", Init.Linear(width), hidden, width));
        inner = Activations[spec.Integer("activation")] is { } function ? graph.Apply(function, inner) : graph.Softmax(inner, 2);
        inner = graph.Dropout(inner, $"{name}.hidden", spec.Number("dropout"), input);
        var projected = graph.Linear(inner, context.Weight("mlp.2.weight", Init.Linear(hidden), width, hidden));
        projected = spec.Flag("learn-scale")
            ? graph.Mul(projected, graph.Select(context.Weight("mlp.scale", new Init(InitKind.Constant, spec.Number("scale")), 1), 0, 0))
            : graph.Scale(projected, spec.Number("scale"));
        return new FusionTerm { Prefix = (spec.Flag("residual") ? graph.Sum(made, projected) : projected).Named("adaptive") };
    }

    /// <summary>(B, P, d): every prompt a weighted sum of the normalised patches.</summary>
    private static Value FromPlaces(OperatorContext context, Value input)
    {
        var (graph, site, spec) = (context.Graph, context.Site, context.Spec);
        var (width, prompts, grid, kernel, padding) = (site.Width, site.PromptRows, site.Grid, spec.Integer("kernel"), spec.Integer("padding"));
        var (padded, side) = (grid + (2 * padding), grid + (2 * padding) - kernel + 1);
        if (side < 1)
            throw new ShapeException($"a kernel of {kernel} is larger than {grid}×{grid} patches with a padding of {padding}.");
        var normed = graph.LayerNorm(input, Epsilon, context.Own("norm.weight", Init.One, width), context.Own("norm.bias", Init.Zero, width)).Named("places");
        var weights = graph.Reshape(context.Own("linear.weight", Init.Zero, prompts, side * side), Shape.Of(prompts, side, side));
        var isTied = spec.Flag("channelwise");
        var channels = isTied ? 1 : width;
        var taps = graph.Reshape(context.Own("conv.kernel", new Init(InitKind.Normal, 1), channels, 1, kernel, kernel), isTied ? Shape.Of(kernel * kernel) : Shape.Of(width, kernel * kernel));
        Value? sum = null;
        for (var tap = 0; tap < kernel * kernel; tap++)
        {
            var factor = graph.Select(taps, isTied ? 0 : 1, tap);
            var part = isTied ? graph.Mul(Moved(tap), factor) : graph.Mul(graph.MatMul(OfRows(Moved(tap)), normed), factor);
            sum = sum is null ? part : graph.Sum(sum, part);
        }
        return (isTied ? graph.MatMul(OfRows(sum!), normed) : sum!).Named("fromPlaces");

        // Where a tap reads: the weights of the convolution's places as weights of the padded grid's.
        Value Moved(int tap) => graph.Embed(graph.Embed(weights, 1, tap / kernel, padded), 2, tap % kernel, padded);

        // (P, rows): the padding cut off, and no weight for what comes before the patches.
        Value OfRows(Value ofPadded)
        {
            var ofGrid = padding == 0 ? ofPadded : graph.Slice(graph.Slice(ofPadded, 1, padding, grid), 2, padding, grid);
            return graph.Embed(graph.Reshape(ofGrid, Shape.Of(prompts, grid * grid)), 1, input.Shape[1].Size - (grid * grid), input.Shape[1].Size).Named("mixOfPlaces");
        }
    }
}
