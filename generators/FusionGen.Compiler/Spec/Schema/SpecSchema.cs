using FusionGen.Compiler.Operators;
using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec.Yaml;

namespace FusionGen.Compiler.Spec.Schema;

/// <summary>The keys of a spec: the one source of what the reader accepts, of the canonical text behind the hash, and of the JSON schema.</summary>
internal sealed class SpecSchema
{
    private const double MaxEpochs = 100_000;
    private const double MaxBatch = 65_536;

    private static readonly MapSchema<OptimizerSettings> Optimizer = new("an optimizer",
    [
        new Key<OptimizerSettings, OptimizerKind>("kind", "Update rule.", new ChoiceSchema<OptimizerKind>("optimizer",
            ("adamw", OptimizerKind.AdamW), ("adam", OptimizerKind.Adam), ("sgd", OptimizerKind.Sgd), ("vpt-adamw", OptimizerKind.VptAdamW)), o => o.Kind, (o, v) => o with { Kind = v }),
        Number<OptimizerSettings>("lr", "Peak learning rate.", 0, 1000, o => o.LearningRate, (o, v) => o with { LearningRate = v }),
        Number<OptimizerSettings>("weight-decay", "Weight decay.", 0, 1000, o => o.WeightDecay, (o, v) => o with { WeightDecay = v }),
        Number<OptimizerSettings>("momentum", "Momentum of sgd.", 0, 0.999999, o => o.Momentum, (o, v) => o with { Momentum = v }),
        new Key<OptimizerSettings, double>("bias-multiplier", "What the learning rate of biases but the head's is multiplied by, in sgd.", new NumberSchema(false, 0, 1000),
            o => o.BiasMultiplier, (o, v) => o with { BiasMultiplier = v }, present: o => o.BiasMultiplier != 1),
        new Key<OptimizerSettings, EquatableArray<double>>("betas", "Decay of the first and second moment of adam and adamw.",
            new ListSchema<double>("a list of two numbers", new NumberSchema(false, 0, 0.999999999), 0.9, 2, 2),
            o => EquatableArray.Of(o.Beta1, o.Beta2), (o, v) => v.Count == 2 ? o with { Beta1 = v[0], Beta2 = v[1] } : o),
    ], check: CheckOptimizer);

    private static readonly MapSchema<PromptSpec> Prompts = new("'prompts'",
    [
        Whole<PromptSpec>("tokens", "Prompt rows per layer.", 1, 4096, p => p.Tokens, (p, v) => p with { Tokens = v }),
        new Key<PromptSpec, PromptSpec>("init", "Distribution prompts start from.", new MapSchema<PromptSpec>("'init'",
        [
            Scale("normal", "Standard deviation of a normal distribution.", PromptInit.Normal),
            Scale("uniform", "Bound of a uniform distribution around 0.", PromptInit.Uniform),
            Scale("vpt", "Uniform within this times √(6/(3·patch² + channels)), as VPT starts with 1.", PromptInit.Vpt),
        ], oneOf: true), p => p, (_, v) => v),
        new Key<PromptSpec, double>("project", "Channels that prompts are tuned in, before a linear layer to a token's that all layers share; null for a token's own.",
            new NumberSchema(true, 1, 16384, nullable: true), p => p.Project == 0 ? double.NaN : p.Project, (p, v) => p with { Project = double.IsNaN(v) ? 0 : (int)v }, present: p => p.Project > 0),
        new Key<PromptSpec, double>("dropout", "How likely a number of a prompt that joins the sequence is dropped in training.", new NumberSchema(false, 0, 0.99),
            p => p.Dropout, (p, v) => p with { Dropout = v }, present: p => p.Dropout > 0),
        new Key<PromptSpec, bool>("share-dropout", "One mask for all images of a step, so that prompts are the same for all; otherwise one for each, as published.", new FlagSchema(),
            p => p.ShareDropout, (p, v) => p with { ShareDropout = v }, present: p => p.ShareDropout),
    ]);

