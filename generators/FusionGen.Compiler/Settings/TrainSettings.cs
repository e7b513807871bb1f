using FusionGen.Compiler;
using FusionGen.Compiler.Spec;

namespace FusionGen;

/// <summary>Kinds of optimizer.</summary>
public enum OptimizerKind
{
    /// <summary>Adam with decoupled weight decay.</summary>
    AdamW,

    /// <summary>Adam with weight decay added to the gradient (as DARTS steps α).</summary>
    Adam,

    /// <summary>Stochastic gradient descent with momentum, weight decay added to the gradient.</summary>
    Sgd,

    /// <summary>VPT's own AdamW: ε 1e-6 before the bias correction, decay after the update; 0.01 whatever was asked for, and none is SGD (METHOD §8.6).</summary>
    VptAdamW,
}

/// <summary>An optimizer and its constants.</summary>
public sealed record OptimizerSettings
{
    /// <summary>The kind.</summary>
    public OptimizerKind Kind { get; init; } = OptimizerKind.AdamW;

    /// <summary>Peak learning rate.</summary>
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>Weight decay.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>Momentum of SGD.</summary>
    public double Momentum { get; init; } = 0.9;

    /// <summary>What the learning rate of biases but the head's is multiplied by, in SGD (VPT's <c>BIAS_MULTIPLIER</c>).</summary>
    public double BiasMultiplier { get; init; } = 1;

    /// <summary>Adam's decay of the first moment.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Adam's decay of the second moment.</summary>
    public double Beta2 { get; init; } = 0.999;
}

/// <summary>Which epoch's parameters training ends with.</summary>
public enum Keep
{
    /// <summary>The best by validation accuracy; of equals, the first.</summary>
    Best,

    /// <summary>The last; validation pictures, if there are any, are looked at once.</summary>
    Last,
}

/// <summary>Settings of training a found model; the generated plan holds the spec's.</summary>
public sealed record TrainSettings
{
    /// <summary>Epochs.</summary>
    public int Epochs { get; init; } = 10;

    /// <summary>Images of a step.</summary>
    public int Batch { get; init; } = 64;

    /// <summary>Epochs of linear learning-rate warm-up (from scratch only).</summary>
    public int Warmup { get; init; }

    /// <summary>Continue from the supernet's weights on the search's cosine (the authors' second phase) instead of a fresh start.</summary>
    public bool Continue { get; init; } = true;

    /// <summary>The optimizer.</summary>
    public OptimizerSettings Optimizer { get; init; } = new();

    /// <summary>Largest norm of the gradient; 0 for no clipping.</summary>
    public double Clip { get; init; }

    /// <summary>Preprocessing by name: <c>pfd</c>, <c>vpt-vtab</c>, <c>vpt-fgvc</c> or <c>squash</c>.</summary>
    public string Preprocessing { get; init; } = "pfd";

    /// <summary>Normalization by name: <c>imagenet</c> or <c>half</c>.</summary>
    public string Normalization { get; init; } = "imagenet";

    /// <summary>The published protocol that the values started from; empty for none.</summary>
    public string Recipe { get; init; } = "";

    /// <summary>Images that the optimizer's learning rate is meant for; 0 if it is meant for any number.</summary>
    public int BaseBatch { get; init; }

    /// <summary>Which epoch's parameters count.</summary>
    public Keep Keep { get; init; } = Keep.Best;

    /// <summary>Learning rates and decays to choose from on the validation split.</summary>
    public GridSpec Grid { get; init; } = new();

    /// <summary>Whether the chosen setting is trained again on training and validation pictures together.</summary>
    public bool Retrain { get; init; }

    /// <summary>Seeds of the runs that are reported; empty for the command line's.</summary>
    public EquatableArray<double> Seeds { get; init; }

    /// <summary>Peak learning rate at this batch.</summary>
    public double LearningRate => this.BaseBatch == 0 ? this.Optimizer.LearningRate : this.Optimizer.LearningRate * this.Batch / this.BaseBatch;
}
