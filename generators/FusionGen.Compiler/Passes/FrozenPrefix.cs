using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>
/// What of a training step depends on the image and on frozen weights alone (METHOD §6.1, S6): the same numbers every epoch, as long as an image comes without augmentation, so
/// what the rest of the step reads of it is kept from the first epoch on.
/// </summary>
/// <param name="Call">The call of the forward pass that the rest begins with.</param>
/// <param name="Live">Places of an image, offset and length, that the rest reads.</param>
/// <param name="Macs">Multiply-adds of an image that are not done again.</param>
public sealed record FrozenPrefix(int Call, IReadOnlyList<(long Offset, long Elements)> Live, long Macs)
{
    /// <summary>Bytes to keep for an image.</summary>
    public long Bytes => sizeof(float) * this.Live.Sum(place => place.Elements);

    /// <summary>Why nothing can be kept from epoch to epoch; null where it can.</summary>
    /// <param name="preprocessing">How the spec prepares images for training.</param>
    public static string? Blocked(string preprocessing) => preprocessing is "vpt-vtab" or "squash" ? null : $"preprocessing {preprocessing} crops images at random";

    /// <summary>Whether a value may be another one when the image comes again.</summary>
    internal static bool Ends(Value value) => value.IsTracked || value.Op is DropoutMaskOp;
}
