namespace FusionGen.Cli.Parity;

/// <summary>pytorch-image-models: our backbone's names are timm's.</summary>
internal sealed class TimmLayout : ReferenceLayout
{
    /// <summary>Everything trainable, no operators.</summary>
    public static string Spec(ReferenceCase reference) => Header(reference, "TimmReference") + "tune: all\n";

    /// <inheritdoc/>
    public override IEnumerable<Placement> Place(string name) => Buffer(name) is not null ? []
        // timm's hierarchical families have a head of several parts, of which one has parameters.
        : [new Placement(name.StartsWith("head.fc.", StringComparison.Ordinal) ? "head." + name["head.fc.".Length..] : name, name)];

    /// <inheritdoc/>
    public override string? Ignores(string name) => Buffer(name);

    /// <summary>What timm stores beside parameters.</summary>
    public static string? Buffer(string name) => name.EndsWith(".relative_position_index", StringComparison.Ordinal) || name.EndsWith(".attn_mask", StringComparison.Ordinal)
        ? "follows from the sizes"
        : null;
}
