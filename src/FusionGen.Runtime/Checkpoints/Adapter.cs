using System.Globalization;
using System.Text.Json;
using FusionGen.Reporting;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Checkpoints;

/// <summary>What <c>adapter_config.json</c> says.</summary>
public sealed record AdapterConfig
{
    /// <summary>Version of the format.</summary>
    public int Fusiongen { get; init; } = 1;

    /// <summary>Name of the model.</summary>
    public required string Model { get; init; }

    /// <summary>Hash of the spec the model was compiled from.</summary>
    public required string SpecHash { get; init; }

    /// <summary>Operator of each layer; empty where there is none.</summary>
    public required IReadOnlyList<string> Policy { get; init; }

    /// <summary>SHA-256 of the backbone's weights the adapter was trained on; empty for an initialised backbone.</summary>
    public string BackboneDigest { get; init; } = "";

    /// <summary>Classes of the head, in order; empty if unnamed.</summary>
    public IReadOnlyList<string> Classes { get; init; } = [];

    /// <summary>Tuned parameters without the head.</summary>
    public required long TunedParameters { get; init; }

    /// <summary>Parameters of the head.</summary>
    public required long HeadParameters { get; init; }

    /// <summary>Tuned share, head included, of backbone plus tuned.</summary>
    public required double TunedShare { get; init; }

    /// <summary>Side of the images.</summary>
    public required int ImageSize { get; init; }

    /// <summary>Preprocessing by name.</summary>
    public required string Preprocessing { get; init; }

    /// <summary>Normalization by name.</summary>
    public required string Normalization { get; init; }
}

/// <summary>
/// What training changed, and nothing else: <c>adapter_model.safetensors</c> with the tuned tensors and the head, <c>adapter_config.json</c> beside it, and a
/// model card, <c>README.md</c>, that says the same to people.
/// </summary>
public static class Adapter
{
    /// <summary>File name of the tensors.</summary>
    public const string ModelFile = "adapter_model.safetensors";

    /// <summary>File name of the description.</summary>
    public const string ConfigFile = "adapter_config.json";

    /// <summary>File name of the model card.</summary>
    public const string CardFile = "README.md";

    /// <summary>Writes a model's adapter into a folder.</summary>
    /// <param name="folder">Created where it is missing.</param>
    /// <param name="model">The trained model.</param>
    /// <param name="backboneDigest">Of the weights it was trained on (<see cref="BackboneWeights.Digest"/>); empty for an initialised backbone.</param>
    /// <param name="classes">Names of the classes; may be empty.</param>
    public static void Save(string folder, FusionModel model, string backboneDigest, IReadOnlyList<string> classes)
    {
        ArgumentNullException.ThrowIfNull(model);
        var plan = model.Plan;
        var config = new AdapterConfig
        {
            Model = plan.Model,
            SpecHash = plan.SpecHash,
            Policy = model.Policy,
            BackboneDigest = backboneDigest,
            Classes = classes,
            TunedParameters = model.Specs.Where(spec => spec.Role == TensorRole.Tuned).Sum(spec => spec.Count),
            HeadParameters = model.Specs.Where(spec => spec.Role == TensorRole.Head).Sum(spec => spec.Count),
            TunedShare = plan.TunedShare,
            ImageSize = plan.ImageSize,
            Preprocessing = plan.Train.Preprocessing,
            Normalization = plan.Train.Normalization,
        };
        SafeTensors.Write(
            Path.Combine(folder, ModelFile),
            model.Specs.Where(spec => spec.IsAdapted).Select(spec => new KeyValuePair<string, Tensor>(spec.Name, model[spec.Name])),
            new Dictionary<string, string>(StringComparer.Ordinal) { ["format"] = "fusiongen.adapter", ["spec_hash"] = plan.SpecHash });
        AtomicFile.WriteText(Path.Combine(folder, ConfigFile), JsonSerializer.Serialize(config, Json.Indented.AdapterConfig) + "\n");
        AtomicFile.WriteText(Path.Combine(folder, CardFile), Card(config, plan));
    }

