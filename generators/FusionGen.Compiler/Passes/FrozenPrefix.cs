using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>
/// What of a training step depends on the image and on frozen weights alone (METHOD §6.1, S6): the same numbers every epoch, as long as an image
/// comes without augmentation, so what the rest of the step reads of it could be kept from the first epoch on.
/// </summary>
/// <param name="Boundary">What the rest of the step reads.</param>
/// <param name="Macs">Multiply-adds of an image that would not be done again.</param>
public sealed record FrozenPrefix(IReadOnlyList<Value> Boundary, long Macs)
{
    /// <summary>Bytes to keep for an image.</summary>
    public long Bytes => sizeof(float) * this.Boundary.Sum(value => value.Shape.Elements);

    /// <summary>Finds it.</summary>
    public static FrozenPrefix Of(Differentiation step)
    {
        var frozen = new HashSet<Value>(step.Network.Values.Where(value => value is { IsTracked: false, Shape.IsPerSample: true, Op: not InputOp }));
        var read = step.Values.Where(value => !frozen.Contains(value)).SelectMany(value => value.Inputs).Where(frozen.Contains);
        return new FrozenPrefix([.. read.Distinct().OrderBy(value => value.Id)], frozen.Sum(value => value.Macs));
    }

    /// <summary>Why nothing can be kept from epoch to epoch; null where it can.</summary>
    /// <param name="preprocessing">How the spec prepares images for training.</param>
    public static string? Blocked(string preprocessing) => preprocessing is "vpt-vtab" or "squash" ? null : $"preprocessing {preprocessing} crops images at random";
}
