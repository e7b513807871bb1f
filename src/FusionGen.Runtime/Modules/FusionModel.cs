using FusionGen.Data;
using static TorchSharp.torch;

namespace FusionGen;

/// <summary>A class that a picture may be of.</summary>
/// <param name="Class">Index of the class.</param>
/// <param name="Probability">The network's.</param>
public sealed record Prediction(int Class, double Probability);

/// <summary>A discretised network: the chosen operators and nothing else. Generated from a spec and its policy.</summary>
public abstract class FusionModel : FusionNetwork
{
    /// <summary>Called by generated code.</summary>
    protected FusionModel(NetworkPlan plan, IReadOnlyList<TensorSpec> specs, IReadOnlyList<string> policy, Device? device, ScalarType dtype)
        : base(plan, specs, device, dtype) => this.Policy = policy;

    /// <summary>Operator of each layer; empty where there is none.</summary>
    public IReadOnlyList<string> Policy { get; }

    /// <summary>
    /// Copies what the supernet learnt. The mapping is total: every parameter of the model has its counterpart of the same name
    /// and shape in a supernet of the same spec; what the policy did not choose stays behind.
    /// </summary>
    /// <exception cref="ArgumentException">The supernet is of another spec.</exception>
    public void CopyFrom(Supernet supernet)
    {
        ArgumentNullException.ThrowIfNull(supernet);
        if (supernet.Plan.SpecHash != this.Plan.SpecHash)
            throw new ArgumentException($"{this.Plan.Model} was compiled from another spec than this supernet of {supernet.Plan.Model}; rebuild both", nameof(supernet));
        using var guard = no_grad();
        foreach (var (spec, target) in this.Specs.Zip(this.Table))
            target.copy_(supernet[spec.Name]);
    }

    /// <summary>The most probable classes of a picture, most probable first; the picture is prepared as in training, without augmentation.</summary>
    /// <param name="picture">Of any size.</param>
    /// <param name="top">Classes to return.</param>
    public IReadOnlyList<Prediction> Predict(Picture picture, int top = 1)
    {
        ArgumentNullException.ThrowIfNull(picture);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(top);
        var (size, preprocessing) = (this.Plan.ImageSize, Preprocessing.Of(this.Plan.Train.Preprocessing));
        var channels = new float[3 * size * size];
        preprocessing.Take(preprocessing.Settle(picture, size), size, augmentation: null, Normalization.Of(this.Plan.Train.Normalization), channels);
        var logits = this.LogitsOf(channels);
        var largest = logits.Max();
        var exponentials = Array.ConvertAll(logits, logit => Math.Exp(logit - largest));
        var sum = exponentials.Sum();
        return [.. exponentials.Select((exponential, i) => new Prediction(i, exponential / sum)).OrderByDescending(guess => guess.Probability).Take(top)];
    }
}
