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
    /// <param name="chosen">Candidates that stand in for the mixture of their layer, -1 for none; null for none anywhere.</param>
    public static Mixture Soft(IReadOnlyList<Tensor?> architecture, double temperature, IReadOnlyList<int>? chosen = null)
    {
        ArgumentNullException.ThrowIfNull(architecture);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(temperature);
        return Of(architecture, chosen, (_, alpha) => Softened(alpha, temperature));
    }

    /// <summary>
    /// One candidate of each layer, argmax(α + g) with Gumbel's noise g. Its π is 1, with the gradient of its share of p = softmax((α + g)/τ); the others' is 0,
    /// with none: only the drawn candidate runs (GDAS, Dong and Yang 2019, as on the NASNet space; METHOD §3.3).
    /// </summary>
    /// <param name="architecture">α of each layer, (candidates); null where a layer has fewer than two.</param>
    /// <param name="temperature">τ &gt; 0.</param>
    /// <param name="noise">g of each layer; empty where a layer has fewer than two candidates.</param>
    /// <param name="chosen">As of <see cref="Soft"/>.</param>
    public static Mixture Drawn(IReadOnlyList<Tensor?> architecture, double temperature, IReadOnlyList<double[]> noise, IReadOnlyList<int>? chosen = null)
    {
        ArgumentNullException.ThrowIfNull(architecture);
        ArgumentNullException.ThrowIfNull(noise);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(temperature);
        return Of(architecture, chosen, (layer, alpha) =>
        {
            using var scope = NewDisposeScope();
            var noisy = alpha + tensor(noise[layer], [noise[layer].Length]).to(alpha.dtype, alpha.device);
            var relaxed = (noisy / temperature).softmax(0);
            var (drawn, logDrawn) = OneHot((int)noisy.argmax(0).cpu().item<long>(), alpha);
            var weights = drawn * (relaxed - relaxed.detach() + 1);
            return (weights.MoveToOuterDisposeScope(), ((weights + (1 - drawn)).log() + logDrawn).MoveToOuterDisposeScope());
        });
    }

    /// <summary>Shares of each layer as numbers; empty where a layer has fewer than two candidates. No gradient flows into them.</summary>
    public static Mixture Shares(IReadOnlyList<double[]> shares, ScalarType dtype, Device device)
    {
        ArgumentNullException.ThrowIfNull(shares);
        var weights = shares.Select(share => share.Length == 0 ? null : tensor(share, [share.Length]).to(dtype, device)).ToArray();
        return new Mixture(weights, Array.ConvertAll(weights, weight => weight?.log()), isDiscrete: false);
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

    private static Mixture Of(IReadOnlyList<Tensor?> architecture, IReadOnlyList<int>? chosen, Func<int, Tensor, (Tensor Weights, Tensor LogWeights)> mix)
    {
        var weights = new Tensor?[architecture.Count];
        var logWeights = new Tensor?[architecture.Count];
        for (var layer = 0; layer < architecture.Count; layer++)
        {
            if (architecture[layer] is not { } alpha)
                continue;
            (weights[layer], logWeights[layer]) = chosen?[layer] is { } choice and >= 0 ? OneHot(choice, alpha) : mix(layer, alpha);
        }
        return new Mixture(weights, logWeights, isDiscrete: false);
    }

    private static (Tensor Weights, Tensor LogWeights) Softened(Tensor alpha, double temperature)
    {
        using var scaled = alpha / temperature;
        return (scaled.softmax(0), scaled.log_softmax(0));
    }

    private static (Tensor Weights, Tensor LogWeights) OneHot(int choice, Tensor like)
    {
        var oneHot = new float[like.numel()];
        oneHot[choice] = 1;
        using var single = tensor(oneHot, [oneHot.Length]);
        var weights = single.to(like.dtype, like.device);
        return (weights, weights.log());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in this.Weights.Concat(this.LogWeights))
            tensor?.Dispose();
    }
}
