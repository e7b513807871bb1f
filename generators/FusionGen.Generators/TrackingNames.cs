namespace FusionGen.Generators;

/// <summary>Names of the generator's steps, in order.</summary>
internal static class TrackingNames
{
    /// <summary>Text to <see cref="SourceFile"/>.</summary>
    public const string Parse = "FusionGen.1.Parse";

    /// <summary>Files that are ours.</summary>
    public const string Bind = "FusionGen.2.Bind";

    /// <summary>A spec with its policy and its namesakes.</summary>
    public const string Join = "FusionGen.3.Join";

    /// <summary>Spec to C# and problems.</summary>
    public const string Lower = "FusionGen.4.Lower";

    /// <summary>The C# to add.</summary>
    public const string Plan = "FusionGen.5.Plan";

    /// <summary>The problems to report.</summary>
    public const string Diagnostics = "FusionGen.6.Diagnostics";
}
