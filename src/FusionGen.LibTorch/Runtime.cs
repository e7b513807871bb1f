using System.Runtime.InteropServices;

namespace TorchSharp;

public static partial class torch
{
    public static string __version__ => Marshal.PtrToStringUTF8(Native.Version())!;

    /// <summary>Threads an operator may use; at first FUSIONGEN_THREADS, else every core.</summary>
    public static int get_num_threads() => Native.Threads();

    public static void set_num_threads(int num) => Native.Check(Native.SetThreads(num));

    public static class cuda
    {
        public static bool is_available() => Native.CudaDevices() > 0;

        public static int device_count() => Native.CudaDevices();

        public static void manual_seed_all(long seed) => torch.manual_seed(seed);

        /// <summary>Waits for all work queued on the device.</summary>
        public static void synchronize(Device? device = null) => Native.Check(Native.CudaSynchronize(device?.index ?? -1));
    }
}
