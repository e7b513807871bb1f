using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>Builds a network anew, value by value, and lets passes put something else in a value's place; what nothing reads any more is gone.</summary>
public sealed class Rewriter
{
    // By the ids of the values as they are built.
    private readonly List<int> uses = [];
    private readonly Dictionary<Pass, int> applied = [];
    private readonly Dictionary<Pass, string> refused = [];

    private Rewriter(Network network, IReadOnlyList<Pass> passes, bool isShort)
    {
        isShort &= network.Sections.IsChain && !network.IsShort;
        var count = network.Logits.Id + 1;
        var (uses, places) = (new int[count], new Value[count]);
        var (isLeftOut, instead) = (new bool[count], new Value?[count]);
        if (isShort)
            LeaveOut(network.Sections, isLeftOut, instead);
        this.Graph = new GraphBuilder(network.Values.Count - (isShort ? LeftOut(network.Sections) : 0));
        uses[network.Logits.Id] = 1;
        foreach (var value in network.Values)
        {
            this.IsSoft |= value.Op is MixtureOp;
            foreach (var input in value.InputArray)
                uses[input.Id]++;
        }
        foreach (var value in network.Values)
        {
            if (isLeftOut[value.Id])
            {
                if (instead[value.Id] is { } other)
                    places[value.Id] = places[other.Id];
                continue;
            }
            this.Graph.Scope = value.Scope;
            Value[] inputs = value.InputArray.Length == 0 ? [] : new Value[value.InputArray.Length];
            for (var i = 0; i < inputs.Length; i++)
                inputs[i] = places[value.InputArray[i].Id];
            var place = (value.Op is ParameterOp ? this.Graph.Append(value.Op) : this.Graph.Add(value.Op, inputs)).Named(value.Hint);
            for (var i = 0; i < passes.Count; i++)
            {
                if (passes[i].Rewrite(this, place) is not { } better)
                    continue;
                place = better.Named(value.Hint);
                this.applied[passes[i]] = this.Applied(passes[i]) + 1;
            }
            places[value.Id] = place;
            while (this.uses.Count <= place.Id)
                this.uses.Add(0);
            this.uses[place.Id] += uses[value.Id];
        }
        this.Network = network.As(this.Graph, places[network.Features.Id], places[network.Logits.Id], isShort || network.IsShort);
    }

    /// <summary>The network as rewritten.</summary>
    public Network Network { get; }

    /// <summary>Where passes build.</summary>
    internal GraphBuilder Graph { get; }

    /// <summary>Rewrites a network by some passes.</summary>
    public static Rewriter Run(Network network, params IReadOnlyList<Pass> passes) => new(network, passes, isShort: false);

    /// <summary>Rewrites a network by some passes, leaving out sections that are like others where it is a chain.</summary>
    public static Rewriter Shorten(Network network, IReadOnlyList<Pass> passes) => new(network, passes, isShort: true);

    /// <summary>The values of sections that are left out, and for what the next section reads of them what it reads instead: the same of the last section that stays.</summary>
    private static void LeaveOut(Sections sections, bool[] isLeftOut, Value?[] instead)
    {
        var kept = sections.Short;
        for (var i = 0; i < kept.Count; i++)
        {
            var end = i + 1 < kept.Count ? kept[i + 1].Index : sections.All.Count;
            for (var next = kept[i].Index + 1; next < end; next++)
            {
                foreach (var value in sections.All[next].Values)
                    isLeftOut[value.Id] = true;
                for (var exit = 0; exit < kept[i].Exits.Count; exit++)
                    instead[sections.All[next].Exits[exit].Id] = kept[i].Exits[exit];
            }
        }
    }

    private static int LeftOut(Sections sections) => sections.All.Sum(section => section.Values.Count) - sections.Short.Sum(section => section.Values.Count);

    /// <summary>How often a pass found something.</summary>
    public int Applied(Pass pass) => this.applied.TryGetValue(pass, out var count) ? count : 0;

    /// <summary>Why a pass did not act where it might have; null where it did not come to that.</summary>
    public string? Refused(Pass pass) => this.refused.TryGetValue(pass, out var reason) ? reason : null;

    /// <summary>Whether a mixture decides how much of every candidate counts.</summary>
    internal bool IsSoft { get; }

    /// <summary>Whether only one operation reads a value.</summary>
    internal bool IsReadOnce(Value value) => value.Id < this.uses.Count && this.uses[value.Id] == 1;

    /// <summary>Says why a pass leaves a value alone that has the form it looks for.</summary>
    internal Value? Refuse(Pass pass, string reason)
    {
        this.refused[pass] = reason;
        return null;
    }
}
