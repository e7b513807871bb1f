using FusionGen.Compiler.Spec.Schema;

namespace FusionGen.Compiler.Spec;

/// <summary>A published protocol of training, complete: results under different ones are not comparable.</summary>
/// <param name="Name">Name in specs.</param>
/// <param name="Source">Whose it is, and what in it is not stated there.</param>
/// <param name="Train">Every value.</param>
public sealed record Recipe(string Name, string Source, TrainSettings Train);

/// <summary>The published protocols (METHOD §3.2, §4).</summary>
public static class RecipeCatalogue
{
    private static readonly EquatableArray<double> Rates = EquatableArray.Of(50, 25, 10, 5, 2.5, 1, 0.5, 0.25, 0.1, 0.05);
    private static readonly EquatableArray<double> Decays = EquatableArray.Of(0.01, 0.001, 0.0001, 0);
    private static readonly EquatableArray<double> Five = EquatableArray.Of<double>(42, 44, 82, 100, 800);

    /// <summary>
    /// SGD at lr · batch / 256, one epoch at rate 0, nine rising, a cosine over ninety; the last epoch decides, on 200 images; then five runs on
    /// all 1000. lr and weight decay are what the grid goes through; a single run takes the rate that VAPT's quick search starts from.
    /// </summary>
    private static readonly TrainSettings Vpt = new()
    {
        Recipe = "vpt-vtab",
        Epochs = 100,
        Batch = 128,
        Warmup = 10,
        Continue = false,
        Optimizer = new() { Kind = OptimizerKind.Sgd, LearningRate = 5, WeightDecay = 0.001, Momentum = 0.9 },
        Preprocessing = "vpt-vtab",
        Normalization = "imagenet",
        BaseBatch = 256,
        Keep = Keep.Last,
        Grid = new() { Lr = Rates, WeightDecay = Decays },
        Retrain = true,
        Seeds = Five,
    };

    /// <summary>Random crops and flips; a validation split of its own, or a tenth; no second training.</summary>
    private static readonly TrainSettings VptFgvc = Vpt with
    {
        Recipe = "vpt-fgvc",
        Preprocessing = "vpt-fgvc",
        Grid = new() { Lr = Rates.Where(rate => rate != 0.05).ToEquatableArray(), WeightDecay = Decays },
        Retrain = false,
    };

    private static readonly TrainSettings Sa2vp = Vpt with
    {
        Recipe = "sa2vp-vtab",
        Batch = 64,
        BaseBatch = 0,
        Optimizer = new() { Kind = OptimizerKind.AdamW, LearningRate = 1e-3, WeightDecay = 1e-4 },
        Preprocessing = "squash",
        Normalization = "half",
        Grid = new(),
        Seeds = EquatableArray.Of<double>(42),
    };

    /// <summary>All.</summary>
    public static IReadOnlyList<Recipe> All { get; } =
    [
        new("vpt-vtab", "VPT on VTAB-1k", Vpt),
        new("vpt-fgvc", "VPT on FGVC; the seeds are those of VTAB-1k", VptFgvc),
        new("vpt-linear", "VPT's linear probe on VTAB-1k", Vpt with { Recipe = "vpt-linear", Batch = 1024 }),
        new("vpt-full", "VPT's full fine-tuning on VTAB-1k, with its own AdamW; the decays are those of its prompts", Vpt with
        {
            Recipe = "vpt-full",
            Batch = 384,
            Warmup = 5,
            Optimizer = new() { Kind = OptimizerKind.VptAdamW, LearningRate = 1e-3, WeightDecay = 0.01 },
            Grid = new() { Lr = EquatableArray.Of(1e-3, 5e-4, 1e-4, 5e-3), WeightDecay = Decays },
        }),
        new("vapt-vtab", "VAPT on VTAB-1k: VPT's, 64 images a step", Vpt with { Recipe = "vapt-vtab", Batch = 64 }),
        new("vapt-fgvc", "VAPT on FGVC: VPT's, 64 images a step", VptFgvc with { Recipe = "vapt-fgvc", Batch = 64 }),
        new("e2vpt-vtab", "E2VPT on VTAB-1k: VPT's", Vpt with { Recipe = "e2vpt-vtab" }),
        new("pfd", "prompt-fusion discovery: ten epochs that continue the ninety of the search", new TrainSettings { Recipe = "pfd", Seeds = EquatableArray.Of<double>(0, 1, 2) }),
        new("sa2vp-vtab", "SA2VP on VTAB-1k; its code fixes the seed, and its README takes 40 images a step on some tasks", Sa2vp),
        new("sa2vp-hta", "SA2VP on HTA; its code fixes the seed", Sa2vp with { Recipe = "sa2vp-hta", Preprocessing = "vpt-fgvc", Retrain = false }),
        new("noah-vtab", "NOAH on VTAB-1k; the cosine without warm-up and one seed are ours", Sa2vp with { Recipe = "noah-vtab", Warmup = 0, Normalization = "imagenet", Seeds = EquatableArray.Of<double>(0) }),
    ];

    /// <summary>What a training section changes of its recipe, or of the defaults where it names none: key, its value and the recipe's, as JSON.</summary>
    public static IReadOnlyList<(string Key, string Value, string Published)> Overridden(TrainSettings train)
    {
        var published = All.FirstOrDefault(recipe => recipe.Name == train.Recipe)?.Train ?? new TrainSettings();
        return [.. SpecSchema.Training.Keys.Where(key => key.Name != "recipe").Select(key => (key.Name, Json(key, train), Json(key, published))).Where(row => row.Item2 != row.Item3)];
    }

    /// <summary>A line that tells a protocol from others: the recipe's name, <c>own</c> for none, and what was changed of it.</summary>
    public static string Protocol(TrainSettings train)
    {
        var name = train.Recipe.Length == 0 ? "own" : train.Recipe;
        var changes = Overridden(train);
        return changes.Count == 0 ? name : $"{name} but {string.Join(", ", changes.Select(change => $"{change.Key} {change.Value}"))}";
    }

    private static string Json(Key<TrainSettings> key, TrainSettings train)
    {
        var json = new JsonWriter(indented: false);
        key.Write(train, json);
        return json.ToString();
    }
}
