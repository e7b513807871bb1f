using static TorchSharp.torch;

namespace FusionGen.Training;

/// <summary>What a step finds at a network's own parameters and a batch, by the engine that the network is set to: logits, loss, and the gradient of everything tuned or searched.</summary>
public sealed class NetworkStep
{
    private readonly Dictionary<string, Tensor> gradients;

    private NetworkStep(bool isStatic, Tensor logits, Tensor loss, Dictionary<string, Tensor> gradients)
    {
        (this.IsStatic, this.Logits, this.Loss) = (isStatic, logits, loss);
        this.gradients = gradients;
    }

    /// <summary>Whether the static program computed it.</summary>
    public bool IsStatic { get; }

    /// <summary>(B, classes); of several streams (B, n, classes).</summary>
    public Tensor Logits { get; }

    /// <summary>Mean cross-entropy.</summary>
    public Tensor Loss { get; }

    /// <summary>∂ loss / ∂ a parameter; null where the network freezes it.</summary>
    public Tensor? Gradient(string parameter) => this.gradients.GetValueOrDefault(parameter);

    /// <summary>Computes it; tensors belong to the scope it is called in.</summary>
    public static NetworkStep Of(FusionNetwork network, Batch batch)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(batch);
        var wanted = network.Weights.Indices.Concat(network.Alphas.Indices).ToList();
        if (network.Training is not { } engine)
        {
            var logits = network.Forward(batch.Images, network.Table);
            var loss = network.Loss(logits, batch.Labels);
            var found = autograd.grad([loss], [.. wanted.Select(i => (Tensor)network.Table[i])]);
            return new NetworkStep(false, logits, loss, wanted.Zip(found).ToDictionary(pair => network.Specs[pair.First].Name, pair => pair.Second, StringComparer.Ordinal));
        }
        var (pass, alphas) = (network.AtOwn(engine.NewPass()).On(batch).Run(), new float[network.Alphas.Elements]);
        pass.Mixture.Gradient(alphas);
        var weights = pass.WeightGradient.ToArray();
        return new NetworkStep(
            true,
            tensor(pass.Logits.ToArray(), network.LogitsShape(pass.Batch)),
            tensor(pass.Loss),
            wanted.ToDictionary(i => network.Specs[i].Name, i => Part(network.Weights.Holds(i) ? (network.Weights, weights) : (network.Alphas, alphas), i), StringComparer.Ordinal));

        Tensor Part((ParameterGroup Group, float[] Values) of, int i) =>
            tensor(of.Values.AsSpan(of.Group.OffsetOf(i), (int)network.Specs[i].Count).ToArray(), [.. network.Specs[i].Shape]);
    }
}
