using FusionGen.Search;
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
        this.Fixed = [.. layers.Select(_ => -1)];
        this.ArchitectureIndices = [.. layers.Select((layer, i) => layer.Names.Count < 2 ? -1 : this.IndexOf($"architecture.{i}"))];
    }

    /// <summary>The candidates of each layer.</summary>
    public IReadOnlyList<LayerCandidates> Layers { get; }

    /// <summary>Position in the table of each layer's α; -1 where a layer has fewer than two candidates.</summary>
    internal IReadOnlyList<int> ArchitectureIndices { get; }

    /// <summary>How candidates mix.</summary>
    public Relaxation Relaxation { get; set; }

    /// <summary>τ; the search sets it every epoch.</summary>
    public double Temperature { get; set; } = 1;

    /// <summary>
    /// τ of π = softmax(α/τ), the mixture where nothing is drawn. What is drawn follows softmax(α) whatever τ is: that only says how soft its gradient is.
    /// </summary>
    public double ShareTemperature => this.Relaxation == Relaxation.Gdas ? 1 : this.Temperature;

    /// <summary>Gumbel's noise of each layer while one candidate of each is drawn; null for π itself.</summary>
    internal IReadOnlyList<double[]>? Noise { get; private set; }

    /// <summary>Candidates that stand in for the mixture of their layer; -1 where it mixes.</summary>
    internal int[] Fixed { get; }

    /// <inheritdoc/>
    public sealed override Tensor Forward(Tensor images, IReadOnlyList<Tensor> values)
    {
        using var mixture = this.Mix(values);
        return this.Forward(images, values, mixture);
    }

    /// <inheritdoc/>
    public sealed override Tensor Features(Tensor images, IReadOnlyList<Tensor> values)
    {
        using var mixture = this.Mix(values);
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
        return this.Infer(images, mixture, features: false) ?? Predicting(this.Forward(images, this.Table, mixture));
    }

    /// <summary>
    /// Logits of mixtures that differ from the layer on only: where the static program runs, a batch is taken through the layers before it once.
    /// </summary>
    /// <returns>Logits of images, which must be the same ones at every call, and a mixture.</returns>
    internal Func<Tensor, Mixture, Tensor> FromLayer(int layer)
    {
        var snapshot = this.NewSnapshot(layer);
        return (images, mixture) => this.Infer(images, mixture, features: false, snapshot) ?? this.Forward(images, this.Table, mixture);
    }

    /// <summary>π without a candidate of a layer: the others' shares, to sum 1 (DARTS-PT; METHOD §3.3).</summary>
    internal Mixture Without(int layer, int candidate)
    {
        var shares = this.ReadAlphas().Select((alpha, l) => this.Fixed[l] >= 0
            ? [.. alpha.Select((_, i) => i == this.Fixed[l] ? 1.0 : 0)]
            : MixtureReading.Softmax(l == layer ? [.. alpha.Select((value, i) => i == candidate ? double.NegativeInfinity : value)] : alpha, this.ShareTemperature)).ToList();
        return Mixture.Shares(shares, this.DataType, this.Location);
    }

    internal sealed override StaticPass AtOwn(StaticPass pass, Mixture? mixture = null)
    {
        if (mixture is null)
            pass.Mixture.Take(this);
        else
            pass.Mixture.Take(mixture);
        return base.AtOwn(pass, mixture);
    }

    /// <summary>The mixture at α out of a table of values.</summary>
    public Mixture Mix(IReadOnlyList<Tensor> values)
    {
        var architecture = this.Architecture(values);
        return this.Noise is { } noise
            ? Mixture.Drawn(architecture, this.Temperature, noise, this.Fixed)
            : Mixture.Soft(architecture, this.ShareTemperature, this.Fixed);
    }

    /// <summary>Draws one candidate of each layer; until <see cref="EndDraw"/> they are the mixture.</summary>
    public void Draw(SplitMix random)
    {
        ArgumentNullException.ThrowIfNull(random);
        this.Noise ??= [.. this.Layers.Select(layer => new double[layer.Names.Count < 2 ? 0 : layer.Names.Count])];
        foreach (var layer in this.Noise)
        {
            // −ln of an exponential number, which is above 0.
            for (var i = 0; i < layer.Length; i++)
                layer[i] = -Math.Log(Math.Max(double.Epsilon, -Math.Log(1 - random.NextDouble())));
        }
    }

    /// <summary>Mixes by π again.</summary>
    public void EndDraw() => this.Noise = null;

    /// <summary>α of each layer out of a table of values; null where a layer has fewer than two candidates.</summary>
    public IReadOnlyList<Tensor?> Architecture(IReadOnlyList<Tensor> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        return [.. this.ArchitectureIndices.Select(i => i < 0 ? null : values[i])];
    }

    /// <summary>The candidate that was fixed, else that of the largest α, of each layer; the first of equals; 0 where there is no choice.</summary>
    public IReadOnlyList<int> Argmax() => [.. this.ReadAlphas().Select((alpha, layer) =>
        this.Fixed[layer] >= 0 ? this.Fixed[layer] : Math.Max(0, Array.IndexOf(alpha, alpha.DefaultIfEmpty().Max())))];

    /// <summary>The policy of <see cref="Argmax"/>.</summary>
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

    /// <summary>The policy of <see cref="Supernet.Argmax"/>.</summary>
    public TPolicy Discretise() => TPolicy.FromChoices(this.Argmax());

    /// <inheritdoc/>
    public sealed override IPolicy DiscretiseAny() => this.Discretise();
}
