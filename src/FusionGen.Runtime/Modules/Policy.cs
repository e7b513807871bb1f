namespace FusionGen;

/// <summary>A choice of one candidate per layer.</summary>
public interface IPolicy
{
    /// <summary>Name of the model the policy is for.</summary>
    string Model { get; }

    /// <summary>Hash of the spec the policy was found under.</summary>
    string SpecHash { get; }

    /// <summary>Index of each layer's choice among its candidates; 0 where there is no choice.</summary>
    IReadOnlyList<int> Choices { get; }

    /// <summary>Operator name of each layer's choice; empty where the layer has no candidates.</summary>
    IReadOnlyList<string> Names { get; }
}

/// <summary>What a generated policy type offers without an instance.</summary>
public interface IPolicy<TSelf> : IPolicy
    where TSelf : class, IPolicy<TSelf>
{
    /// <summary>The candidates of each layer.</summary>
    static abstract IReadOnlyList<LayerCandidates> Layers { get; }

    /// <summary>The policy of an index per layer.</summary>
    static abstract TSelf FromChoices(IReadOnlyList<int> choices);
}
