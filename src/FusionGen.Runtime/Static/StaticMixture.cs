namespace FusionGen.Static;

/// <summary>π and ln π of every layer as numbers, softened, drawn or fixed (<see cref="FusionGen.Mixture"/>); α's gradient from theirs, in closed form.</summary>
internal sealed class StaticMixture
{
    private readonly Layer?[] layers;
    private double temperature = 1;
    private double shareTemperature = 1;

    /// <summary>The mixture of a supernet; of nothing for a network without choices.</summary>
    public StaticMixture(Supernet? network) =>
        this.layers = network is null ? [] : [.. network.Layers.Select((layer, i) => layer.Names.Count < 2 ? null : new Layer(layer.Costs, network.Alphas.OffsetOf(network.ArchitectureIndices[i])))];

    /// <summary>Whether it is a vertex: what acts only after discretisation acts.</summary>
    public bool IsDiscrete { get; private set; }

    /// <summary>How many layers there are, choice or not.</summary>
    public int Layers => this.layers.Length;

    /// <summary>Whether a layer has a choice.</summary>
    public bool Has(int layer) => this.layers[layer] is not null;

    /// <summary>π of a layer.</summary>
    public ReadOnlySpan<float> Weights(int layer) => this.layers[layer]!.Weights;

    /// <summary>ln π of a layer, computed without passing through π.</summary>
    public ReadOnlySpan<float> LogWeights(int layer) => this.layers[layer]!.LogWeights;

    /// <summary>Σ π ln π over all layers and candidates.</summary>
    public double NegativeEntropy { get; private set; }

    /// <summary>Σ π·cost over all layers and candidates.</summary>
    public double Cost { get; private set; }

    /// <summary>A supernet's own mixture, at its α.</summary>
    public void Take(Supernet network)
    {
        (this.IsDiscrete, this.temperature, this.shareTemperature, this.NegativeEntropy, this.Cost) = (false, network.Temperature, network.ShareTemperature, 0, 0);
        for (var l = 0; l < this.layers.Length; l++)
        {
            if (this.layers[l] is not { } layer)
                continue;
            var alphas = network.Alphas.Span.Slice(layer.Offset, layer.Weights.Length);
            layer.Single = network.Fixed[l];
            layer.IsDrawn = layer.Single < 0 && network.Noise is not null;
            LogSoftmax(alphas, default, this.shareTemperature, layer.LogShares);
            if (layer.IsDrawn)
            {
                LogSoftmax(alphas, network.Noise![l], this.temperature, layer.LogRelaxed);
                layer.Single = layer.LogRelaxed.AsSpan().IndexOf(layer.LogRelaxed.Max());
            }
            for (var i = 0; i < alphas.Length; i++)
            {
                var share = Math.Exp(layer.LogShares[i]);
                this.NegativeEntropy += share * layer.LogShares[i];
                this.Cost += share * layer.Costs[i];
                (layer.Weights[i], layer.LogWeights[i]) = layer.Single < 0 ? ((float)share, (float)layer.LogShares[i])
                    : i == layer.Single ? (1, 0) : (0, float.NegativeInfinity);
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
    /// α's gradient of loss + entropy·Σ π ln π + cost·Σ π·cost: with p = ∂/∂π and l = ∂/∂ln π, (π ⊙ (p − ⟨π, p⟩) + l − π·Σl)/τ. Where candidate d was drawn, the loss's part is
    /// (p_d + l_d)·r_d·(1_d − r)/τ of the relaxed draw r; what is charged for is softmax(α) all the same.
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
            var isSoft = layer.Single < 0;
            for (var i = 0; i < layer.Weights.Length; i++)
            {
                var share = Math.Exp(layer.LogShares[i]);
                mean += share * OfShare(i);
                sum += OfLogShare(i, share);
            }
            for (var i = 0; i < layer.Weights.Length; i++)
            {
                var share = Math.Exp(layer.LogShares[i]);
                var gradient = ((share * (OfShare(i) - mean - sum)) + OfLogShare(i, share)) / this.shareTemperature;
                if (layer.IsDrawn)
                {
                    var (d, relaxed) = (layer.Single, Math.Exp(layer.LogRelaxed[layer.Single]));
                    gradient += (layer.Gradient[d] + layer.LogGradient[d]) * relaxed * ((i == d ? 1 : 0) - Math.Exp(layer.LogRelaxed[i])) / this.temperature;
                }
                target[layer.Offset + i] = (float)gradient;
            }

            double OfShare(int i) => (isSoft ? layer.Gradient[i] : 0) + (entropy * layer.LogShares[i]) + (cost * layer.Costs[i]);

            double OfLogShare(int i, double share) => (isSoft ? layer.LogGradient[i] : 0) + (entropy * share);
        }
    }

    private static void LogSoftmax(ReadOnlySpan<float> alphas, ReadOnlySpan<double> noise, double temperature, double[] target)
    {
        for (var i = 0; i < target.Length; i++)
            target[i] = (alphas[i] + (noise.IsEmpty ? 0 : noise[i])) / temperature;
        var (largest, sum) = (double.NegativeInfinity, 0.0);
        foreach (var value in target)
            largest = Math.Max(largest, value);
        foreach (var value in target)
            sum += Math.Exp(value - largest);
        for (var i = 0; i < target.Length; i++)
            target[i] -= largest + Math.Log(sum);
    }

    private sealed class Layer(IReadOnlyList<double> costs, int offset)
    {
        public int Offset => offset;

        public IReadOnlyList<double> Costs => costs;

        /// <summary>The one candidate that was fixed or drawn; -1 where they mix.</summary>
        public int Single { get; set; } = -1;

        public bool IsDrawn { get; set; }

        /// <summary>ln π, before anything is drawn.</summary>
        public double[] LogShares { get; } = new double[costs.Count];

        /// <summary>ln of the relaxed draw.</summary>
        public double[] LogRelaxed { get; } = new double[costs.Count];

        public float[] Weights { get; } = new float[costs.Count];

        public float[] LogWeights { get; } = new float[costs.Count];

        public float[] Gradient { get; } = new float[costs.Count];

        public float[] LogGradient { get; } = new float[costs.Count];
    }
}
