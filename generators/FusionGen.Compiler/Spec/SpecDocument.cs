using FusionGen.Compiler.Operators;

namespace FusionGen.Compiler.Spec;

/// <summary>A valid spec, as values only: equal specs are equal records, whatever their comments, order of keys or layout.</summary>
public sealed record SpecDocument
{
    /// <summary>Name of the model; prefix of every generated type.</summary>
    public required string Model { get; init; }

    /// <summary>Namespace of the generated types.</summary>
    public required string Namespace { get; init; }

    /// <summary>One paragraph for the XML docs of the generated types; may be empty.</summary>
    public string Doc { get; init; } = "";

    /// <summary>The frozen network.</summary>
    public required BackboneSpec Backbone { get; init; }

    /// <summary>Number of classes of the head.</summary>
    public required int Classes { get; init; }

    /// <summary>How the head starts.</summary>
    public HeadInit Head { get; init; } = HeadInit.Linear;

    /// <summary>What is tuned besides the operators: the head alone, or every parameter (pretraining, full fine-tuning).</summary>
    public TuneScope Tune { get; init; } = TuneScope.Prompts;

    /// <summary>The prompts of every layer.</summary>
    public PromptSpec Prompts { get; init; } = new();

    /// <summary>Named operators, in spec order.</summary>
    public EquatableArray<OperatorSpec> Operators { get; init; }

    /// <summary>One entry per layer of the backbone, in order; names of <see cref="Operators"/>. No candidates: the layer is left alone.</summary>
    public EquatableArray<LayerSpec> Layers { get; init; }

    /// <summary>The operator on the embedded tokens, always on; empty for none.</summary>
    public string Embed { get; init; } = "";

    /// <summary>The operator on the final norm's output, always on; empty for none.</summary>
    public string Norm { get; init; } = "";

    /// <summary>How the policy is searched.</summary>
    public SearchSpec Search { get; init; } = new();

    /// <summary>How the found model is trained.</summary>
    public TrainSpec Train { get; init; } = new();

    /// <summary>Limits that break the build.</summary>
    public BudgetSpec Budget { get; init; } = new();

    /// <summary>Default data source of the tool (<c>sprites:location</c>, <c>folder:PATH</c>, <c>csv:PATH</c>); empty for none.</summary>
    public string Data { get; init; } = "";

    /// <summary>The operator of that name.</summary>
    public OperatorSpec Operator(string name) => this.Operators.First(o => o.Name == name);

    /// <summary>Name of the operator at a place outside the blocks; empty for none.</summary>
    public string OperatorAt(Place place) => place == Place.Embed ? this.Embed : this.Norm;

    /// <summary>Whether there is any operator.</summary>
    public bool HasOperators => this.Embed.Length > 0 || this.Norm.Length > 0 || this.Layers.Any(layer => layer.Candidates.Count > 0);

    /// <summary>The spec without operators.</summary>
    public SpecDocument WithoutOperators() => this with { Embed = "", Norm = "", Layers = this.Layers.Select(_ => new LayerSpec(EquatableArray<string>.Empty)).ToEquatableArray() };
}

/// <summary>Which row or rows of the last block the head reads.</summary>
public enum Pooling
{
    /// <summary>Final layer norm, class token.</summary>
    Cls,

    /// <summary>Mean over the patch rows, then a layer norm (<c>fc_norm</c>), as timm's <c>global_pool=avg</c>.</summary>
    Mean,
}

/// <summary>How the head starts.</summary>
public enum HeadInit
{
    /// <summary>The default of a linear layer: uniform ±1/√fan-in.</summary>
    Linear,

    /// <summary>VPT's: weight kaiming normal by fan-out, bias −ln 99.</summary>
    Vpt,

    /// <summary>Zero weight and bias.</summary>
    Zero,
}

/// <summary>What is tuned besides the operators' own parameters and the head.</summary>
public enum TuneScope
{
    /// <summary>Nothing: the backbone is frozen.</summary>
    Prompts,

    /// <summary>The whole backbone: full fine-tuning, or pretraining.</summary>
    All,
}

/// <summary>The frozen network. Sizes in pixels and channels.</summary>
public sealed record BackboneSpec
{
    /// <summary>A name of <c>BackboneCatalogue</c>.</summary>
    public required string Family { get; init; }

    /// <summary>Side of the square input.</summary>
    public required int Image { get; init; }

    /// <summary>Side of a square patch.</summary>
    public required int Patch { get; init; }

    /// <summary>Channels of a token (of the first stage in hierarchical families).</summary>
    public required int Width { get; init; }

