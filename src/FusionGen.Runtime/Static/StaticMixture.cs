namespace FusionGen.Static;

/// <summary>π = softmax(α/τ) and ln π of every layer as numbers; α's gradient from theirs, in closed form.</summary>
internal sealed class StaticMixture
{
    private readonly Layer?[] layers;
    private double temperature = 1;

    /// <summary>The mixture of a supernet; of nothing for a network without choices.</summary>
    public StaticMixture(Supernet? network) =>
        this.layers = network is null ? [] : [.. network.Layers.Select((layer, i) => layer.Names.Count < 2 ? null : new Layer(layer.Costs, network.Alphas.OffsetOf(network.ArchitectureIndices[i])))];

    /// <summary>Whether it is a vertex: what acts only after discretisation acts.</summary>
    public bool IsDiscrete { get; private set; }

    /// <summary>π of a layer.</summary>
    public ReadOnlySpan<float> Weights(int layer) => this.layers[layer]!.Weights;

    /// <summary>ln π of a layer, computed without passing through π.</summary>
    public ReadOnlySpan<float> LogWeights(int layer) => this.layers[layer]!.LogWeights;

    /// <summary>Σ π ln π over all layers and candidates.</summary>
    public double NegativeEntropy { get; private set; }

    /// <summary>Σ π·cost over all layers and candidates.</summary>
    public double Cost { get; private set; }

    /// <summary>The mixture of α, in the order of <see cref="FusionNetwork.Alphas"/>, at a temperature.</summary>
    public void Soften(ReadOnlySpan<float> alphas, double temperature)
    {
        (this.IsDiscrete, this.temperature, this.NegativeEntropy, this.Cost) = (false, temperature, 0, 0);
        foreach (var layer in this.layers)
        {
            if (layer is null)
                continue;
            var alpha = alphas.Slice(layer.Offset, layer.Weights.Length);
            var (largest, sum) = (double.NegativeInfinity, 0.0);
            foreach (var value in alpha)
                largest = Math.Max(largest, value / temperature);
            foreach (var value in alpha)
                sum += Math.Exp((value / temperature) - largest);
            for (var i = 0; i < alpha.Length; i++)
            {
                var log = (alpha[i] / temperature) - largest - Math.Log(sum);
                var weight = Math.Exp(log);
                (layer.Weights[i], layer.LogWeights[i]) = ((float)weight, (float)log);
                this.NegativeEntropy += weight * log;
                this.Cost += weight * layer.Costs[i];
            }
        }
    }

    /// <summary>Another mixture.</summary>
    public void Take(Mixture mixture)
    {
        this.IsDiscrete = mixture.IsDiscrete;
        for (var i = 0; i < this.layers.Length; i++)
        {
            if (this.layers[i] is not { } layer)
                continue;
            mixture.Weights[i]!.data<float>().CopyTo(layer.Weights);
            mixture.LogWeights[i]!.data<float>().CopyTo(layer.LogWeights);
        }
    }

    /// <summary>Room for the gradient of a layer's π or ln π.</summary>
    public Span<float> GradientOf(int layer, bool log) => log ? this.layers[layer]!.LogGradient : this.layers[layer]!.Gradient;

    /// <summary>
    /// α's gradient of loss + entropy·Σ π ln π + cost·Σ π·cost: with p = ∂/∂π and l = ∂/∂ln π, (π ⊙ (p − ⟨π, p⟩) + l − π·Σl)/τ.
    /// </summary>
    /// <param name="target">In the order of <see cref="FusionNetwork.Alphas"/>.</param>
    /// <param name="entropy">Weight of Σ π ln π.</param>
    /// <param name="cost">Weight of Σ π·cost.</param>
    public void Gradient(Span<float> target, double entropy = 0, double cost = 0)
    {
        foreach (var layer in this.layers)
        {
            if (layer is null)
                continue;
            var (mean, sum) = (0.0, 0.0);
            for (var i = 0; i < layer.Weights.Length; i++)
            {
                mean += layer.Weights[i] * layer.OfWeight(i, entropy, cost);
                sum += layer.LogGradient[i] + (entropy * layer.Weights[i]);
            }
            for (var i = 0; i < layer.Weights.Length; i++)
            {
                var log = layer.LogGradient[i] + (entropy * layer.Weights[i]);
                target[layer.Offset + i] = (float)(((layer.Weights[i] * (layer.OfWeight(i, entropy, cost) - mean - sum)) + log) / this.temperature);
            }
        }
    }

    private sealed class Layer(IReadOnlyList<double> costs, int offset)
    {
        public int Offset => offset;

        public IReadOnlyList<double> Costs => costs;

        public float[] Weights { get; } = new float[costs.Count];

        public float[] LogWeights { get; } = new float[costs.Count];

        public float[] Gradient { get; } = new float[costs.Count];

        public float[] LogGradient { get; } = new float[costs.Count];

        /// <summary>∂/∂π of the whole objective.</summary>
        public double OfWeight(int i, double entropy, double cost) => this.Gradient[i] + (entropy * this.LogWeights[i]) + (cost * costs[i]);
    }
}
