namespace FusionGen.Search;

/// <summary>A supernet's mixture, read off the device.</summary>
/// <param name="Weights">π of each layer; empty where a layer has no choice.</param>
/// <param name="LogWeights">ln π of each layer.</param>
/// <param name="Entropy">Mean entropy over the layers with a choice, in nats; 0 if there are none.</param>
/// <param name="Cost">Σ π·cost.</param>
internal sealed record MixtureReading(
    IReadOnlyList<IReadOnlyList<double>> Weights,
    IReadOnlyList<IReadOnlyList<double>> LogWeights,
    double Entropy,
    double Cost)
{
    /// <summary>The shares at the network's α and temperature.</summary>
    public static MixtureReading Of(Supernet network)
    {
        var logs = network.ReadAlphas().Select(alpha => LogSoftmax(alpha, network.ShareTemperature)).ToArray();
        var weights = Array.ConvertAll(logs, log => Array.ConvertAll(log, Math.Exp));
        var entropies = weights.Zip(logs, (pi, log) => -pi.Zip(log, (p, l) => p * l).Sum()).Where((_, layer) => weights[layer].Length > 0).ToList();
        var cost = weights.Zip(network.Layers, (pi, layer) => pi.Zip(layer.Costs, (p, c) => p * c).Sum()).Sum();
        return new MixtureReading(weights, logs, entropies.Count == 0 ? 0 : entropies.Average(), cost);
    }

    /// <summary>softmax(α/τ).</summary>
    public static double[] Softmax(double[] alpha, double temperature) => Array.ConvertAll(LogSoftmax(alpha, temperature), Math.Exp);

    private static double[] LogSoftmax(double[] alpha, double temperature)
    {
        var scaled = Array.ConvertAll(alpha, value => value / temperature);
        var largest = scaled.DefaultIfEmpty().Max();
        var log = Math.Log(scaled.Sum(value => Math.Exp(value - largest)));
        return Array.ConvertAll(scaled, value => value - largest - log);
    }
}
