using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>Builds a network anew, value by value, and lets passes put something else in a value's place; what nothing reads any more is gone.</summary>
public sealed class Rewriter
{
    private readonly Dictionary<Value, Value> places = [];
    private readonly Dictionary<Value, int> uses = [];
    private readonly Dictionary<Pass, int> applied = [];
    private readonly Dictionary<Pass, string> refused = [];

    private Rewriter(Network network, IReadOnlyList<Pass> passes)
    {
        var uses = new Dictionary<Value, int>();
        foreach (var input in network.Values.SelectMany(value => value.Inputs).Append(network.Logits))
            uses[input] = uses.TryGetValue(input, out var count) ? count + 1 : 1;
        foreach (var value in network.Values)
        {
            this.Scope = value.Scope;
            var inputs = new Value[value.Inputs.Count];
            for (var i = 0; i < inputs.Length; i++)
                inputs[i] = this.places[value.Inputs[i]];
            var place = this.Graph.Add(value.Scope, value.Op, inputs).Named(value.Hint);
            foreach (var pass in passes)
            {
                if (this.Graph.In(value.Scope, () => pass.Rewrite(this, place)) is not { } better)
                    continue;
                place = better.Named(value.Hint);
                this.applied[pass] = this.Applied(pass) + 1;
            }
            this.places.Add(value, place);
            this.uses[place] = (this.uses.TryGetValue(place, out var others) ? others : 0) + uses[value];
        }
        this.Network = network.As(this.Graph, this.places[network.Features], this.places[network.Logits]);
    }

    /// <summary>The network as rewritten.</summary>
    public Network Network { get; }

    /// <summary>Where passes build.</summary>
    internal GraphBuilder Graph { get; } = new();

    /// <summary>The scope of the value at hand.</summary>
    internal string Scope { get; private set; } = "";

    /// <summary>Rewrites a network by some passes.</summary>
    public static Rewriter Run(Network network, params IReadOnlyList<Pass> passes) => new(network, passes);

    /// <summary>How often a pass found something.</summary>
    public int Applied(Pass pass) => this.applied.TryGetValue(pass, out var count) ? count : 0;

    /// <summary>Why a pass did not act where it might have; null where it did not come to that.</summary>
    public string? Refused(Pass pass) => this.refused.TryGetValue(pass, out var reason) ? reason : null;

    /// <summary>Whether only one operation reads a value.</summary>
    internal bool IsReadOnce(Value value) => this.uses.TryGetValue(value, out var count) && count == 1;

    /// <summary>Says why a pass leaves a value alone that has the form it looks for.</summary>
    internal Value? Refuse(Pass pass, string reason)
    {
        this.refused[pass] = reason;
        return null;
    }
}
