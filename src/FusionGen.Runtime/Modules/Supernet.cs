using static TorchSharp.torch;

namespace FusionGen;

/// <summary>The candidates of a layer, in spec order, and what the search charges for each.</summary>
public sealed record LayerCandidates(IReadOnlyList<string> Names, IReadOnlyList<double> Costs);

/// <summary>A network that holds every candidate of every layer. Generated; see <see cref="Supernet{TPolicy}"/> for the typed half.</summary>
public abstract class Supernet : FusionNetwork
{
    private readonly int[] architecture;

    /// <summary>Called by generated code.</summary>
    protected Supernet(NetworkPlan plan, IReadOnlyList<TensorSpec> specs, IReadOnlyList<LayerCandidates> layers, Device? device, ScalarType dtype)
        : base(plan, specs, device, dtype)
    {
        ArgumentNullException.ThrowIfNull(layers);
        this.Layers = layers;
        this.architecture = [.. layers.Select((layer, i) => layer.Names.Count < 2 ? -1 : this.IndexOf($"architecture.{i}"))];
    }

    /// <summary>The candidates of each layer.</summary>
    public IReadOnlyList<LayerCandidates> Layers { get; }

    /// <summary>τ of <see cref="FusionNetwork.forward(Tensor)"/>; the search sets it every epoch.</summary>
    public double Temperature { get; set; } = 1;

    /// <inheritdoc/>
    public sealed override Tensor Forward(Tensor images, IReadOnlyList<Tensor> values)
    {
        using var mixture = Mixture.Soft(this.Architecture(values), this.Temperature);
        return this.Forward(images, values, mixture);
    }

    /// <inheritdoc/>
    public sealed override Tensor Features(Tensor images, IReadOnlyList<Tensor> values)
    {
        using var mixture = Mixture.Soft(this.Architecture(values), this.Temperature);
        return this.Features(images, values, mixture);
    }

    /// <summary>What the head reads, (B, width), at given parameters and a given mixture of the candidates.</summary>
    public abstract Tensor Features(Tensor images, IReadOnlyList<Tensor> values, Mixture mixture);

    /// <summary>Logits (B, classes) at given parameters and a given mixture of the candidates.</summary>
    public abstract Tensor Forward(Tensor images, IReadOnlyList<Tensor> values, Mixture mixture);

    /// <inheritdoc/>
    public sealed override (Tensor Loss, Tensor Logits) Loss(Tensor images, Tensor labels, IReadOnlyList<Tensor> values, bool isTwiceDifferentiable = false)
    {
        using var mixture = Mixture.Soft(this.Architecture(values), this.Temperature);
        return this.Loss(images, labels, values, mixture, isTwiceDifferentiable);
    }

    /// <summary>Mean cross-entropy and logits at given parameters and a given mixture; gradients flow into those that require them.</summary>
    /// <inheritdoc cref="FusionNetwork.Loss(Tensor, Tensor, IReadOnlyList{Tensor}, bool)"/>
    public (Tensor Loss, Tensor Logits) Loss(Tensor images, Tensor labels, IReadOnlyList<Tensor> values, Mixture mixture, bool isTwiceDifferentiable = false) =>
        this.LossOf(images, labels, values, mixture, isTwiceDifferentiable);

    /// <summary>Logits (B, classes) at the supernet's own parameters and a given mixture.</summary>
    public Tensor Forward(Tensor images, Mixture mixture) => base.Logits(images, mixture);

    private protected sealed override Tensor Logits(Tensor images, Mixture? mixture)
    {
        using var soft = Mixture.Soft(this.Architecture(this.Table), this.Temperature);
        return base.Logits(images, mixture ?? soft);
    }

    private protected sealed override Tensor Eager(Tensor images, IReadOnlyList<Tensor> values, Mixture? mixture) => this.Forward(images, values, mixture!);

    /// <summary>α of each layer out of a table of values; null where a layer has fewer than two candidates.</summary>
    public IReadOnlyList<Tensor?> Architecture(IReadOnlyList<Tensor> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        return [.. this.architecture.Select(i => i < 0 ? null : values[i])];
    }

    /// <summary>The candidate with the largest α of each layer; the first of equals; 0 where there is no choice.</summary>
    public IReadOnlyList<int> Argmax()
    {
        using var guard = no_grad();
        return [.. this.Architecture(this.Table).Select(alpha => alpha is null ? 0 : ArgmaxOf(alpha))];
    }

    /// <summary>The policy of the largest α.</summary>
    public abstract IPolicy DiscretiseAny();

    /// <summary>The vertex of a choice per layer.</summary>
    public Mixture Vertex(IReadOnlyList<int> choices) =>
        Mixture.OneHot(choices, [.. this.Layers.Select(layer => layer.Names.Count)], this.DataType, this.Location);

    private static int ArgmaxOf(Tensor alpha)
    {
        using var best = alpha.argmax();
        return (int)best.item<long>();
    }
}

/// <summary>A supernet that discretises to policies of its own type.</summary>
public abstract class Supernet<TPolicy> : Supernet
    where TPolicy : class, IPolicy<TPolicy>
{
    /// <summary>Called by generated code.</summary>
    protected Supernet(NetworkPlan plan, IReadOnlyList<TensorSpec> specs, Device? device, ScalarType dtype)
        : base(plan, specs, TPolicy.Layers, device, dtype)
    {
    }

    /// <summary>The policy of the largest α.</summary>
    public TPolicy Discretise() => TPolicy.FromChoices(this.Argmax());

    /// <inheritdoc/>
    public sealed override IPolicy DiscretiseAny() => this.Discretise();
}
