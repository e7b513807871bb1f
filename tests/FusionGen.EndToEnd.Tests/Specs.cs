using FusionGen.Compiler;
using FusionGen.Compiler.Operators;
using FusionGen.Compiler.Spec;

namespace FusionGen.EndToEnd.Tests;

/// <summary>Small specs for tests, and operators by kind with chosen options.</summary>
internal static class Specs
{
    /// <summary>An operator whose options are the kind's defaults but for the given ones.</summary>
    public static OperatorSpec Operator(string kind, params (string Name, double Value)[] options) => new(
        kind,
        kind,
        EquatableArray.Of<OptionValue>([.. OperatorCatalogue.Get(kind).Options.Select(schema => new OptionValue(
            schema.Name,
            options.Any(option => option.Name == schema.Name) ? options.First(option => option.Name == schema.Name).Value : schema.Default)),
            new OptionValue("cost", double.NaN)]));

    /// <summary>A ViT of 32×32 images in 8×8 patches, 48 channels, 4 heads: every operator is a candidate of every layer.</summary>
    public static SpecDocument Tiny(int depth = 3, bool share = true, Pooling pool = Pooling.Cls) => Of(
        new BackboneSpec { Family = "vit", Image = 32, Patch = 8, Width = 48, Depth = depth, Heads = 4, Mlp = 96, Pool = pool }, share);

    /// <summary>Operators of every site compete in every layer, and one each is on around the layers.</summary>
    public static SpecDocument Sites(SpecDocument spec)
    {
        OperatorSpec[] operators =
        [
            Operator("add"), Operator("prefix"), Operator("lora"), Operator("lora", ("targets", 0b110101), ("active", 3), ("scale", 0.7)) with { Name = "narrow" },
            Operator("ssf"), Operator("adapter"), Operator("adapter", ("activation", 1), ("hidden", 10)) with { Name = "quick" }, Operator("add-direct"), Operator("affine-direct"),
        ];
        return spec with
        {
            Operators = operators.ToEquatableArray(),
            Layers = spec.Layers.Select(_ => new LayerSpec(operators.Select(one => one.Name).ToEquatableArray())).ToEquatableArray(),
            Embed = "ssf",
            Norm = "ssf",
        };
    }

    /// <summary>A second stream of tokens runs beside the blocks.</summary>
    public static SpecDocument Streams(SpecDocument spec, int attention) => spec with
    {
        Operators = spec.Operators.Append(Operator("sa2vp", ("attention", attention), ("every", 2))).ToEquatableArray(),
        Branch = "sa2vp",
    };

    /// <summary>A Swin of two stages with shifted windows, the second of which does not tile.</summary>
    public static SpecDocument TinySwin(int second = 2) => Of(
        new BackboneSpec
        {
            Family = "swin", Image = 48, Patch = 4, Width = 32, Depth = 2 + second, Heads = 2, Mlp = 128, Window = 4,
            Depths = EquatableArray.Of(2, second), StageHeads = EquatableArray.Of(2, 4),
        }, share: true);

    /// <summary>Without one of the operators.</summary>
    public static SpecDocument Without(SpecDocument spec, string name) => spec with
    {
        Operators = spec.Operators.Where(one => one.Name != name).ToEquatableArray(),
        Layers = spec.Layers.Select(layer => new LayerSpec(layer.Candidates.Where(candidate => candidate != name).ToEquatableArray())).ToEquatableArray(),
    };

    /// <summary>Prefixes under two names compete in every layer.</summary>
    public static SpecDocument TwoPrefixes(SpecDocument spec) => spec with
    {
        Operators = spec.Operators.Append(Operator("prefix") with { Name = "deep" }).ToEquatableArray(),
        Layers = spec.Layers.Select(layer => new LayerSpec(layer.Candidates.Append("deep").ToEquatableArray())).ToEquatableArray(),
    };

    private static SpecDocument Of(BackboneSpec backbone, bool share)
    {
        var shared = ("share", share ? 1.0 : 0.0);
        var operators = new List<OperatorSpec>
        {
            Operator("none"), Operator("add"), Operator("affine", shared), Operator("concat", ("identity", 2), shared), Operator("cross-attention", shared),
        };
        operators.Add(Operator("prefix"));
        operators.Add(Operator("e2vpt", ("rows", 3)));
        if (backbone.Family == "vit")
            operators.Add(Operator("vapt", shared));
        return new SpecDocument
        {
            Model = "Tiny",
            Namespace = "FusionGen.Generated",
            Classes = 7,
            Backbone = backbone,
            Prompts = new PromptSpec { Tokens = 5 },
            Operators = operators.ToEquatableArray(),
            Layers = Enumerable.Repeat(new LayerSpec(operators.Select(o => o.Name).ToEquatableArray()), backbone.Depth).ToEquatableArray(),
        };
    }
}
