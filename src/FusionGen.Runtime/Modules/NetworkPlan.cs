namespace FusionGen;

/// <summary>What is known of a generated network before anything runs; every network carries the plan of its spec.</summary>
public sealed record NetworkPlan
{
    /// <summary>Name of the model.</summary>
    public required string Model { get; init; }

    /// <summary>SHA-256 of the spec's meaning (not its text), hex.</summary>
    public required string SpecHash { get; init; }

    /// <summary>Backbone family: <c>vit</c>, <c>swin</c>.</summary>
    public required string Family { get; init; }

    /// <summary>Side of the square input in pixels.</summary>
    public required int ImageSize { get; init; }

    /// <summary>Rows a block sees, class token included.</summary>
    public required int Tokens { get; init; }

    /// <summary>Channels of a token.</summary>
    public required int Width { get; init; }

    /// <summary>Blocks.</summary>
    public required int Depth { get; init; }

    /// <summary>Classes of the head.</summary>
    public required int Classes { get; init; }

    /// <summary>Parameters of the backbone.</summary>
    public required long BackboneParameters { get; init; }

    /// <summary>Parameters that stay as they are.</summary>
    public required long FrozenParameters { get; init; }

    /// <summary>Tuned parameters without the head.</summary>
    public required long TunedParameters { get; init; }

    /// <summary>Parameters of the head.</summary>
    public required long HeadParameters { get; init; }

    /// <summary>Weight of each stream of tokens' cross-entropy in the loss; the first is the one that predicts.</summary>
    public IReadOnlyList<double> Losses { get; init; } = [1];

    /// <summary>Multiply-adds of one forward pass of one image.</summary>
    public required long Macs { get; init; }

    /// <summary>Bytes a training step keeps for the backward pass, per image.</summary>
    public required long ActivationBytesPerImage { get; init; }

    /// <summary>
    /// Bytes that training may spend on what it computes of an image before anything tuned, to use it again in every epoch: what is left of the spec's budget, null for no limit
    /// of the spec's; 0 where the spec's preprocessing makes other images of a picture each time, or hardly anything comes before what is tuned.
    /// </summary>
    public long? KeepBytes { get; init; } = 0;

    /// <summary>How the spec says to search.</summary>
    public required SearchSettings Search { get; init; }

    /// <summary>How the spec says to train.</summary>
    public required TrainSettings Train { get; init; }

    /// <summary>Default data source; empty for none.</summary>
    public string Data { get; init; } = "";

    /// <summary>Weights file of the backbone, relative to the spec; empty for none.</summary>
    public string Weights { get; init; } = "";

    /// <summary>Tuned share, head included, of all parameters (VPT's convention).</summary>
    public double TunedShare => (this.TunedParameters + this.HeadParameters) /
        (double)(this.FrozenParameters + this.TunedParameters + this.HeadParameters);
}
