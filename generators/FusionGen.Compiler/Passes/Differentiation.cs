using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>
/// Reverse mode: adds to a network's graph the gradients of what training tunes and of the mixtures' weights, and of nothing else. It goes
/// back only as far as something tuned lies ahead, so frozen weights get no gradient and the first layers none at all (METHOD §6.1, S7).
/// </summary>
public sealed class Differentiation
{
    private Differentiation(Network network, Value seed, IReadOnlyDictionary<Value, Value> gradients, Recomputation recomputation)
    {
        this.Network = network;
        this.Recomputation = recomputation;
        this.Seed = seed;
        this.Gradients = gradients;
        this.Values = network.Graph.Live(gradients.Values.Append(network.Logits));
    }

    /// <summary>The network that was differentiated.</summary>
    public Network Network { get; }

    /// <summary>What the backward pass computes again.</summary>
    public Recomputation Recomputation { get; }

    /// <summary>Gradient of the loss with respect to the logits (B, classes): an input.</summary>
    public Value Seed { get; }

    /// <summary>Gradients of tuned parameters, the head's and π (and ln π), by what they are the gradient of.</summary>
    public IReadOnlyDictionary<Value, Value> Gradients { get; }

    /// <summary>Every value that logits and gradients depend on, in topological order.</summary>
    public IReadOnlyList<Value> Values { get; }

    /// <summary>Multiply-adds of one image's step.</summary>
    public long Macs => this.Values.Sum(value => value.Macs);

    /// <summary>Differentiates a network.</summary>
    /// <param name="network">The network; its graph takes up the gradients.</param>
    /// <param name="recomputation">What the backward pass computes again.</param>
    public static Differentiation Of(Network network, Recomputation recomputation = Recomputation.None)
    {
        var graph = network.Graph;
        var seed = graph.In("head" + GraphBuilder.GradientSuffix, () => graph.Input("seed", network.Logits.Shape));
        var sums = new Dictionary<Value, Value> { [network.Logits] = seed };
        var found = new Dictionary<Value, Value>();
        var parts = new Dictionary<Value, List<Value>>();
        var (scope, gradientScope) = ("", "");
        foreach (var value in network.Values.Reverse())
        {
            if (!value.IsTracked)
                continue;
            if (parts.TryGetValue(value, out var several))
                sums.Add(value, several.Count == 1 && !network.IsRepeated(several[0]) ? several[0] : graph.In(GraphBuilder.SharedScope + GraphBuilder.GradientSuffix, () => graph.Sum([.. several])));
            if (!sums.TryGetValue(value, out var gradient))
                continue;
            sums.Remove(value);
            if (value.Op is ParameterOp or MixtureOp)
                found.Add(value, gradient);
            if (!ReferenceEquals(value.Scope, scope))
                (scope, gradientScope) = (value.Scope, value.Scope + GraphBuilder.GradientSuffix);
            graph.Scope = gradientScope;
            var inputs = recomputation == Recomputation.None ? value.Inputs : [.. value.Inputs.Select(input => recomputation.Covers(input) ? graph.Add(input.Op, [.. input.Inputs]) : input)];
            for (var i = 0; i < value.Inputs.Count; i++)
            {
                var input = value.Inputs[i];
                if (!input.IsTracked || Passes.Gradients.Of(graph, value, inputs, gradient, i) is not { } part)
                    continue;
                if (!network.Sections.IsCommon(input))
                    sums[input] = sums.TryGetValue(input, out var sum) ? graph.Sum(sum, part) : part;
                else if (parts.TryGetValue(input, out var list))
                    list.Add(part);
                else
                    parts.Add(input, [part]);
            }
        }
        return new Differentiation(network, seed, found, recomputation);
    }
}
