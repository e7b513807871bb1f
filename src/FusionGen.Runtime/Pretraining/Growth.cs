using System.Globalization;
using System.Text.RegularExpressions;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Pretraining;

/// <summary>
/// Grows a network out of a shallower one without changing what it computes (Net2Net, Chen et al. 2016): every block of the shallower
/// network is followed by copies of itself whose two output projections are zero, so that they add nothing until they have learnt to.
/// Most of pretraining can then run at a fraction of the cost.
/// </summary>
public static partial class Growth
{
    /// <summary>Fills a network from the weights of one with a divisor of its blocks and otherwise equal shapes; a head that is not there stays as it is.</summary>
    /// <exception cref="FusionException">The file is unreadable or does not fit.</exception>
    public static void Deepen(FusionNetwork network, string path)
    {
        ArgumentNullException.ThrowIfNull(network);
        using var shallow = SafeTensors.Open(path);
        var depth = 1 + shallow.Entries.Max(entry => Block().Match(entry.Name) is { Success: true } match ? Index(match) : -1);
        if (depth == 0 || network.Plan.Depth % depth != 0)
            throw new FusionException(string.Create(CultureInfo.InvariantCulture, $"{path}: {network.Plan.Depth} blocks cannot be grown from {depth}; a divisor is wanted"), ExitCode.Data);
        var copies = network.Plan.Depth / depth;
        using var guard = no_grad();
        foreach (var (spec, value) in network.Specs.Zip(network.Table))
        {
            var match = Block().Match(spec.Name);
            if (match.Success && Index(match) % copies != 0 && AddsToResidual().IsMatch(spec.Name))
            {
                value.zero_();
                continue;
            }
            var source = match.Success
                ? string.Create(CultureInfo.InvariantCulture, $"blocks.{Index(match) / copies}.{spec.Name[match.Length..]}")
                : spec.Name;
            if (spec.Role == TensorRole.Head && !shallow.Has(source))
                continue;
            using var saved = shallow.Read(source);
            if (!saved.shape.SequenceEqual(spec.Shape))
                throw new FusionException($"{path}: '{source}' is ({string.Join(", ", saved.shape)}), wanted ({string.Join(", ", spec.Shape)}) for '{spec.Name}'", ExitCode.Data);
            value.copy_(saved);
        }
    }

    private static int Index(Match match) => int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^blocks\.([0-9]+)\.")]
    private static partial Regex Block();

    [GeneratedRegex(@"\.(attn\.proj|mlp\.fc2)\.(weight|bias)$")]
    private static partial Regex AddsToResidual();
}
