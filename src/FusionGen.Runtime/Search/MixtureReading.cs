using static TorchSharp.torch;

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
    /// <summary>The mixture at the network's α and temperature.</summary>
    public static MixtureReading Of(Supernet network)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        using var mixture = Mixture.Soft(network.Architecture(network.Table), network.Temperature);
        var weights = mixture.Weights.Select(Read).ToArray();
        var logs = mixture.LogWeights.Select(Read).ToArray();
        var entropies = weights.Zip(logs, (pi, log) => -pi.Zip(log, (p, l) => p * l).Sum()).Where((_, layer) => weights[layer].Count > 0).ToList();
        var cost = weights.Zip(network.Layers, (pi, layer) => pi.Zip(layer.Costs, (p, c) => p * c).Sum()).Sum();
        return new MixtureReading(weights, logs, entropies.Count == 0 ? 0 : entropies.Average(), cost);
    }

    private static IReadOnlyList<double> Read(Tensor? values) =>
        values is null ? [] : values.to(ScalarType.Float64).cpu().data<double>().ToArray();
}
