namespace FusionGen;

/// <summary>How α's gradient is taken (METHOD §3.1).</summary>
public enum SearchOrder
{
    /// <summary>∇α L_val(w, α): DARTS with ξ = 0.</summary>
    First,

    /// <summary>∇α L_val(w − ξ∇w L_train(w, α), α), exactly, by double backward.</summary>
    SecondExact,

    /// <summary>The same with the Hessian-vector product by central differences (DARTS <c>_hessian_vector_product</c>).</summary>
    SecondFd,

    /// <summary>The same by a forward difference, from the gradient at w that the inner step leaves anyway: a pass of five less.</summary>
    SecondForward,
}

/// <summary>How the candidates of a layer mix while α is searched (METHOD §3.3).</summary>
public enum Relaxation
{
    /// <summary>By π = softmax(α/τ): every candidate runs.</summary>
    Softmax,

    /// <summary>One candidate, drawn anew every step by Gumbel's noise; the gradient is that of the softened draw (GDAS, Dong and Yang 2019).</summary>
    Gdas,
}

/// <summary>How a policy follows from the searched supernet.</summary>
public enum Discretisation
{
    /// <summary>The largest α of each layer.</summary>
    Argmax,

    /// <summary>Layer by layer the candidate whose removal costs most validation accuracy (DARTS-PT, Wang et al. 2021).</summary>
    Perturbation,
}

/// <summary>How often α steps.</summary>
public enum ArchitectureEvery
{
    /// <summary>After every weight step; the validation batches are cycled (the authors' code).</summary>
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

/// <summary>
/// How the policy is searched: what a spec says, what the generated plan holds, what the runtime does. The defaults take about a tenth of the passes of the
/// authors' schedule (<see cref="Pfd"/>): first order, α stepped in one pass over the validation split per epoch (METHOD §3.4), and an end when nothing changes any more.
/// </summary>
public sealed record SearchSettings
{
    /// <summary>The authors' schedule ("Prompt Fusion Discovery", released code; METHOD §3.2).</summary>
    public static SearchSettings Pfd { get; } = new()
    {
        Order = SearchOrder.SecondExact,
        Epochs = 90,
        Warmup = 10,
        Stop = 0,
        TemperatureFrom = 5,
        TemperatureTo = 0.001,
        Every = ArchitectureEvery.Step,
        Architecture = new() { LearningRate = 3e-4, WeightDecay = 0 },
    };

    /// <summary>DARTS (Liu, Simonyan, Yang 2019; METHOD §3.2), which anneals nothing and charges nothing.</summary>
    public static SearchSettings Darts { get; } = new()
    {
        Order = SearchOrder.SecondFd,
        Epochs = 50,
        Warmup = 0,
        Stop = 0,
        TemperatureFrom = 1,
        TemperatureTo = 1,
        TemperatureCurve = Curve.Constant,
        Entropy = 0,
        Cost = 0,
        Clip = 0,
        Every = ArchitectureEvery.Step,
        Optimizer = new() { Kind = OptimizerKind.Sgd, LearningRate = 0.025, WeightDecay = 3e-4 },
        Architecture = new() { Kind = OptimizerKind.Adam, LearningRate = 3e-4, WeightDecay = 1e-3, Beta1 = 0.5 },
    };

    /// <summary>GDAS: DARTS' rates, first order, one drawn candidate a step, τ from 10 down to 0.1 in a straight line (METHOD §3.2).</summary>
    public static SearchSettings Gdas { get; } = Darts with
    {
        Order = SearchOrder.First,
        Relaxation = Relaxation.Gdas,
        TemperatureFrom = 10,
        TemperatureTo = 0.1,
        TemperatureCurve = Curve.Linear,
    };

    /// <summary>How α's gradient is taken.</summary>
    public SearchOrder Order { get; init; } = SearchOrder.First;

    /// <summary>How candidates mix.</summary>
    public Relaxation Relaxation { get; init; } = Relaxation.Softmax;

    /// <summary>Search epochs.</summary>
    public int Epochs { get; init; } = 15;

    /// <summary>First epochs in which α is frozen.</summary>
    public int Warmup { get; init; } = 3;

    /// <summary>Epochs without a change of the policy after which the search ends early; 0 for never.</summary>
    public int Stop { get; init; } = 5;

    /// <summary>Images of a step.</summary>
    public int Batch { get; init; } = 64;

    /// <summary>Temperature of the first epoch.</summary>
    public double TemperatureFrom { get; init; } = 2;

    /// <summary>Temperature of the last epoch.</summary>
    public double TemperatureTo { get; init; } = 0.1;

    /// <summary>The way between them.</summary>
    public Curve TemperatureCurve { get; init; } = Curve.Cosine;

    /// <summary>Weight of Σ π ln π in α's objective.</summary>
    public double Entropy { get; init; } = 0.01;

    /// <summary>Weight of Σ π·cost in α's objective.</summary>
    public double Cost { get; init; } = 0.05;

    /// <summary>Largest norm of α's gradient; 0 for no clipping.</summary>
    public double Clip { get; init; } = 1;

    /// <summary>How often α steps.</summary>
    public ArchitectureEvery Every { get; init; } = ArchitectureEvery.ValidationBatch;

    /// <summary>Optimizer of prompts and operator weights.</summary>
    public OptimizerSettings Optimizer { get; init; } = new();

    /// <summary>Optimizer of α.</summary>
    public OptimizerSettings Architecture { get; init; } = new() { LearningRate = 0.05, WeightDecay = 0 };

    /// <summary>
    /// Of how many channels one takes part in the mixture of operators that treat channels alike, the others passing by, while the search lasts (PC-DARTS, Xu et al. 2020); 1 for all.
    /// The found model acts on all of them.
    /// </summary>
    public int Channels { get; init; } = 1;

    /// <summary>Share of the training split set aside for α where the data has no validation split; stratified by class.</summary>
    public double Split { get; init; } = 0.1;

    /// <summary>How the policy follows from the supernet.</summary>
    public Discretisation Discretise { get; init; } = Discretisation.Argmax;

    /// <summary>Layers that a perturbation fixes between two rounds of fine-tuning.</summary>
    public int PerturbLayers { get; init; } = 4;

    /// <summary>Epochs of such a round, at a tenth of the learning rate.</summary>
    public int PerturbEpochs { get; init; } = 1;

    /// <summary>Alarm: mean π, over the layers that offer it, at which an operator is said to take over; 1 for never.</summary>
    public double AlarmShare { get; init; } = 0.9;

    /// <summary>Alarm: mean entropy, as a share of that of equal π, below which a search in the first half of its epochs is said to have chosen too early; 0 for never.</summary>
    public double AlarmEntropy { get; init; } = 0.1;
}