    /// <summary>Blocks, over all stages.</summary>
    public required int Depth { get; init; }

    /// <summary>Attention heads (of the first stage).</summary>
    public required int Heads { get; init; }

    /// <summary>Hidden channels of the MLP (of the first stage).</summary>
    public required int Mlp { get; init; }

    /// <summary>What the head reads.</summary>
    public Pooling Pool { get; init; }

    /// <summary>Blocks of each stage in hierarchical families; empty in others.</summary>
    public EquatableArray<int> Depths { get; init; }

    /// <summary>Heads of each stage in hierarchical families; empty in others.</summary>
    public EquatableArray<int> StageHeads { get; init; }

    /// <summary>Attention window in hierarchical families; 0 in others.</summary>
    public int Window { get; init; }

    /// <summary>File with the weights, relative to the spec; empty for none.</summary>
    public string Weights { get; init; } = "";
}

/// <summary>The prompts of every layer.</summary>
public sealed record PromptSpec
{
    /// <summary>Prompt rows per layer.</summary>
    public int Tokens { get; init; } = 10;

    /// <summary>Distribution prompts start from.</summary>
    public PromptInit Init { get; init; } = PromptInit.Normal;

    /// <summary>Its standard deviation (<c>normal</c>) or bound (<c>uniform</c>).</summary>
    public double Scale { get; init; } = 0.02;
}

/// <summary>Distribution prompts start from.</summary>
public enum PromptInit
{
    /// <summary>Normal with a standard deviation.</summary>
    Normal,

    /// <summary>Uniform within ± a bound.</summary>
    Uniform,
}

/// <summary>A named operator: a kind of the catalogue with options. Options missing in the spec hold the kind's defaults.</summary>
public sealed record OperatorSpec(string Name, string Kind, EquatableArray<OptionValue> Options)
{
    /// <summary>Value of a numeric option.</summary>
    public double Number(string option) => this.Options.First(o => o.Name == option).Number;

    /// <summary>Value of an integer option.</summary>
    public int Integer(string option) => (int)this.Number(option);

    /// <summary>Value of a yes/no option.</summary>
    public bool Flag(string option) => this.Number(option) != 0;
}

/// <summary>An operator's option; yes and no are 1 and 0, <c>null</c> (allowed where the schema says so) is NaN.</summary>
public sealed record OptionValue(string Name, double Number);

/// <summary>The candidates of one layer, by operator name.</summary>
public sealed record LayerSpec(EquatableArray<string> Candidates);

/// <summary>How α's gradient is taken (METHOD §3.1).</summary>
public enum SearchOrder
{
    /// <summary>DARTS ξ=0.</summary>
    First,

    /// <summary>Unrolled SGD step, differentiated exactly by double backward.</summary>
    SecondExact,

    /// <summary>Unrolled step, Hessian-vector product by finite differences.</summary>
    SecondFd,
}

/// <summary>An optimizer and its constants.</summary>
public sealed record OptimizerSpec
{
    /// <summary><c>adamw</c>, <c>adam</c>, <c>sgd</c> or <c>vpt-adamw</c>.</summary>
    public string Kind { get; init; } = "adamw";

    /// <summary>Peak learning rate.</summary>
    public double Lr { get; init; } = 1e-3;

    /// <summary>Weight decay.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>Momentum of SGD.</summary>
    public double Momentum { get; init; } = 0.9;

    /// <summary>Adam's decay of the first moment.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Adam's decay of the second moment.</summary>
    public double Beta2 { get; init; } = 0.999;
}

/// <summary>How a quantity goes from one value to another over the epochs.</summary>
public enum Curve
{
    /// <summary>Half a cosine.</summary>
    Cosine,

    /// <summary>A straight line.</summary>
    Linear,

    /// <summary>Stays at its first value.</summary>
    Constant,
}

/// <summary>How often α steps.</summary>
public enum ArchitectureEvery
{
    /// <summary>After every weight step, the validation batches cycled (the authors' code).</summary>
    Step,

    /// <summary>One pass over the validation split per epoch, spread evenly.</summary>
    ValidationBatch,
}

/// <summary>How the policy is searched. Defaults are the authors' (METHOD §3.2), but for the order.</summary>
public sealed record SearchSpec
{
    /// <summary>How α's gradient is taken.</summary>
    public SearchOrder Order { get; init; } = SearchOrder.First;

    /// <summary>Search epochs.</summary>
    public int Epochs { get; init; } = 90;

    /// <summary>First epochs in which α is frozen.</summary>
    public int Warmup { get; init; } = 10;