    private static readonly MapSchema<SearchSettings> Search = new("'search'",
    [
        // Read first: whatever else is given stands above it.
        new Key<SearchSettings, SearchSettings>("preset", "A published schedule to start from: the authors' (pfd), DARTS' or GDAS'; other keys override it.",
            new ChoiceSchema<SearchSettings>("search preset", ("default", new()), ("pfd", SearchSettings.Pfd), ("darts", SearchSettings.Darts), ("gdas", SearchSettings.Gdas)),
            s => s, (_, v) => v, present: _ => false),
        new Key<SearchSettings, SearchOrder>("order", "How the gradient of the architecture is taken.", new ChoiceSchema<SearchOrder>("search order",
            ("first", SearchOrder.First), ("second-exact", SearchOrder.SecondExact), ("second-fd", SearchOrder.SecondFd), ("second-forward", SearchOrder.SecondForward)), s => s.Order, (s, v) => s with { Order = v }),
        new Key<SearchSettings, Relaxation>("relaxation", "How candidates mix: all of them by softmax, or one drawn every step by Gumbel's noise.",
            new ChoiceSchema<Relaxation>("relaxation", ("softmax", Relaxation.Softmax), ("gdas", Relaxation.Gdas)), s => s.Relaxation, (s, v) => s with { Relaxation = v }),
        Whole<SearchSettings>("epochs", "Epochs of the search.", 1, MaxEpochs, s => s.Epochs, (s, v) => s with { Epochs = v }),
        Whole<SearchSettings>("warmup", "First epochs, in which the architecture stands still.", 0, MaxEpochs, s => s.Warmup, (s, v) => s with { Warmup = v }),
        Whole<SearchSettings>("stop", "Epochs without a change of the policy after which the search ends; 0 for never.", 0, MaxEpochs, s => s.Stop, (s, v) => s with { Stop = v }),
        Whole<SearchSettings>("batch", "Images of a step.", 1, MaxBatch, s => s.Batch, (s, v) => s with { Batch = v }),
        new Key<SearchSettings, SearchSettings>("temperature", "Temperature of the mixture, or of the draw, over the epochs.", new MapSchema<SearchSettings>("'temperature'",
        [
            Number<SearchSettings>("from", "Temperature of the first epoch.", 0, 1e6, s => s.TemperatureFrom, (s, v) => s with { TemperatureFrom = v }, above: true),
            Number<SearchSettings>("to", "Temperature of the last epoch.", 0, 1e6, s => s.TemperatureTo, (s, v) => s with { TemperatureTo = v }, above: true),
            new Key<SearchSettings, Curve>("curve", "The way between them.", new ChoiceSchema<Curve>("curve",
                ("cosine", Curve.Cosine), ("linear", Curve.Linear), ("constant", Curve.Constant)), s => s.TemperatureCurve, (s, v) => s with { TemperatureCurve = v }),
        ]), s => s, (_, v) => v),
        Number<SearchSettings>("entropy", "Weight of the mixture's negative entropy in the architecture's objective.", 0, 1e6, s => s.Entropy, (s, v) => s with { Entropy = v }),
        Number<SearchSettings>("cost", "Weight of the expected cost in the architecture's objective.", 0, 1e6, s => s.Cost, (s, v) => s with { Cost = v }),
        Number<SearchSettings>("clip", "Largest norm of the architecture's gradient; 0 for no clipping.", 0, 1e9, s => s.Clip, (s, v) => s with { Clip = v }),
        new Key<SearchSettings, ArchitectureEvery>("every", "How often the architecture steps: after each weight step, or once per validation batch.",
            new ChoiceSchema<ArchitectureEvery>("step", ("step", ArchitectureEvery.Step), ("validation-batch", ArchitectureEvery.ValidationBatch)),
            s => s.Every, (s, v) => s with { Every = v }),
        new Key<SearchSettings, OptimizerSettings>("optimizer", "Optimizer of prompts and operator weights.", Optimizer, s => s.Optimizer, (s, v) => s with { Optimizer = v }),
        new Key<SearchSettings, OptimizerSettings>("architecture", "Optimizer of the architecture.", Optimizer, s => s.Architecture, (s, v) => s with { Architecture = v }),
        Whole<SearchSettings>("channels", "Of how many channels one takes part in the mixture of operators that treat channels alike (add, affine, concat, add-direct, affine-direct) while the search lasts, as in PC-DARTS; 1 for all.", 1, 1024,
            s => s.Channels, (s, v) => s with { Channels = v }),
        Number<SearchSettings>("split", "Share of the training split set aside for the architecture where the data has no validation split.", 0, 0.9,
            s => s.Split, (s, v) => s with { Split = v }, above: true),
        new Key<SearchSettings, Discretisation>("discretise", "How the policy follows from the supernet: by the largest weight, or by what costs most to remove.",
            new ChoiceSchema<Discretisation>("discretisation", ("argmax", Discretisation.Argmax), ("perturbation", Discretisation.Perturbation)), s => s.Discretise, (s, v) => s with { Discretise = v }),
        new Key<SearchSettings, SearchSettings>("perturb", "Fine-tuning between the layers that a perturbation fixes.", new MapSchema<SearchSettings>("'perturb'",
        [
            Whole<SearchSettings>("layers", "Layers fixed between two rounds of fine-tuning.", 1, 4096, s => s.PerturbLayers, (s, v) => s with { PerturbLayers = v }),
            Whole<SearchSettings>("epochs", "Epochs of a round, at a tenth of the learning rate.", 0, MaxEpochs, s => s.PerturbEpochs, (s, v) => s with { PerturbEpochs = v }),
        ]), s => s, (_, v) => v),
        new Key<SearchSettings, SearchSettings>("alarm", "What is reported as a collapse of the search.", new MapSchema<SearchSettings>("'alarm'",
        [
            Number<SearchSettings>("share", "Mean weight of an operator, over the layers that offer it, at which it takes over; 1 for never.", 0, 1, s => s.AlarmShare, (s, v) => s with { AlarmShare = v }, above: true),
            Number<SearchSettings>("entropy", "Mean entropy, as a share of the largest possible, below which a search in its first half has chosen too early; 0 for never.", 0, 1,
                s => s.AlarmEntropy, (s, v) => s with { AlarmEntropy = v }),
        ]), s => s, (_, v) => v),
    ], check: CheckSearch);

