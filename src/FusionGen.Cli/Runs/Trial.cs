using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using FusionGen.Checkpoints;
using FusionGen.Training;

namespace FusionGen.Cli.Runs;

/// <summary>How a network did.</summary>
/// <param name="Name">What reports call it.</param>
/// <param name="Policy">Operator of each layer; empty where there is none.</param>
/// <param name="Tuned">Tuned parameters without the head.</param>
/// <param name="TunedShare">Tuned share, head included.</param>
/// <param name="Validation">Validation accuracy; not a number where it diverged, or nothing was validated.</param>
/// <param name="Test">On the test split, if the data has one.</param>
/// <param name="Seconds">Training, and the search where there was one.</param>
internal sealed record Outcome(string Name, IReadOnlyList<string> Policy, long Tuned, double TunedShare, double Validation, Evaluation? Test, double Seconds)
{
    /// <summary>Accuracy that counts: on the test split, else on the validation split.</summary>
    [JsonIgnore]
    public double Top1 => this.Test?.Top1 ?? this.Validation;
}

/// <summary>One network under one seed, of those that are compared. What it came to stays in its folder, so that a comparison that was stopped goes on where it was.</summary>
/// <param name="Row">The row of the table that it belongs to.</param>
/// <param name="Seed">The seed.</param>
/// <param name="Folder">Its own folder.</param>
/// <param name="Identity">Everything that decides its outcome.</param>
/// <param name="Run">Searches, trains and tests it, from its checkpoints where there are some.</param>
internal sealed record Trial(string Row, long Seed, string Folder, string Identity, Func<Outcome> Run)
{
    private string File => Path.Combine(this.Folder, "outcome.json");

    private string Digest => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{this.Row}\n{this.Seed}\n{this.Identity}")));

    /// <summary>What it came to, and the seconds that took, if it is done.</summary>
    public (Outcome Outcome, double Seconds)? Done()
    {
        if (!System.IO.File.Exists(this.File))
            return null;
        try
        {
            var stored = JsonSerializer.Deserialize(System.IO.File.ReadAllText(this.File), OutcomeJson.Default.StoredOutcome);
            return stored is not null && stored.Digest == this.Digest ? (stored.Outcome, stored.Seconds) : null;
        }
        catch (JsonException error)
        {
            throw new FusionException($"{this.File}: not valid: {error.Message}; delete it to test the network again", ExitCode.Data, error);
        }
    }

    /// <summary>Runs it, or takes over what it came to.</summary>
    public (Outcome Outcome, double Seconds) Take()
    {
        if (this.Done() is { } done)
            return done;
        var watch = Stopwatch.StartNew();
        var stored = new StoredOutcome(this.Digest, this.Run(), watch.Elapsed.TotalSeconds);
        AtomicFile.WriteText(this.File, JsonSerializer.Serialize(stored, OutcomeJson.Default.StoredOutcome) + "\n");
        return (stored.Outcome, stored.Seconds);
    }
}

/// <summary>An outcome as it is kept.</summary>
/// <param name="Digest">Of what decides it.</param>
/// <param name="Outcome">The outcome.</param>
/// <param name="Seconds">Wall clock of the last go at it.</param>
internal sealed record StoredOutcome(string Digest, Outcome Outcome, double Seconds);

/// <summary>Outcomes as JSON.</summary>
// What diverged or has no validation pictures is NaN.
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectRequiredConstructorParameters = true, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(StoredOutcome))]
internal sealed partial class OutcomeJson : JsonSerializerContext;
