using FusionGen.Compiler;
using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Operators;
using FusionGen.Compiler.Spec;

namespace FusionGen.EndToEnd.Tests;

/// <summary>Small specs that nobody thought of: any sizes, any operators with any options, any layers, whatever else the format has. By seed.</summary>
internal static class RandomSpecs
{
    /// <summary>A spec, and a policy or, for its supernet, none. It compiles.</summary>
    public static (SpecDocument Spec, PolicyDocument? Policy) Draw(int seed)
    {
        var random = new Random(seed);
        while (true)
        {
            var spec = Draw(random);
            var policy = spec.Layers.All(layer => layer.Candidates.Count == 0) || random.Next(2) == 0
                ? new PolicyDocument(spec.Model, SpecHash.Of(spec), spec.Layers.Select(layer => layer.Candidates.Count == 0 ? "" : Pick(random, layer.Candidates)).ToEquatableArray())
                : null;
            if (Compiles(spec, policy))
                return (spec, policy);
        }
    }

    /// <summary>A spec in which there is something to choose. It compiles.</summary>
    public static SpecDocument DrawSupernet(int seed)
    {
        var random = new Random(seed);
        while (true)
        {
            var spec = Draw(random);
            if (spec.Layers.Any(layer => layer.Candidates.Count > 1) && Compiles(spec, null))
                return spec;
        }
    }

    private static bool Compiles(SpecDocument spec, PolicyDocument? policy) => FusionCompiler.Compile(spec, policy).Networks is not null;

    private static SpecDocument Draw(Random random)
    {
        var backbone = random.Next(4) == 0 ? Swin(random) : Vit(random);
        var kinds = OperatorCatalogue.All.Where(kind => kind.Kind is not ("vpt-shallow" or "sa2vp")).ToArray();
        var operators = Enumerable.Range(0, random.Next(1, 7)).Select(i => Operator(random, Pick(random, kinds), $"op{i}")).ToList();
        string Outside(int oneIn, params string[] of)
        {
            if (random.Next(oneIn) > 0)
                return "";
            operators.Add(Operator(random, OperatorCatalogue.Get(Pick(random, of)), $"op{operators.Count}"));
            return operators[^1].Name;
        }
        var layers = Enumerable.Range(0, backbone.Depth).Select(_ => Candidates(random, operators)).ToList();
        // Like layers are what the compiler treats as one.
        if (random.Next(2) == 0)
            layers = [.. layers.Select((_, i) => layers[i % random.Next(1, 3)])];
        return new SpecDocument
        {
            Model = "Drawn",
            Namespace = "FusionGen.Generated",
            Classes = random.Next(2, 12),
            Backbone = backbone,
            Head = Pick(random, Enum.GetValues<HeadInit>()),
            Tune = random.Next(3) > 0 ? default : new TuneSpec(Pick(random, Enum.GetValues<TuneScope>()), random.Next(1, backbone.Depth + 1)),
            Prompts = new PromptSpec
            {
                Tokens = random.Next(1, 9),
                Init = Pick(random, Enum.GetValues<PromptInit>()),
                Project = random.Next(4) == 0 ? random.Next(1, 9) : 0,
                Dropout = random.Next(4) == 0 ? 0.3 : 0,
                ShareDropout = random.Next(2) == 0,
            },
            Layers = layers.ToEquatableArray(),
            Embed = Outside(4, "vpt-shallow", "ssf"),
            Branch = Outside(6, "sa2vp"),
            Norm = Outside(6, "ssf"),
            Operators = operators.ToEquatableArray(),
            Search = new SearchSettings { Channels = random.Next(4) == 0 ? random.Next(2, 5) : 1, Relaxation = random.Next(4) == 0 ? Relaxation.Gdas : Relaxation.Softmax },
            Budget = new BudgetSpec { Memory = random.Next(3) == 0 ? (long)Math.Pow(2, 16 + (8 * random.NextDouble())) : 0 },
        };
    }

    private static BackboneSpec Vit(Random random)
    {
        var (patch, heads) = (2 * random.Next(1, 5), random.Next(1, 5));
        return new BackboneSpec
        {
            Family = "vit", Image = patch * random.Next(2, 7), Patch = patch, Width = heads * random.Next(6, 20), Depth = random.Next(1, 8), Heads = heads, Mlp = random.Next(1, 130),
            Pool = Pick(random, Enum.GetValues<Pooling>()), Dropout = random.Next(5) == 0 ? 0.2 : 0,
        };
    }

    private static BackboneSpec Swin(Random random)
    {
        var (patch, heads, depths) = (2 * random.Next(1, 3), random.Next(1, 3), Enumerable.Range(0, random.Next(1, 4)).Select(_ => random.Next(1, 4)).ToArray());
        return new BackboneSpec
        {
            Family = "swin", Image = patch * 4 * random.Next(1, 4), Patch = patch, Width = heads * 4 * random.Next(1, 7), Depth = depths.Sum(), Heads = heads, Mlp = 4 * random.Next(4, 30),
            Window = random.Next(2, 6), Depths = EquatableArray.Of(depths), StageHeads = EquatableArray.Of([.. depths.Select((_, stage) => heads << stage)]), Dropout = random.Next(5) == 0 ? 0.2 : 0,
        };
    }

    private static OperatorSpec Operator(Random random, FusionOperator kind, string name) =>
        Specs.Operator(kind.Kind, [.. kind.Options.Select(option => (option.Name, Value(random, option)))]) with { Name = name };

    private static double Value(Random random, OptionSchema option)
    {
        if (random.Next(2) == 0)
            return option.Default;
        if (option.Nullable && random.Next(2) == 0)
            return double.NaN;
        return option.Type switch
        {
            OptionType.Number => option.Minimum + (random.NextDouble() * (Math.Min(option.Maximum, option.Minimum + 1) - option.Minimum)),
            OptionType.Words => random.Next(1, (int)option.Maximum + 1),
            _ => random.Next((int)option.Minimum, (int)Math.Min(option.Maximum, option.Minimum + 12) + 1),
        };
    }

    private static LayerSpec Candidates(Random random, List<OperatorSpec> operators) =>
        new(operators.Where(_ => random.Next(3) > 0).Select(one => one.Name).ToEquatableArray());

    private static T Pick<T>(Random random, IReadOnlyList<T> from) => from[random.Next(from.Count)];
}