    private static readonly MapSchema<GridSpec> Grid = new("'grid'",
    [
        new Key<GridSpec, EquatableArray<double>>("lr", "Learning rates; of equally good ones the smaller wins.", Rates("a list of learning rates"), g => g.Lr, (g, v) => g with { Lr = v }),
        new Key<GridSpec, EquatableArray<double>>("weight-decay", "Weight decays.", Rates("a list of weight decays"), g => g.WeightDecay, (g, v) => g with { WeightDecay = v }),
    ]);

    private static readonly MapSchema<TrainSettings> Train = new("'train'",
    [
        new Key<TrainSettings, string>("recipe", "A published protocol that the other keys start from.", Words("recipe", [.. RecipeCatalogue.All.Select(recipe => recipe.Name)]),
            t => t.Recipe, (t, v) => t with { Recipe = v }, present: t => t.Recipe.Length > 0),
        Whole<TrainSettings>("epochs", "Epochs of the found model.", 0, MaxEpochs, t => t.Epochs, (t, v) => t with { Epochs = v }),
        Whole<TrainSettings>("batch", "Images of a step.", 1, MaxBatch, t => t.Batch, (t, v) => t with { Batch = v }),
        Whole<TrainSettings>("warmup", "Epochs over which the learning rate rises linearly; from scratch only.", 0, MaxEpochs, t => t.Warmup, (t, v) => t with { Warmup = v }),
        new Key<TrainSettings, bool>("continue", "Start from the supernet's weights (the authors' second phase), not from scratch.", new FlagSchema(), t => t.Continue, (t, v) => t with { Continue = v }),
        new Key<TrainSettings, OptimizerSettings>("optimizer", "The optimizer.", Optimizer, t => t.Optimizer, (t, v) => t with { Optimizer = v }),
        Number<TrainSettings>("clip", "Largest norm of the gradient; 0 for no clipping.", 0, 1e9, t => t.Clip, (t, v) => t with { Clip = v }),
        new Key<TrainSettings, string>("preprocessing", "How images become squares.", Words("preprocessing", "pfd", "vpt-vtab", "vpt-fgvc", "squash"), t => t.Preprocessing, (t, v) => t with { Preprocessing = v }),
        new Key<TrainSettings, string>("normalization", "Mean and deviation that pixels are normalised by.", Words("normalization", "imagenet", "half"), t => t.Normalization, (t, v) => t with { Normalization = v }),
        new Key<TrainSettings, double>("base-batch", "Images that lr is meant for: the rate is lr · batch / base-batch. 0: the rate is lr.",
            new NumberSchema(true, 0, MaxBatch), t => t.BaseBatch, (t, v) => t with { BaseBatch = (int)v }, present: t => t.BaseBatch > 0),
        new Key<TrainSettings, Keep>("keep", "Which epoch's parameters count: the best by validation accuracy, or the last.",
            new ChoiceSchema<Keep>("epoch", ("best", Keep.Best), ("last", Keep.Last)), t => t.Keep, (t, v) => t with { Keep = v }, present: t => t.Keep != Keep.Best),
        new Key<TrainSettings, GridSpec>("grid", "Learning rates and decays that 'train --grid' chooses from on the validation split.", Grid, t => t.Grid, (t, v) => t with { Grid = v }, present: t => t.Grid.Lr.Count + t.Grid.WeightDecay.Count > 0),
        new Key<TrainSettings, bool>("retrain", "With 'train --grid': train the chosen setting on training and validation pictures together.", new FlagSchema(), t => t.Retrain, (t, v) => t with { Retrain = v }, present: t => t.Retrain),
        new Key<TrainSettings, EquatableArray<double>>("seeds", "Seeds of the runs that are reported.", new ListSchema<double>("a list of seeds", new NumberSchema(true, 0, int.MaxValue), 0, 1, 1000), t => t.Seeds, (t, v) => t with { Seeds = v }, present: t => t.Seeds.Count > 0),
    ]);

