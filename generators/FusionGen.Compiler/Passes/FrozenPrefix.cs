using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>
/// What of a training step depends on the image and on frozen weights alone (METHOD §6.1, S6): the same numbers every epoch, as long as an image comes without augmentation, so
/// what the rest of the step reads of it is kept from the first epoch on.
/// </summary>
/// <param name="Call">The call of the forward pass that the rest begins with.</param>
/// <param name="Live">Places of an image, offset and length, that the rest reads.</param>
/// <param name="Macs">Multiply-adds of an image that are not done again.</param>
public sealed record FrozenPrefix(int Call, EquatableArray<(long Offset, long Elements)> Live, long Macs)
{
    /// <summary>Bytes to keep for an image.</summary>
    public long Bytes => sizeof(float) * this.Live.Sum(place => place.Elements);

    /// <summary>Less of a forward pass than this is not worth the memory.</summary>
    private const double Least = 0.05;

    /// <summary>Why nothing is kept from epoch to epoch; null where it is.</summary>
    /// <param name="preprocessing">How the spec prepares images for training.</param>
    /// <param name="all">Multiply-adds of an image's forward pass.</param>
    public string? Blocked(string preprocessing, long all) =>
        preprocessing is not ("vpt-vtab" or "squash") ? $"preprocessing {preprocessing} crops images at random"
        : this.Macs < Least * all ? "too little of a pass to be worth keeping"
        : null;

    /// <summary>Whether a value may be another one when the image comes again.</summary>
    internal static bool Ends(Value value) => value.IsTracked || value.Op is DropoutMaskOp;
}
