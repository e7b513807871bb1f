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

    /// <summary>What is tuned besides operators and head.</summary>
    public TuneSpec Tune { get; init; }

    /// <summary>The prompts of every layer.</summary>
    public PromptSpec Prompts { get; init; } = new();

    /// <summary>Named operators, in spec order.</summary>
    public EquatableArray<OperatorSpec> Operators { get; init; }

    /// <summary>One entry per layer of the backbone, in order; names of <see cref="Operators"/>. No candidates: the layer is left alone.</summary>
    public EquatableArray<LayerSpec> Layers { get; init; }

    /// <summary>The operator on the embedded tokens, always on; empty for none.</summary>
    public string Embed { get; init; } = "";

    /// <summary>The operator that runs a second stream of tokens beside the image's, always on; empty for none.</summary>
    public string Branch { get; init; } = "";

    /// <summary>The operator on the final norm's output, always on; empty for none.</summary>
    public string Norm { get; init; } = "";

    /// <summary>How the policy is searched.</summary>
    public SearchSettings Search { get; init; } = new();

    /// <summary>How the found model is trained.</summary>
    public TrainSettings Train { get; init; } = new();

    /// <summary>Limits that break the build.</summary>
    public BudgetSpec Budget { get; init; } = new();

    /// <summary>Default data source of the tool (<c>sprites:location</c>, <c>folder:PATH</c>, <c>csv:PATH</c>); empty for none.</summary>
    public string Data { get; init; } = "";

    /// <summary>The operator of that name.</summary>
    public OperatorSpec Operator(string name) => this.Operators.First(o => o.Name == name);

    /// <summary>Name of the operator at a place outside the blocks; empty for none.</summary>
    public string OperatorAt(Place place) => place == Place.Embed ? this.Embed : place == Place.Branch ? this.Branch : this.Norm;

    /// <summary>The spec with an operator at a place outside the blocks.</summary>
    public SpecDocument With(Place place, string name) => place == Place.Embed ? this with { Embed = name } : place == Place.Branch ? this with { Branch = name } : this with { Norm = name };

    /// <summary>Whether there is any operator.</summary>
    public bool HasOperators => Place.Outside.Any(place => this.OperatorAt(place).Length > 0) || this.Layers.Any(layer => layer.Candidates.Count > 0);

    /// <summary>The spec without operators.</summary>
    public SpecDocument WithoutOperators() => this with { Embed = "", Branch = "", Norm = "", Layers = this.Layers.Select(_ => new LayerSpec(EquatableArray<string>.Empty)).ToEquatableArray() };
}

/// <summary>Which row or rows of the last block the head reads.</summary>
public enum Pooling
{
    /// <summary>Final layer norm, class token.</summary>
    Cls,

    /// <summary>Mean over the patch rows, then a layer norm (<c>fc_norm</c>), as timm's <c>global_pool=avg</c>.</summary>
    Mean,

    /// <summary>Mean over patches and prompts, then a layer norm (<c>fc_norm</c>), as VPT has it for MAE (METHOD §1.2).</summary>
    MeanWithPrompts,
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

    /// <summary>Every parameter of the backbone whose name contains "bias": BitFit, the norms' and the patch projection's included (METHOD §2.1).</summary>
    Bias,

    /// <summary>The last blocks and the final norm: partial-k.</summary>
    Last,

    /// <summary>The whole backbone: full fine-tuning, or pretraining.</summary>
    All,
}

/// <summary>What of the backbone is tuned.</summary>
/// <param name="Scope">The rule.</param>
/// <param name="Blocks">How many blocks <see cref="TuneScope.Last"/> means.</param>
public readonly record struct TuneSpec(TuneScope Scope, int Blocks = 0)
{
    /// <summary>Whether a parameter of the backbone is tuned.</summary>
    /// <param name="parameter">Its name, timm's.</param>
    /// <param name="fromEnd">Blocks from its own to the last, which is 1; 0 for the final norm, null before the blocks.</param>
    public bool Includes(string parameter, int? fromEnd) => this.Scope switch
    {
        TuneScope.All => true,
        TuneScope.Bias => parameter.Contains("bias"),
        TuneScope.Last => fromEnd <= this.Blocks,
        _ => false,
    };
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

    /// <summary>How likely training drops a number after the embedding, in an MLP and after it.</summary>
    public double Dropout { get; init; }

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

    /// <summary>Its standard deviation (<c>normal</c>), bound (<c>uniform</c>) or factor of the bound (<c>vpt</c>).</summary>
    public double Scale { get; init; } = 0.02;

    /// <summary>Channels that prompts are tuned in, before a linear layer that all share; 0 for those of a token.</summary>
    public int Project { get; init; }

    /// <summary>How likely a number of a prompt that joins the sequence is dropped in training.</summary>
    public double Dropout { get; init; }

    /// <summary>Whether all images of a step share one mask; otherwise each has its own, as published.</summary>
    public bool ShareDropout { get; init; }
}

/// <summary>Distribution prompts start from.</summary>
public enum PromptInit
{
    /// <summary>Normal with a standard deviation.</summary>
    Normal,

    /// <summary>Uniform within ± a bound.</summary>
    Uniform,

    /// <summary>Uniform within VPT's bound √(6/(3·patch² + d)), times a factor.</summary>
    Vpt,
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