    private static readonly MapSchema<BudgetSpec> Budget = new("'budget'",
    [
        new Key<BudgetSpec, double>("tuned", "Largest share of tuned parameters, as in '0.75%'.", new PercentSchema(), b => b.Tuned, (b, v) => b with { Tuned = v }),
        new Key<BudgetSpec, double>("memory", "Largest memory of a training step, as in '4GiB'.", new SizeSchema(), b => b.Memory, (b, v) => b with { Memory = (long)v }),
    ]);

    /// <summary>The schema over some kinds of operators.</summary>
    public SpecSchema(IReadOnlyList<OperatorKind> kinds)
    {
        this.Operators = new OperatorsSchema(kinds);
        this.Root = new MapSchema<SpecDocument>("a spec",
        [
            new VersionKey<SpecDocument>("fusiongen"),
            new Key<SpecDocument, string>("model", "Name of the model; every generated type starts with it.",
                new TextSchema("^[A-Z][A-Za-z0-9_]*$", Forms.Model), s => s.Model, (s, v) => s with { Model = v }, required: true),
            new Key<SpecDocument, string>("namespace", "Namespace of the generated types.",
                new TextSchema("^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$", Forms.Namespace), s => s.Namespace, (s, v) => s with { Namespace = v }, required: true),
            new Key<SpecDocument, string>("doc", "What the model is for; goes into the docs of the generated types.", new TextSchema(), s => s.Doc, (s, v) => s with { Doc = v }),
            new Key<SpecDocument, string>("data", "Default data: sprites:location, sprites:orientation, folder:PATH, csv:PATH, vtab:PATH, fgvc:PATH or tfds:PATH.",
                new TextSchema(Forms.DataPattern, Forms.Data), s => s.Data, (s, v) => s with { Data = v }),
            new Key<SpecDocument, BackboneSpec>("backbone", "The frozen network.", new BackboneSchema(), s => s.Backbone, (s, v) => s with { Backbone = v }, required: true),
            Whole<SpecDocument>("classes", "Number of classes.", 2, 1_000_000, s => s.Classes, (s, v) => s with { Classes = v }, required: true),
            new Key<SpecDocument, HeadInit>("head", "How the head starts: as a linear layer, as in VPT, or at zero.",
                new ChoiceSchema<HeadInit>("head", ("linear", HeadInit.Linear), ("vpt", HeadInit.Vpt), ("zero", HeadInit.Zero)), s => s.Head, (s, v) => s with { Head = v }),
            new Key<SpecDocument, TuneSpec>("tune", "What is tuned besides operators and head: nothing, every bias, the last blocks, or everything.", new TuneSchema(), s => s.Tune, (s, v) => s with { Tune = v }),
            new Key<SpecDocument, PromptSpec>("prompts", "The prompts of every layer.", Prompts, s => s.Prompts, (s, v) => s with { Prompts = v }),
            new Key<SpecDocument, EquatableArray<OperatorSpec>>("operators", "Operators by name, for use in 'layers'.", this.Operators, s => s.Operators, (s, v) => s with { Operators = v }),
            new LayersKey(),
            new Key<SpecDocument, SearchSettings>("search", "How the policy is searched.", Search, s => s.Search, (s, v) => s with { Search = v }, present: s => s.Search != Nothing.Search),
            new Key<SpecDocument, TrainSettings>("train", "How the found model is trained.", new RecipeSchema(Train), s => s.Train, (s, v) => s with { Train = v }, present: s => s.Train != Nothing.Train),
            new Key<SpecDocument, BudgetSpec>("budget", "Limits that break the build.", Budget, s => s.Budget, (s, v) => s with { Budget = v }),
        ], check: CheckTogether);
    }

