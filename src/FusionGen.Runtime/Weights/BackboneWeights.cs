using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using static TorchSharp.torch;

namespace FusionGen.Weights;

/// <summary>What was loaded into a network's backbone.</summary>
/// <param name="Path">The file.</param>
/// <param name="Digest">SHA-256 of the backbone's tensors as they were loaded, without the head; hex. The same weights have one digest in every format and layout.</param>
/// <param name="Notes">What is worth telling.</param>
public sealed record BackboneWeights(string Path, string Digest, IReadOnlyList<string> Notes)
{
    private const int NamesShown = 3;

    /// <summary>Whether the file had a head of the network's shape, which was taken over.</summary>
    public bool HasHead { get; init; }

    /// <summary>
    /// Loads a backbone from a file in any known format and layout (<see cref="WeightFile"/>, <see cref="WeightLayout"/>). Strict and total: every tensor of the
    /// backbone must be there in its shape, and nothing else may but what its layout is known to carry along, which is dropped with a note.
    /// The head is no part of a backbone: a file's head is taken over where it fits the network's, and dropped where it does not.
    /// </summary>
    /// <param name="network">Its backbone is overwritten, unless a tensor does not fit; a file whose numbers turn out to be damaged leaves it in between.</param>
    /// <param name="path">The file.</param>
    /// <param name="layout">One of <see cref="WeightLayout.Names"/>; null to tell by the file's names.</param>
    /// <param name="positions">How to resample a position embedding that was made for another grid; null to refuse it.</param>
    /// <exception cref="FusionException">The file cannot be read, or tensors are missing, too many or of another shape or type, all of which are listed; or numbers are not finite.</exception>
    public static BackboneWeights Load(FusionNetwork network, string path, string? layout = null, PositionRule? positions = null)
    {
        ArgumentNullException.ThrowIfNull(network);
        using var file = WeightFile.Open(path);
        var named = WeightLayout.Of(file, layout);
        var backbone = network.Specs.Where(IsBackbone).ToList();
        var head = network.Specs.Where(spec => spec.Role == TensorRole.Head).ToList();
        var map = WeightMap.Of(file, named, positions, network.Plan.Model, backbone, head);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var spec in backbone.OrderBy(spec => spec.Name, StringComparer.Ordinal))
        {
            var values = map.Read(spec);
            if (values.AsSpan().ContainsAnyExceptInRange(float.MinValue, float.MaxValue))
                throw new FusionException($"{path}: {spec.Name} holds numbers that are infinite or none", ExitCode.Data);
            hash.AppendData(Encoding.UTF8.GetBytes($"{spec.Name}\nF32\n{string.Join(',', spec.Shape)}\n"));
            hash.AppendData(MemoryMarshal.AsBytes<float>(values));
            Fill(network, spec, values);
        }
        foreach (var spec in head.Where(_ => map.HasHead))
            Fill(network, spec, map.Read(spec));
        return new BackboneWeights(path, Convert.ToHexStringLower(hash.GetHashAndReset()), Told(file, named, map, positions, network.Plan.Classes)) { HasHead = map.HasHead };
    }

    /// <summary>timm's names are the backbone's, also where the spec tunes all of it; ours have prefixes of their own.</summary>
    internal static bool IsBackbone(TensorSpec spec) => spec.Role == TensorRole.Frozen
        || (spec.Role == TensorRole.Tuned
            && !spec.Name.StartsWith("prompts.", StringComparison.Ordinal)
            && !spec.Name.StartsWith("operators.", StringComparison.Ordinal));

    /// <summary>Gives a parameter its values.</summary>
    private static void Fill(FusionNetwork network, TensorSpec spec, float[] values)
    {
        using var guard = no_grad();
        using var source = tensor(values, [.. spec.Shape]);
        network[spec.Name].copy_(source);
    }

    private static List<string> Told(WeightFile file, WeightLayout layout, WeightMap map, PositionRule? rule, int classes)
    {
        var notes = new List<string>();
        if (layout.Name != "timm" || file is not SafeTensors)
            notes.Add($"{file.Format}, layout {layout.Name}");
        if (map.Resampled is var (from, to))
            notes.Add(string.Create(CultureInfo.InvariantCulture, $"the position embedding was resampled from {from}×{from} to {to}×{to} patches by rule {rule!.Name}: {rule.Description}"));
        notes.AddRange(map.Filled.Select(pair => string.Create(CultureInfo.InvariantCulture, $"{pair.Name} is {pair.Value} throughout, as layout {layout.Name} has none")));
        if (map.HasHead)
            notes.Add("the file's head has the right number of classes and was taken over");
        foreach (var group in map.Dropped.GroupBy(dropped => dropped.Reason, StringComparer.Ordinal))
        {
            var names = string.Join(", ", group.Take(NamesShown).Select(dropped => $"{SafeTensorsHeader.Quote(dropped.Name)} ({string.Join(", ", file.Entry(dropped.Name).Shape)})"));
            var rest = group.Count() > NamesShown ? string.Create(CultureInfo.InvariantCulture, $" and {group.Count() - NamesShown} more") : "";
            notes.Add(group.Key == "the head"
                ? string.Create(CultureInfo.InvariantCulture, $"the file's head ({names}{rest}) does not fit {classes} classes and was dropped")
                : $"dropped, {group.Key}: {names}{rest}");
        }
        return notes;
    }
}
