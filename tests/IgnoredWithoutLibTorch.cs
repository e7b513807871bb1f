using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

/// <summary>Where there is no libtorch, a test that runs into what needs one ends as ignored, with what it was.</summary>
internal static class IgnoredWithoutLibTorch
{
    [ModuleInitializer]
    [SuppressMessage("Usage", "CA2255", Justification = "It must be in place before any test of the assembly.")]
    public static void Install() => TorchSharp.LibTorch.Error = message => new IgnoreException(message);

    /// <summary>For tests that catch what they run into.</summary>
    public static void Now() => FusionGen.LibTorch.Require(TestContext.CurrentContext.Test.Name);
}