    /// <summary>Images of a step.</summary>
    public int Batch { get; init; } = 64;

    /// <summary>Softmax temperature of the first epoch.</summary>
    public double TemperatureFrom { get; init; } = 5;

    /// <summary>Softmax temperature of the last epoch.</summary>
    public double TemperatureTo { get; init; } = 0.001;

    /// <summary>The way between them.</summary>
    public Curve TemperatureCurve { get; init; } = Curve.Cosine;

    /// <summary>Weight of Σ π ln π in α's objective.</summary>
    public double Entropy { get; init; } = 0.01;

    /// <summary>Weight of Σ π·cost in α's objective.</summary>
    public double Cost { get; init; } = 0.05;

    /// <summary>Largest norm of α's gradient.</summary>
    public double Clip { get; init; } = 1;

    /// <summary>How often α steps.</summary>
    public ArchitectureEvery Every { get; init; } = ArchitectureEvery.Step;

    /// <summary>Optimizer of prompts and operator weights.</summary>
    public OptimizerSpec Optimizer { get; init; } = new();

    /// <summary>Optimizer of α.</summary>
    public OptimizerSpec Architecture { get; init; } = new() { Lr = 3e-4, WeightDecay = 0 };

    /// <summary>Share of the training split set aside for α where the data has no validation split; stratified by class.</summary>
    public double Split { get; init; } = 0.1;
}

/// <summary>Which epoch's parameters training ends with.</summary>
public enum Keep
{
    /// <summary>The best by validation accuracy; of equals, the first.</summary>
    Best,

    /// <summary>The last; validation pictures are looked at once.</summary>
    Last,
}

/// <summary>How the found model is trained.</summary>
public sealed record TrainSpec
{
    /// <summary>A name of <see cref="RecipeCatalogue"/> that the other values start from; empty for none.</summary>
    public string Recipe { get; init; } = "";

    /// <summary>Epochs.</summary>
    public int Epochs { get; init; } = 10;

    /// <summary>Images of a step.</summary>
    public int Batch { get; init; } = 64;

    /// <summary>Epochs of linear learning-rate warm-up (from scratch only).</summary>
    public int Warmup { get; init; }

    /// <summary>Start from the supernet's weights on the same cosine (the authors' second phase); otherwise from a fresh start.</summary>
    public bool Continue { get; init; } = true;

    /// <summary>The optimizer.</summary>
    public OptimizerSpec Optimizer { get; init; } = new();

    /// <summary>Largest norm of the gradient; 0 for no clipping.</summary>
    public double Clip { get; init; }

    /// <summary><c>pfd</c>, <c>vpt-vtab</c>, <c>vpt-fgvc</c> or <c>squash</c> (METHOD §4).</summary>
    public string Preprocessing { get; init; } = "pfd";

    /// <summary><c>imagenet</c> or <c>half</c> (mean and deviation 0.5).</summary>
    public string Normalization { get; init; } = "imagenet";

    /// <summary>Images that the optimizer's learning rate is meant for; the rate is lr · batch / this. 0: the rate is lr.</summary>
    public int BaseBatch { get; init; }

    /// <summary>Which epoch's parameters count.</summary>
    public Keep Keep { get; init; } = Keep.Best;

    /// <summary>Learning rates and decays to choose from on the validation split.</summary>
    public GridSpec Grid { get; init; } = new();

    /// <summary>Whether the chosen setting is trained again on training and validation pictures together.</summary>
    public bool Retrain { get; init; }

    /// <summary>Seeds of the runs that are reported; empty for the command line's.</summary>
    public EquatableArray<double> Seeds { get; init; }
}

/// <summary>A grid of learning rates and decays; an empty list stands for the optimizer's own value.</summary>
public sealed record GridSpec
{
    /// <summary>Learning rates.</summary>
    public EquatableArray<double> Lr { get; init; }

    /// <summary>Weight decays.</summary>
    public EquatableArray<double> WeightDecay { get; init; }
}

/// <summary>Limits that break the build.</summary>
public sealed record BudgetSpec
{
    /// <summary>Largest share of tuned parameters, head included, of backbone plus tuned; 0 for no limit.</summary>
    public double Tuned { get; init; }

    /// <summary>Largest memory of a training step in bytes; 0 for no limit.</summary>
    public long Memory { get; init; }
}

/// <summary>A found policy: one operator name per layer; empty where the layer has no candidates.</summary>
public sealed record PolicyDocument(string Model, string SpecHash, EquatableArray<string> Choices);
