using System.Runtime.InteropServices;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>libtorch's; "none" where there is none.</summary>
    public static string __version__ => LibTorch.IsPresent ? Marshal.PtrToStringUTF8(Native.Version())! : "none";

    /// <summary>Threads an operator may use; at first FUSIONGEN_THREADS, else every core.</summary>
    public static int get_num_threads() => LibTorch.IsPresent ? Native.Threads() : ManagedModes.Threads;

    public static void set_num_threads(int num)
    {
        if (LibTorch.IsPresent)
            Native.Check(Native.SetThreads(num));
        else
            ManagedModes.Threads = num;
    }

    /// <summary>Whether libtorch is there and can use such a device.</summary>
    public static bool TryInitializeDeviceType(DeviceType deviceType) =>
        LibTorch.Load() && (deviceType != DeviceType.CUDA || cuda.is_available());

    /// <exception cref="NotSupportedException">libtorch is not there, or cannot use such a device; the message says why.</exception>
    public static void InitializeDeviceType(DeviceType deviceType)
    {
        if (!LibTorch.Load())
            throw LibTorch.Error(LibTorch.Remedy);
        if (!TryInitializeDeviceType(deviceType))
            throw new NotSupportedException($"this libtorch sees no {deviceType} device");
    }

    public static class cuda
    {
        public static bool is_available() => device_count() > 0;

        public static int device_count() => LibTorch.IsPresent ? Native.CudaDevices() : 0;

        public static void manual_seed_all(long seed) => torch.manual_seed(seed);

        /// <summary>Waits for all work queued on the device.</summary>
        public static void synchronize(Device? device = null)
        {
            LibTorch.Require("the device cuda");
            Native.Check(Native.CudaSynchronize(device?.index ?? -1));
        }
    }
}
