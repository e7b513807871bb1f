using static TorchSharp.torch;

namespace FusionGen.Static;

/// <summary>A device of libtorch on which static programs run (<see cref="FusionNetwork.Accelerator"/>).</summary>
/// <param name="Device">The device.</param>
/// <param name="Precision">
/// Of frozen weights, of what is computed of images, and of every product: <see cref="ScalarType.Float32"/>, or <see cref="ScalarType.BFloat16"/> for half the memory and the device's fastest
/// products. Tuned parameters, what is computed from them alone, sums over images, loss and gradients are float32 either way.
/// </param>
public sealed record Accelerator(Device Device, ScalarType Precision = ScalarType.Float32)
{
    /// <summary>The device.</summary>
    public Device Device { get; } = Device ?? throw new ArgumentNullException(nameof(Device));

    /// <summary>The precision.</summary>
    /// <exception cref="ArgumentException">It is neither of the two.</exception>
    public ScalarType Precision { get; } = Precision is ScalarType.Float32 or ScalarType.BFloat16 ? Precision : throw new ArgumentException($"{Precision} is neither Float32 nor BFloat16", nameof(Precision));

    /// <summary>Whether runs that recur are recorded on a device and played back: CUDA graphs.</summary>
    public static bool Records(Device device) => DeviceGraph.IsPossible(device ?? throw new ArgumentNullException(nameof(device)));
}
