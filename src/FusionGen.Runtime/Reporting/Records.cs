using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using FusionGen.Checkpoints;

namespace FusionGen.Reporting;

/// <summary>An epoch of a search; a line of <c>metrics.jsonl</c>.</summary>
public sealed record SearchEpoch
{
    /// <summary><c>search</c>.</summary>
    public string Phase { get; init; } = "search";

    /// <summary>From 0.</summary>
    public required int Epoch { get; init; }

    /// <summary>Learning rate of the weights.</summary>
    public required double LearningRate { get; init; }

    /// <summary>τ.</summary>
    public required double Temperature { get; init; }

    /// <summary>Mean training loss, each batch before its step.</summary>
    public required double TrainLoss { get; init; }

    /// <summary>Share of training images classified rightly, each batch before its step.</summary>
    public required double TrainTop1 { get; init; }

    /// <summary>Mean of α's objective; null while α is frozen.</summary>
    public double? Objective { get; init; }

    /// <summary>Mean validation loss within the objective; null while α is frozen.</summary>
    public double? ObjectiveLoss { get; init; }

    /// <summary>Mean norm of α's gradient before clipping; null while α is frozen.</summary>
    public double? GradientNorm { get; init; }

    /// <summary>Entropy of π at the end of the epoch, mean over the layers with a choice, in nats.</summary>
    public required double Entropy { get; init; }

    /// <summary>Σ π·cost at the end of the epoch.</summary>
    public required double Cost { get; init; }

    /// <summary>Validation loss of the mixture.</summary>
    public required double SoftLoss { get; init; }

    /// <summary>Validation accuracy of the mixture.</summary>
    public required double SoftTop1 { get; init; }

    /// <summary>Validation loss of the vertex of the largest α.</summary>
    public required double HardLoss { get; init; }

    /// <summary>Validation accuracy of the vertex of the largest α.</summary>
    public required double HardTop1 { get; init; }

    /// <summary>Operator of each layer by the largest α; empty where a layer has no candidates.</summary>
    public required IReadOnlyList<string> Policy { get; init; }

    /// <summary>π of each layer's candidates at the end of the epoch; empty where a layer has no choice.</summary>
    public required IReadOnlyList<IReadOnlyList<double>> Weights { get; init; }

    /// <summary>ln π.</summary>
    public required IReadOnlyList<IReadOnlyList<double>> LogWeights { get; init; }

    /// <summary>Signs of a collapse; null if there are none.</summary>
    public IReadOnlyList<string>? Alarms { get; init; }

    /// <summary>Wall clock of the epoch.</summary>
    public required double Seconds { get; init; }
}

/// <summary>An epoch of training; a line of <c>metrics.jsonl</c>.</summary>
public sealed record TrainEpoch
{
    /// <summary><c>train</c>.</summary>
    public string Phase { get; init; } = "train";

    /// <summary>From 0.</summary>
    public required int Epoch { get; init; }

    /// <summary>Learning rate.</summary>
    public required double LearningRate { get; init; }

    /// <summary>Mean training loss, each batch before its step.</summary>
    public required double TrainLoss { get; init; }

    /// <summary>Share of training images classified rightly, each batch before its step.</summary>
    public required double TrainTop1 { get; init; }

    /// <summary>Validation loss; null where the epoch was not validated.</summary>
    public double? ValidationLoss { get; init; }

    /// <summary>Validation accuracy; null where the epoch was not validated.</summary>
    public double? ValidationTop1 { get; init; }

    /// <summary>Whether this is the epoch that counts so far: the best one, of equals the first; or simply the latest.</summary>
    public required bool Best { get; init; }

    /// <summary>Wall clock of the epoch.</summary>
    public required double Seconds { get; init; }
}

/// <summary>How a run stands between two steps.</summary>
internal abstract record RunState
{
    public int Epoch { get; init; }

    public int Step { get; init; }

    public double Seconds { get; init; }

    /// <summary>Of each of the run's meters.</summary>
    public double[][] Sums { get; init; } = [];
}

/// <summary>How a search stands between two steps.</summary>
internal sealed record SearchState : RunState
{
    /// <summary>Steps of α since the search began; says where the cycle over the validation batches stands.</summary>
    public long ArchitectureSteps { get; init; }

    public List<SearchEpoch> History { get; init; } = [];
}

/// <summary>A layer that a perturbation fixed.</summary>
/// <param name="Layer">The layer.</param>
/// <param name="Choice">The candidate that stays.</param>
/// <param name="Top1">Validation accuracy without each candidate.</param>
/// <param name="Loss">Validation loss without each.</param>
public sealed record PerturbedLayer(int Layer, int Choice, IReadOnlyList<double> Top1, IReadOnlyList<double> Loss);

/// <summary>How a perturbation stands between two steps.</summary>
internal sealed record PerturbState : RunState
{
    public List<PerturbedLayer> Layers { get; init; } = [];
}

/// <summary>How a training run stands between two steps.</summary>
internal sealed record TrainState : RunState
{
    public int BestEpoch { get; init; } = -1;

    public double BestTop1 { get; init; } = -1;

    public List<TrainEpoch> History { get; init; } = [];
}

/// <summary>Everything FusionGen reads and writes as JSON, without reflection.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(SearchEpoch))]
[JsonSerializable(typeof(TrainEpoch))]
[JsonSerializable(typeof(SearchState))]
[JsonSerializable(typeof(TrainState))]
[JsonSerializable(typeof(PerturbState))]
[JsonSerializable(typeof(AdapterConfig))]
[JsonSerializable(typeof(Dictionary<string, string>))]
internal sealed partial class Json : JsonSerializerContext
{
    /// <summary>For files that people read.</summary>
    public static Json Indented => field ??= new(new JsonSerializerOptions(Default.Options)
    {
        WriteIndented = true,
        NewLine = "\n",
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });
}
