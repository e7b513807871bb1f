using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FusionGen.Search;

/// <summary>What α descends on, and its parts; scalars.</summary>
/// <param name="Total">Loss + entropy·Σ π ln π + cost·Σ π·cost.</param>
/// <param name="Loss">Mean cross-entropy on the validation batch.</param>
/// <param name="NegativeEntropy">Σ π ln π over all layers and candidates.</param>
/// <param name="Cost">Σ π·cost over all layers and candidates.</param>
public sealed record ArchitectureObjective(Tensor Total, Tensor Loss, Tensor NegativeEntropy, Tensor Cost);

/// <summary>
/// The two levels of the search, as functions: the training loss of weights, the objective of α. A network's parameters can be put in whole,
/// or as views that no gradient flows into, so that a step builds no more of a graph than it differentiates.
/// </summary>
public sealed class BilevelProblem : IDisposable
{
    private readonly Tensor?[] costs;

    /// <summary>The problem of a supernet; it must outlive this object.</summary>
    public BilevelProblem(Supernet network, SearchSettings settings)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(settings);
        this.Network = network;
        this.Settings = settings;
        this.Weights = [.. network.Weights.Indices.Select(i => network.Table[i])];
        this.Alphas = [.. network.Alphas.Indices.Select(i => network.Table[i])];
        this.costs = [.. network.Layers.Select(layer => layer.Names.Count < 2
            ? null
            : tensor(layer.Costs.ToArray(), [layer.Costs.Count]).to(network.DataType, network.Location).DetachFromDisposeScope())];
        this.Whole = [.. network.Table];
        this.ForWeights = network.TableFor(TensorRole.Tuned, TensorRole.Head);
        this.ForAlphas = network.TableFor(TensorRole.Architecture);
    }

    /// <summary>The supernet.</summary>
    public Supernet Network { get; }

    /// <summary>The weights of the objective's terms.</summary>
    public SearchSettings Settings { get; }

    /// <summary>What the lower level moves: prompts, operator weights and head, in table order.</summary>
    public IReadOnlyList<Parameter> Weights { get; }

    /// <summary>What the upper level moves: α of every layer with a choice, in layer order.</summary>
    public IReadOnlyList<Parameter> Alphas { get; }

    /// <summary>The network's parameters; gradients flow into weights and α.</summary>
    public IReadOnlyList<Tensor> Whole { get; }

    /// <summary>The same storage; gradients flow into the weights only.</summary>
    public IReadOnlyList<Tensor> ForWeights { get; }

    /// <summary>The same storage; gradients flow into α only.</summary>
    public IReadOnlyList<Tensor> ForAlphas { get; }

    /// <summary>The network's parameters with other weights and the network's own α.</summary>
    /// <param name="weights">One for each of <see cref="Weights"/>.</param>
    public IReadOnlyList<Tensor> At(IReadOnlyList<Tensor> weights)
    {
        ArgumentNullException.ThrowIfNull(weights);
        var values = this.ForAlphas.ToArray();
        for (var i = 0; i < weights.Count; i++)
            values[this.Network.Weights.Indices[i]] = weights[i];
        return values;
    }

    /// <summary>Mean cross-entropy at given parameters.</summary>
    /// <param name="images">(B, 3, S, S).</param>
    /// <param name="labels">(B), int64.</param>
    /// <param name="values">One tensor for each of the network's parameters.</param>
    public Tensor Loss(Tensor images, Tensor labels, IReadOnlyList<Tensor> values)
    {
        using var logits = this.Network.Forward(images, values);
        return this.Network.Loss(logits, labels);
    }

    /// <summary>α's objective on a validation batch at given parameters.</summary>
    /// <inheritdoc cref="Loss"/>
    public ArchitectureObjective Objective(Tensor images, Tensor labels, IReadOnlyList<Tensor> values)
    {
        using var scope = NewDisposeScope();
        using var mixture = this.Network.Mix(values);
        // What is charged for is π, whether it mixes or is drawn from.
        using var shares = Mixture.Soft(this.Network.Architecture(values), this.Network.ShareTemperature);
        var loss = this.Network.Loss(this.Network.Forward(images, values, mixture), labels);
        var entropy = zeros(1, dtype: loss.dtype, device: loss.device).sum();
        var cost = zeros(1, dtype: loss.dtype, device: loss.device).sum();
        for (var layer = 0; layer < shares.Weights.Count; layer++)
        {
            if (shares.Weights[layer] is not { } weights)
                continue;
            entropy = entropy + (weights * shares.LogWeights[layer]!).sum();
            cost = cost + (weights * this.costs[layer]!).sum();
        }
        var total = loss + (entropy * this.Settings.Entropy) + (cost * this.Settings.Cost);
        return new ArchitectureObjective(
            total.MoveToOuterDisposeScope(), loss.MoveToOuterDisposeScope(), entropy.MoveToOuterDisposeScope(), cost.MoveToOuterDisposeScope());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in this.costs)
            tensor?.Dispose();
    }
}
