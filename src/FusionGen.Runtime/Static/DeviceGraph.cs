using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace FusionGen.Static;

/// <summary>
/// Work of this thread on a CUDA device, recorded from <see cref="Begin"/> to <see cref="End"/> and done, at the same addresses, by every <see cref="Replay"/> without asking the host for anything:
/// PyTorch's <c>torch.cuda.CUDAGraph</c>. What is recorded must have run once before, must not wait for the device and must bring nothing from the host. The shim of the System provider has it, if it was built
/// with CUDA's headers; TorchSharp 0.107 does not.
/// </summary>
internal sealed partial class DeviceGraph : IDisposable
{
    private const string Shim = "fusiongen_torch";
    private static readonly Lazy<bool> IsThere = new(() =>
    {
        try
        {
            return CudaGraphs() != 0;
        }
        catch (Exception error) when (error is DllNotFoundException or EntryPointNotFoundException)
        {
            return false;
        }
    });

    private nint handle;

    private DeviceGraph(nint handle) => this.handle = handle;

    /// <summary>Whether a device's work can be recorded.</summary>
    public static bool IsPossible(Device device) => device.type == DeviceType.CUDA && IsThere.Value;

    /// <summary>From now on this thread's work is recorded instead of done.</summary>
    /// <exception cref="NotSupportedException">The device does not record.</exception>
    public static DeviceGraph Begin(Device device) =>
        CudaGraphBegin(device.index, out var handle) == 0 ? new DeviceGraph(handle) : throw new NotSupportedException($"{device} records nothing");

    /// <summary>Ends the recording; work is done again.</summary>
    /// <returns>False where something in it could not be recorded.</returns>
    public bool End() => CudaGraphEnd(this.handle) == 0;

    /// <summary>Queues what was recorded.</summary>
    /// <exception cref="NotSupportedException">The device refuses it.</exception>
    public void Replay()
    {
        if (CudaGraphReplay(this.handle) != 0)
            throw new NotSupportedException("the device did not take a recording of its own");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (this.handle != 0)
            CudaGraphRelease(this.handle);
        this.handle = 0;
    }

    [LibraryImport(Shim, EntryPoint = "fg_cuda_graphs")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.AssemblyDirectory)]
    private static partial int CudaGraphs();

    [LibraryImport(Shim, EntryPoint = "fg_cuda_graph_begin")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.AssemblyDirectory)]
    private static partial int CudaGraphBegin(int index, out nint graph);

    [LibraryImport(Shim, EntryPoint = "fg_cuda_graph_end")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.AssemblyDirectory)]
    private static partial int CudaGraphEnd(nint graph);

    [LibraryImport(Shim, EntryPoint = "fg_cuda_graph_replay")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.AssemblyDirectory)]
    private static partial int CudaGraphReplay(nint graph);

    [LibraryImport(Shim, EntryPoint = "fg_cuda_graph_release")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.AssemblyDirectory)]
    private static partial void CudaGraphRelease(nint graph);
}
