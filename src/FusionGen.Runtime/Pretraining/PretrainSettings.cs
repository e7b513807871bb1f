using FusionGen.Data;

namespace FusionGen.Pretraining;

/// <summary>Settings of pretraining. Together with the network they fix the result to the bit, whatever the number of threads.</summary>
public sealed record PretrainSettings
{
    /// <summary>Of classes, images and initial weights.</summary>
    public long Seed { get; init; }

    /// <summary>Optimizer steps.</summary>
    public int Steps { get; init; } = 3000;

    /// <summary>Images of a step.</summary>
    public int Batch { get; init; } = 64;

    /// <summary>Images that one thread takes through the network at a time; gradients of slices are summed in their order.</summary>
    public int Slice { get; init; } = 16;

    /// <summary>Steps of linear warm-up; half a cosine to 0 follows.</summary>
    public int Warmup { get; init; } = 200;

    /// <summary>Steps over which images grow from plain to any variety; without such a course a small network sees no way in for long.</summary>
    public int Course { get; init; } = 1500;

    /// <summary>The optimizer; decay acts on matrices only.</summary>
    public OptimizerSettings Optimizer { get; init; } = new() { LearningRate = 1e-3, WeightDecay = 0.05 };

    /// <summary>Largest norm of the gradient; 0 for no clipping.</summary>
    public double Clip { get; init; } = 1;

    /// <summary>What the images are normalised by, and so what the weights expect.</summary>
    public Normalization Normalization { get; init; } = Normalization.ImageNet;

    /// <summary>Images, never trained on, that accuracy is measured on.</summary>
    public int HeldOut { get; init; } = 2000;

    /// <summary>Steps between two checkpoints.</summary>
    public int CheckpointEvery { get; init; } = 100;
}

/// <summary>How far pretraining is.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Steps">Steps to do.</param>
/// <param name="Loss">Mean of the steps since the last report.</param>
/// <param name="Accuracies">Of each factor likewise, on images never seen before.</param>
/// <param name="Rate">Images per second of this run.</param>
/// <param name="Left">Time left at this rate.</param>
public sealed record PretrainProgress(int Step, int Steps, double Loss, FactorAccuracies Accuracies, double Rate, TimeSpan Left)
{
    /// <inheritdoc/>
    public override string ToString() => string.Create(
        System.Globalization.CultureInfo.InvariantCulture,
        $"step {this.Step}/{this.Steps}  loss {this.Loss:F3}  {this.Accuracies}  {this.Rate:F0} images/s  {this.Left:hh\\:mm\\:ss} left");
}

/// <summary>What pretraining ended with.</summary>
/// <param name="Accuracies">Of each factor on held-out images.</param>
/// <param name="Elapsed">Time of all runs together.</param>
public sealed record PretrainResult(FactorAccuracies Accuracies, TimeSpan Elapsed);

/// <summary>The share of images of which each factor was told rightly.</summary>
/// <param name="Shares">Factors and shares, in the factors' order.</param>
public sealed record FactorAccuracies(IReadOnlyList<(ImageFactor Factor, double Share)> Shares)
{
    internal FactorAccuracies(IReadOnlyList<ImageFactor> factors, IEnumerable<int[]> correct, int images)
        : this([.. factors.Select((factor, i) => (factor, correct.Sum(counts => counts[i]) / (double)images))])
    {
    }

    /// <inheritdoc/>
    public override string ToString() => string.Join(
        "  ",
        this.Shares.Select(share => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{share.Factor.Name} {100 * share.Share:F1} %")));
}
