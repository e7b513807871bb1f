using FusionGen.Reporting;

namespace FusionGen.Training;

/// <summary>What a search or a training run has around it.</summary>
public sealed record RunContext
{
    /// <summary>Seed of everything random.</summary>
    public long Seed { get; init; }

    /// <summary>Run folder; checkpoints and reports go there. Null keeps everything in memory, and nothing can be resumed.</summary>
    public string? Folder { get; init; }

    /// <summary>Digest of the backbone's weights (<see cref="Weights.BackboneWeights"/>); empty for an initialised backbone.</summary>
    public string Backbone { get; init; } = "";

    /// <summary>Who is told how it goes.</summary>
    public IProgressSink Progress { get; init; } = SilentProgress.Instance;
}
