using System.Globalization;
using System.Text.RegularExpressions;

namespace FusionGen.Weights.Layouts;

/// <summary>timm's name of a tensor in a block.</summary>
/// <param name="Block">Which block.</param>
/// <param name="Module">Which module, such as <c>attn.qkv</c>.</param>
/// <param name="Kind"><c>weight</c> or <c>bias</c>.</param>
internal readonly partial record struct BlockName(int Block, string Module, string Kind)
{
    [GeneratedRegex(@"^blocks\.(\d{1,4})\.(.+)\.(weight|bias)$")]
    private static partial Regex Pattern { get; }

    /// <summary>The parts of a name; null for a tensor outside of the blocks.</summary>
    public static BlockName? Of(string parameter) => Pattern.Match(parameter) is { Success: true } match
        ? new BlockName(int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture), match.Groups[2].Value, match.Groups[3].Value)
        : null;
}
