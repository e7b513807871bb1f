using System.Globalization;
using static TorchSharp.torch;

namespace FusionGen.Weights;

/// <summary>What was loaded into a network's backbone.</summary>
/// <param name="Path">The file.</param>
/// <param name="Digest">SHA-256 of its tensors, without the head; hex.</param>
/// <param name="Notes">What is worth telling.</param>
public sealed record BackboneWeights(string Path, string Digest, IReadOnlyList<string> Notes)
{
    private const int ErrorsShown = 20;

    /// <summary>
    /// Loads a backbone from a safetensors file in timm's layout. Strict and total: every frozen tensor must be there in its shape, and nothing else may.
    /// The head is no part of a backbone: a file's head is taken over where it fits the network's, and dropped with a note where it does not.
    /// </summary>
    /// <exception cref="FusionException">Tensors are missing, too many or of another shape or kind; all are listed.</exception>
    public static BackboneWeights Load(FusionNetwork network, string path)
    {
        ArgumentNullException.ThrowIfNull(network);
        using var file = SafeTensors.Open(path);
        var wanted = network.Specs.Where(spec => IsBackbone(network, spec)).ToDictionary(spec => spec.Name, StringComparer.Ordinal);
        var (errors, notes) = (new List<string>(), new List<string>());
        foreach (var spec in wanted.Values)
        {
            if (!file.Has(spec.Name))
                errors.Add($"missing: {spec.Name} {Text(spec.Shape)}{Hint(file, spec.Name)}");
            else
                Compare(file.Entry(spec.Name), spec, network, errors);
        }
        foreach (var entry in file.Entries.Where(entry => !wanted.ContainsKey(entry.Name) && !IsHead(entry.Name)))
            errors.Add($"not of this backbone: {SafeTensorsHeader.Quote(entry.Name)} {Text(entry.Shape)}");
        if (errors.Count > 0)
            throw Unfit(network, path, errors);
        using var guard = no_grad();
        foreach (var spec in wanted.Values)
            Copy(file, spec.Name, network);
        LoadHead(file, network, notes);
        return new BackboneWeights(path, file.Digest(name => !IsHead(name)), notes);
    }

    private static bool IsHead(string name) => name.StartsWith("head.", StringComparison.Ordinal);

    /// <summary>timm's names are the backbone's, also where the spec tunes all of it; ours have prefixes of their own.</summary>
    private static bool IsBackbone(FusionNetwork network, TensorSpec spec) => spec.Role == TensorRole.Frozen
        || (spec.Role == TensorRole.Tuned
            && !spec.Name.StartsWith("prompts.", StringComparison.Ordinal)
            && !spec.Name.StartsWith("operators.", StringComparison.Ordinal));

    private static void Compare(SafeTensorEntry entry, TensorSpec spec, FusionNetwork network, List<string> errors)
    {
        if (!entry.Shape.SequenceEqual(spec.Shape))
            errors.Add($"other shape: {spec.Name} is {Text(entry.Shape)}, {network.Plan.Model} wants {Text(spec.Shape)}{PositionHint(entry, spec, network)}");
        else if (entry.Type is "I64" or "I32" or "U8" or "BOOL")
            errors.Add($"other type: {spec.Name} is {entry.Type}, weights must be floating point");
    }

    private static string PositionHint(SafeTensorEntry entry, TensorSpec spec, FusionNetwork network)
    {
        if (spec.Name != "pos_embed" || entry.Shape.Count != 3 || entry.Shape[2] != spec.Shape[2])
            return "";
        var side = (int)Math.Sqrt(Math.Max(0, entry.Shape[1] - 1));
        var ours = (int)Math.Sqrt(spec.Shape[1] - 1);
        return string.Create(CultureInfo.InvariantCulture, $" (the file was made for a grid of {side}×{side} patches, image {network.Plan.ImageSize} has {ours}×{ours}; set backbone.image so that the grids agree, or resample the file's position embedding)");
    }

    private static string Hint(SafeTensors file, string name) => name switch
    {
        "fc_norm.weight" or "fc_norm.bias" when file.Has("norm.weight") => " (the file was made for the class token: backbone.pool: cls)",
        "norm.weight" or "norm.bias" when file.Has("fc_norm.weight") => " (the file was made for mean pooling: backbone.pool: mean)",
        _ => "",
    };

    private static FusionException Unfit(FusionNetwork network, string path, List<string> errors)
    {
        var shown = errors.Take(ErrorsShown).ToList();
        if (errors.Count > ErrorsShown)
            shown.Add(string.Create(CultureInfo.InvariantCulture, $"… and {errors.Count - ErrorsShown} more"));
        return new FusionException($"{path}: these weights are not of {network.Plan.Model}'s backbone:\n  {string.Join("\n  ", shown)}", ExitCode.Data);
    }

    private static void LoadHead(SafeTensors file, FusionNetwork network, List<string> notes)
    {
        var heads = file.Entries.Where(entry => IsHead(entry.Name)).ToList();
        if (heads.Count == 0)
            return;
        var fits = heads.Count == network.WithRole(TensorRole.Head).Count && heads.All(entry => network.Has(entry.Name) && entry.Shape.SequenceEqual(network.Specs[network.IndexOf(entry.Name)].Shape));
        notes.Add(fits
            ? "the file's head has the right number of classes and was taken over"
            : string.Create(CultureInfo.InvariantCulture, $"the file's head ({string.Join(", ", heads.Select(entry => $"{SafeTensorsHeader.Quote(entry.Name)} {Text(entry.Shape)}"))}) does not fit {network.Plan.Classes} classes and was dropped"));
        if (!fits)
            return;
        foreach (var entry in heads)
            Copy(file, entry.Name, network);
    }

    private static void Copy(SafeTensors file, string name, FusionNetwork network)
    {
        using var tensor = file.Read(name);
        network[name].copy_(tensor);
    }

    private static string Text(IReadOnlyList<long> shape) => $"({string.Join(", ", shape)})";
}
