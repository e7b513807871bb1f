using TorchSharp;
using static TorchSharp.torch;

namespace FusionGen;

/// <summary>The libtorch behind TorchSharp's API. The static engine does without; what cannot asks here first.</summary>
public static class LibTorch
{
    /// <summary>Whether it is there. Asking loads it, also in an application that does without until then.</summary>
    public static bool IsPresent => TryInitializeDeviceType(DeviceType.CPU);

    /// <summary>Refuses what needs it where it is missing.</summary>
    /// <param name="what">Who asks, as the subject of a sentence.</param>
    /// <exception cref="FusionException"><see cref="ExitCode.Spec"/>: it is missing; the message says why, and how to get it.</exception>
    public static void Require(string what)
    {
        if (IsPresent)
            return;
        try
        {
            InitializeDeviceType(DeviceType.CPU);
        }
        catch (NotSupportedException error)
        {
            throw new FusionException($"{what} needs libtorch. {error.Message}", ExitCode.Spec, error);
        }
    }
}
