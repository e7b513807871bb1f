namespace FusionGen.Search;

/// <summary>How α's gradient is taken (DARTS; "Prompt Fusion Discovery" released code).</summary>
public enum SearchOrder
{
    /// <summary>∇α L_val(w, α).</summary>
    First,

    /// <summary>∇α L_val(w − ξ∇w L_train(w, α), α), exactly, by double backward.</summary>
    SecondExact,

    /// <summary>The same with the Hessian-vector product by central differences (DARTS <c>_hessian_vector_product</c>).</summary>
    SecondFd,
}

/// <summary>How often α steps.</summary>
public enum ArchitectureEvery
{
    /// <summary>After every weight step; the validation batches are cycled.</summary>
    Step,

    /// <summary>One pass over the validation split per epoch, its steps spread evenly.</summary>
    ValidationBatch,
}

/// <summary>The way a quantity takes from one value to another over the epochs.</summary>
public enum Curve
{
    /// <summary>Half a cosine.</summary>
    Cosine,

    /// <summary>A straight line.</summary>
    Linear,

    /// <summary>Stays at its first value.</summary>
    Constant,
}

/// <summary>Settings of a bilevel search; the generated plan holds the spec's.</summary>
public sealed record SearchSettings
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
    public OptimizerSettings Optimizer { get; init; } = new();

    /// <summary>Optimizer of α.</summary>
    public OptimizerSettings Architecture { get; init; } = new() { LearningRate = 3e-4, WeightDecay = 0 };

    /// <summary>Share of the training split set aside for α where the data has no validation split.</summary>
    public double Split { get; init; } = 0.1;
}