    /// <summary>Reads a folder's description.</summary>
    /// <exception cref="FusionException">It is missing or damaged.</exception>
    public static AdapterConfig ReadConfig(string folder)
    {
        var path = Path.Combine(folder, ConfigFile);
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(path), Json.Default.AdapterConfig) ?? throw new JsonException("it is null");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new FusionException($"{path}: cannot be read: {error.Message}", ExitCode.Data, error);
        }
    }

    /// <summary>
    /// Loads a folder's adapter into a model of the same policy. Total: a tensor that is missing, too many, of another shape or of another type is an error that names it.
    /// </summary>
    /// <param name="folder">Written by <see cref="Save"/>.</param>
    /// <param name="model">Its tuned tensors and head are overwritten, all or none.</param>
    /// <param name="backboneDigest">Of the weights in the model; empty for an initialised backbone.</param>
    /// <returns>The description, and notes worth telling.</returns>
    /// <exception cref="FusionException">The adapter is of another model, policy or backbone, or does not fit.</exception>
    public static (AdapterConfig Config, IReadOnlyList<string> Notes) Load(string folder, FusionModel model, string backboneDigest)
    {
        ArgumentNullException.ThrowIfNull(model);
        var config = ReadConfig(folder);
        if (config.Fusiongen != 1)
            throw new FusionException($"{Path.Combine(folder, ConfigFile)}: format {config.Fusiongen} is not known here; update FusionGen", ExitCode.Data);
        if (!config.Policy.SequenceEqual(model.Policy))
            throw new FusionException($"{folder}: the adapter was trained under the policy [{string.Join(", ", config.Policy)}], {model.Plan.Model} was compiled for [{string.Join(", ", model.Policy)}]", ExitCode.Data);
        if (config.BackboneDigest != backboneDigest)
            throw new FusionException($"{folder}: the adapter was trained on other backbone weights ({Short(config.BackboneDigest)}, here {Short(backboneDigest)}); it only works with its own", ExitCode.Data);
        using var file = SafeTensors.Open(Path.Combine(folder, ModelFile));
        Check(file, model);
        using var guard = no_grad();
        foreach (var spec in model.Specs.Where(spec => spec.IsAdapted))
        {
            using var tensor = file.Read(spec.Name);
            model[spec.Name].copy_(tensor);
        }
        return (config, config.SpecHash == model.Plan.SpecHash ? [] : ["the adapter was trained under another version of the spec; every tensor fits"]);
    }

    private static string Card(AdapterConfig config, NetworkPlan plan)
    {
        var layers = config.Policy.Select((choice, layer) => (Layer: layer, Choice: choice.Length == 0 ? "none" : choice)).GroupBy(pair => pair.Choice, StringComparer.Ordinal)
            .Select(group => $"{group.Key} in {string.Join(", ", group.Select(pair => pair.Layer))}");
        return string.Create(CultureInfo.InvariantCulture, $"""
            ---
            library_name: fusiongen
            pipeline_tag: image-classification
            tags: [vision-transformer, prompt-tuning, adapter]
            ---
            # {config.Model}: adapter

            What training changed of a frozen {plan.Family} backbone of {plan.BackboneParameters:N0} parameters ({plan.Depth} blocks of width {plan.Width}), and nothing else.

            | | |
            |---|---|
            | tuned parameters | {config.TunedParameters:N0}, and {config.HeadParameters:N0} of the head: {100 * config.TunedShare:0.00} % of all |
            | operators, by layer | {string.Join("; ", layers)} |
            | classes | {plan.Classes}{(config.Classes.Count == 0 ? "" : $": {string.Join(", ", config.Classes)}")} |
            | images | {config.ImageSize}×{config.ImageSize}, preprocessing `{config.Preprocessing}`, normalization `{config.Normalization}` |
            | backbone's weights, SHA-256 | {(config.BackboneDigest.Length == 0 ? "none: the backbone was initialised, not loaded" : $"`{config.BackboneDigest}`")} |
            | spec, SHA-256 | `{config.SpecHash}` |

            `{ModelFile}` holds the tensors, `{ConfigFile}` the table above for machines. It works on the backbone of that digest only, and loading checks it:

                fusiongen eval SPEC --adapter FOLDER


            """);
    }

    private static void Check(SafeTensors file, FusionModel model)
    {
        var errors = new List<string>();
        foreach (var spec in model.Specs.Where(spec => spec.IsAdapted))
        {
            if (!file.Has(spec.Name))
                errors.Add($"missing: {spec.Name} ({string.Join(", ", spec.Shape)})");
            else if (!file.Entry(spec.Name).Shape.SequenceEqual(spec.Shape))
                errors.Add($"other shape: {spec.Name} is ({string.Join(", ", file.Entry(spec.Name).Shape)}), the model wants ({string.Join(", ", spec.Shape)})");
            else if (file.Entry(spec.Name).Type is not ("F64" or "F32" or "F16" or "BF16"))
                errors.Add($"other type: {spec.Name} is {file.Entry(spec.Name).Type}, parameters are floating point");
        }
        foreach (var entry in file.Entries.Where(entry => !model.Has(entry.Name) || !model.Specs[model.IndexOf(entry.Name)].IsAdapted))
            errors.Add($"not tuned by the model: {SafeTensorsHeader.Quote(entry.Name)}");
        if (errors.Count > 0)
            throw new FusionException($"{file.Path}: this adapter does not fit {model.Plan.Model}:\n  {string.Join("\n  ", errors)}", ExitCode.Data);
    }

    private static string Short(string digest) => digest.Length == 0 ? "initialised, not loaded" : digest[..Math.Min(12, digest.Length)];
}
