namespace FusionGen.Compiler.Operators;

/// <summary>Where in a network operators act: on the result of one of its layers.</summary>
public enum Site
{
    /// <summary>The patch projection's output, before class token and positions.</summary>
    Patches,

    /// <summary>The sequence that the first block is given: class token, then patches. What an operator inserts goes between them.</summary>
    Sequence,

    /// <summary>A block's first norm: the tokens that fuse with prompts.</summary>
    AttentionInput,

    /// <summary>A block's joint projection to queries, keys and values.</summary>
    Qkv,

    /// <summary>The projection after attention, before the residual.</summary>
    AttentionOutput,

    /// <summary>A block's second norm.</summary>
    MlpInput,

    /// <summary>The MLP's first layer, before GELU.</summary>
    MlpHidden,

    /// <summary>The MLP's second layer, before the residual.</summary>
    MlpOutput,

    /// <summary>Beside the blocks: a second stream of tokens through the same blocks.</summary>
    Branch,

    /// <summary>The last norm: the features that the head reads.</summary>
    Features,
}

/// <summary>A part of the network that an entry of <c>layers</c> speaks of, and what is there.</summary>
/// <param name="Name"><c>embed</c>, <c>branch</c> or <c>norm</c>; empty for blocks, which have numbers.</param>
/// <param name="Sites">Its sites.</param>
public sealed record Place(string Name, IReadOnlyList<Site> Sites)
{
    /// <summary>What makes tokens of images.</summary>
    public static Place Embed { get; } = new("embed", [Site.Patches, Site.Sequence]);

    /// <summary>A block.</summary>
    public static Place Block { get; } = new("", [Site.AttentionInput, Site.Qkv, Site.AttentionOutput, Site.MlpInput, Site.MlpHidden, Site.MlpOutput]);

    /// <summary>Beside the blocks.</summary>
    public static Place Branch { get; } = new("branch", [Site.Branch]);

    /// <summary>The final norm.</summary>
    public static Place Norm { get; } = new("norm", [Site.Features]);

    /// <summary>Those that are no block.</summary>
    public static IReadOnlyList<Place> Outside { get; } = [Embed, Branch, Norm];
}
