using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Emit;

/// <summary>Which of a spec's networks.</summary>
internal enum NetworkKind
{
    /// <summary>The bare backbone with its head.</summary>
    Backbone,

    /// <summary>Every candidate.</summary>
    Supernet,

    /// <summary>The operators of a policy.</summary>
    Model,
}

/// <summary>All that a network is compiled from: equal ones have equal text.</summary>
internal sealed record NetworkSource(NetworkKind Kind, SpecDocument Spec, PolicyDocument? Policy)
{
    /// <summary>The spec without what no network depends on: names, data, weights, and the settings of search and training but for the channels that an operator sees in a search.</summary>
    public static SpecDocument Essence(SpecDocument spec)
    {
        var essence = spec with { Model = "", Namespace = "", Doc = "", Data = "", Backbone = spec.Backbone with { Weights = "" } };
        return spec.Budget.Memory > 0 ? essence : essence with { Search = new SearchSettings { Channels = spec.Search.Channels }, Train = new TrainSettings(), Budget = new BudgetSpec() };
    }

    /// <summary>What is left for the bare backbone.</summary>
    public static SpecDocument Bare(SpecDocument essence) => essence.WithoutOperators() with { Operators = EquatableArray<OperatorSpec>.Empty, Prompts = new PromptSpec(), Search = new SearchSettings() };

    /// <summary>Compiles it.</summary>
    /// <exception cref="Graph.ShapeException">The spec's sizes do not fit each other.</exception>
    public CompiledNetwork Compile()
    {
        var networks = new Networks(this.Spec, this.Policy);
        var network = this.Kind switch
        {
            NetworkKind.Backbone => networks.Backbone,
            NetworkKind.Supernet => networks.Supernet!,
            _ => networks.Model!,
        };
        return CompiledNetwork.Of(networks, network, isSupernet: this.Kind == NetworkKind.Supernet);
    }
}