    /// <summary>What a spec is before anything of it is known.</summary>
    public static SpecDocument Nothing { get; } = new() { Model = "", Namespace = "", Backbone = BackboneSchema.Nothing, Classes = 0 };

    /// <summary>The schema over the operators of this compiler. (Stands after the fields it is made of: statics start in order.)</summary>
    public static SpecSchema Default { get; } = new(OperatorKinds.All);

    /// <summary>What <c>train</c> holds.</summary>
    public static MapSchema<TrainSettings> Training => Train;

    /// <summary>The whole spec.</summary>
    public MapSchema<SpecDocument> Root { get; }

    /// <summary>Its operators.</summary>
    public OperatorsSchema Operators { get; }

    private static void CheckOptimizer(YamlMap map, OptimizerSettings spec, ProblemList problems)
    {
        foreach (var idle in spec.Kind == OptimizerKind.Sgd ? ["betas"] : new[] { "momentum", "bias-multiplier" })
        {
            if (map.Value(idle) is not { } value)
                continue;
            problems.Add(ProblemCatalogue.Conflict.At(SpecPositions.Key(value.Path), idle, $"the optimizer is {(spec.Kind == OptimizerKind.VptAdamW ? "vpt-adamw" : spec.Kind.ToString().ToLowerInvariant())}"));
        }
    }

    private static void CheckSearch(YamlMap map, SearchSettings settings, ProblemList problems)
    {
        if (settings.Discretise != Discretisation.Perturbation && map.Value("perturb") is { } value)
            problems.Add(ProblemCatalogue.Conflict.At(SpecPositions.Key(value.Path), "perturb", "the policy is not discretised by perturbation"));
    }

    private static void CheckTogether(YamlMap map, SpecDocument spec, ProblemList problems)
    {
        if (spec.Operators.Count > 0 && map.Value("layers") is null)
            problems.Add(ProblemCatalogue.MissingKey.At("", "a spec with operators", "layers", "which layers may use them, as in '- { at: 0.." + Text.Invariant(spec.Backbone.Depth - 1) + ", candidates: [...] }'."));
        else
            ReportUnused(spec, problems);
        if (spec.Layers.Any(l => l.Candidates.Count > 1))
            CheckWarmup("search", spec.Search.Warmup, spec.Search.Epochs, "the architecture would never move");
        if (!spec.Train.Continue)
            CheckWarmup("train", spec.Train.Warmup, spec.Train.Epochs, "the learning rate would never reach its peak");

        void CheckWarmup(string section, int warmup, int epochs, string effect)
        {
            if (warmup < epochs || warmup == 0)
                return;
            var key = (map.Value(section) as YamlMap)?.Value("warmup") is null ? "epochs" : "warmup";
            problems.Add(ProblemCatalogue.Warmup.At(SpecPositions.Child(section, key), section, Text.Invariant(warmup), Text.Invariant(epochs), effect));
        }
    }

    private static void ReportUnused(SpecDocument spec, ProblemList problems)
    {
        foreach (var one in spec.Operators.Where(o => Place.Outside.All(place => o.Name != spec.OperatorAt(place)) && !spec.Layers.Any(l => l.Candidates.Contains(o.Name))))
            problems.Add(ProblemCatalogue.UnusedOperator.At(SpecPositions.Key(SpecPositions.Child("operators", one.Name)), one.Name));
    }

    private static ListSchema<double> Rates(string what) => new(what, new NumberSchema(false, 0, 1000), 0, 1, 100);

    private static ChoiceSchema<string> Words(string what, params string[] words) => new(what, [.. words.Select(w => (w, w))]);

    private static Key<PromptSpec, double> Scale(string name, string doc, PromptInit init) => new(name, doc, new NumberSchema(false, 0, 100, above: true),
        p => p.Init == init ? p.Scale : double.NaN, (p, v) => p with { Init = init, Scale = v }, present: p => p.Init == init);

    private static Key<T, double> Number<T>(string name, string doc, double minimum, double maximum, Func<T, double> get, Func<T, double, T> set, bool above = false) =>
        new(name, doc, new NumberSchema(false, minimum, maximum, above), get, set);

    private static Key<T, double> Whole<T>(string name, string doc, double minimum, double maximum, Func<T, double> get, Func<T, int, T> set, bool required = false) =>
        new(name, doc, new NumberSchema(true, minimum, maximum), get, (owner, v) => set(owner, (int)v), required);
}
