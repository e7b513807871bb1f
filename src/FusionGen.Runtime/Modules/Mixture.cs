using static TorchSharp.torch;

namespace FusionGen;

/// <summary>How much of every candidate each layer uses: a point of the product of simplices, or a vertex of it.</summary>
public sealed class Mixture : IDisposable
{
    private Mixture(Tensor?[] weights, Tensor?[] logWeights, bool isDiscrete)
    {
        this.Weights = weights;
        this.LogWeights = logWeights;
        this.IsDiscrete = isDiscrete;
    }

    /// <summary>π of each layer, (candidates); null where a layer has fewer than two.</summary>
    public IReadOnlyList<Tensor?> Weights { get; }

    /// <summary>ln π of each layer, (candidates); computed without passing through π, so that its gradient survives π underflowing to 0.</summary>
    public IReadOnlyList<Tensor?> LogWeights { get; }

    /// <summary>Whether this is a vertex: what acts only after discretisation (concat's top rows) acts.</summary>
    public bool IsDiscrete { get; }

    /// <summary>π = softmax(α/τ), layer by layer.</summary>
    /// <param name="architecture">α of each layer, (candidates); null where a layer has fewer than two.</param>
    /// <param name="temperature">τ &gt; 0.</param>
    public static Mixture Soft(IReadOnlyList<Tensor?> architecture, double temperature)
    {
        ArgumentNullException.ThrowIfNull(architecture);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(temperature);
        var weights = new Tensor?[architecture.Count];
        var logWeights = new Tensor?[architecture.Count];
        for (var layer = 0; layer < architecture.Count; layer++)
        {
            if (architecture[layer] is not { } alpha)
                continue;
            using var scaled = alpha / temperature;
            weights[layer] = scaled.softmax(0);
            logWeights[layer] = scaled.log_softmax(0);
        }
        return new Mixture(weights, logWeights, isDiscrete: false);
    }

    /// <summary>The vertex at which layer i uses candidate <paramref name="choices"/>[i] of <paramref name="sizes"/>[i].</summary>
    public static Mixture OneHot(IReadOnlyList<int> choices, IReadOnlyList<int> sizes, ScalarType dtype, Device device)
    {
        ArgumentNullException.ThrowIfNull(choices);
        ArgumentNullException.ThrowIfNull(sizes);
        var weights = new Tensor?[sizes.Count];
        var logWeights = new Tensor?[sizes.Count];
        for (var layer = 0; layer < sizes.Count; layer++)
        {
            if (sizes[layer] < 2)
                continue;
            var oneHot = new float[sizes[layer]];
            oneHot[choices[layer]] = 1;
            using var scope = NewDisposeScope();
            weights[layer] = tensor(oneHot, [oneHot.Length]).to(dtype, device).MoveToOuterDisposeScope();
            logWeights[layer] = weights[layer]!.log().MoveToOuterDisposeScope();
        }
        return new Mixture(weights, logWeights, isDiscrete: true);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in this.Weights.Concat(this.LogWeights))
            tensor?.Dispose();
    }
}
