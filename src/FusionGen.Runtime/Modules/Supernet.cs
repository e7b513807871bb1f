using FusionGen.Static;
using static TorchSharp.torch;

namespace FusionGen;

/// <summary>The candidates of a layer, in spec order, and what the search charges for each.</summary>
public sealed record LayerCandidates(IReadOnlyList<string> Names, IReadOnlyList<double> Costs);

/// <summary>A network that holds every candidate of every layer. Generated; see <see cref="Supernet{TPolicy}"/> for the typed half.</summary>
public abstract class Supernet : FusionNetwork
{
    /// <summary>Called by generated code.</summary>
    protected Supernet(NetworkPlan plan, IReadOnlyList<TensorSpec> specs, IReadOnlyList<LayerCandidates> layers, Device? device, ScalarType dtype)
        : base(plan, specs, device, dtype)
    {
        ArgumentNullException.ThrowIfNull(layers);
        this.Layers = layers;
        this.ArchitectureIndices = [.. layers.Select((layer, i) => layer.Names.Count < 2 ? -1 : this.IndexOf($"architecture.{i}"))];
    }

    /// <summary>The candidates of each layer.</summary>
    public IReadOnlyList<LayerCandidates> Layers { get; }

    /// <summary>Position in the table of each layer's α; -1 where a layer has fewer than two candidates.</summary>
    internal IReadOnlyList<int> ArchitectureIndices { get; }

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

    /// <summary>Logits (B, classes) at the supernet's own parameters and a given mixture.</summary>
    public Tensor Forward(Tensor images, Mixture mixture)
    {
        ArgumentNullException.ThrowIfNull(mixture);
        return this.Infer(images, mixture, features: false) ?? this.Forward(images, this.Table, mixture);
    }

    internal sealed override StaticPass AtOwn(StaticPass pass, Mixture? mixture = null)
    {
        if (mixture is null)
            pass.Mixture.Soften(this.Alphas.Span, this.Temperature);
        else
            pass.Mixture.Take(mixture);
        return base.AtOwn(pass, mixture);
    }

    /// <summary>α of each layer out of a table of values; null where a layer has fewer than two candidates.</summary>
    public IReadOnlyList<Tensor?> Architecture(IReadOnlyList<Tensor> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        return [.. this.ArchitectureIndices.Select(i => i < 0 ? null : values[i])];
    }

    /// <summary>The candidate with the largest α of each layer; the first of equals; 0 where there is no choice.</summary>
    public IReadOnlyList<int> Argmax() => [.. this.ReadAlphas().Select(alpha => Math.Max(0, Array.IndexOf(alpha, alpha.DefaultIfEmpty().Max())))];

    /// <summary>The policy of the largest α.</summary>
    public abstract IPolicy DiscretiseAny();

    /// <summary>The vertex of a choice per layer.</summary>
    public Mixture Vertex(IReadOnlyList<int> choices) =>
        Mixture.OneHot(choices, [.. this.Layers.Select(layer => layer.Names.Count)], this.DataType, this.Location);

    /// <summary>α of each layer, read off the device; empty where there is no choice.</summary>
    internal IReadOnlyList<double[]> ReadAlphas()
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        return [.. this.Architecture(this.Table).Select(alpha => alpha is null ? [] : alpha.to(ScalarType.Float64).cpu().data<double>().ToArray())];
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
