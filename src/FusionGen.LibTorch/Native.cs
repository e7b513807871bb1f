using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace TorchSharp;

/// <summary>The shim's exports, to be called where <see cref="LibTorch.IsPresent"/> only. Functions that return a status leave libtorch's message in <see cref="Error"/>; see <see cref="Check"/>.</summary>
internal static unsafe partial class Native
{
    public const string Library = "fusiongen_torch";

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Check(int status)
    {
        if (status != 0)
            Throw();
    }

#pragma warning disable CA2201 // What TorchSharp throws.
    private static void Throw() => throw new ExternalException(Marshal.PtrToStringUTF8(Error()));
#pragma warning restore CA2201

    [LibraryImport(Library, EntryPoint = "fg_error")]
    private static partial nint Error();

    [LibraryImport(Library, EntryPoint = "fg_live_handles")]
    public static partial long LiveHandles();

    [LibraryImport(Library, EntryPoint = "fg_release")]
    public static partial void Release(nint tensor);

    [LibraryImport(Library, EntryPoint = "fg_share")]
    public static partial nint Share(nint tensor);

    // No SuppressGCTransition: such calls are bound when their caller is compiled, shim or no shim.
    [LibraryImport(Library, EntryPoint = "fg_dim")]
    public static partial long Dim(nint tensor);

    [LibraryImport(Library, EntryPoint = "fg_numel")]
    public static partial long Numel(nint tensor);

    [LibraryImport(Library, EntryPoint = "fg_sizes")]
    public static partial int Sizes(nint tensor, long* result);

    [LibraryImport(Library, EntryPoint = "fg_strides")]
    public static partial int Strides(nint tensor, long* result);

    [LibraryImport(Library, EntryPoint = "fg_storage_offset")]
    public static partial long StorageOffset(nint tensor);

    [LibraryImport(Library, EntryPoint = "fg_dtype")]
    public static partial int DType(nint tensor);

    [LibraryImport(Library, EntryPoint = "fg_device")]
    public static partial void Device(nint tensor, out int type, out int index);

    [LibraryImport(Library, EntryPoint = "fg_is_contiguous")]
    public static partial int IsContiguous(nint tensor);

    [LibraryImport(Library, EntryPoint = "fg_data")]
    public static partial int Data(nint tensor, out void* result);

    [LibraryImport(Library, EntryPoint = "fg_find", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Find(string name, string overload, out nint result);

    [LibraryImport(Library, EntryPoint = "fg_call")]
    public static partial int Call(nint op, Value* arguments, int count, Value* results, int room, out int returned);

    [LibraryImport(Library, EntryPoint = "fg_free_handles")]
    public static partial void FreeHandles(nint handles);

    [LibraryImport(Library, EntryPoint = "fg_backward")]
    public static partial int Backward(nint* tensors, int count, nint* gradients, int gradientCount, int retainGraph, int createGraph, nint* inputs, int inputCount);

    [LibraryImport(Library, EntryPoint = "fg_grad")]
    public static partial int Grad(nint* outputs, int count, nint* inputs, int inputCount, nint* gradients, int gradientCount, int retainGraph, int createGraph, int allowUnused, nint* results);

    [LibraryImport(Library, EntryPoint = "fg_requires_grad")]
    public static partial int RequiresGrad(nint tensor);

    [LibraryImport(Library, EntryPoint = "fg_set_requires_grad")]
    public static partial int SetRequiresGrad(nint tensor, int value);

    [LibraryImport(Library, EntryPoint = "fg_is_leaf")]
    public static partial int IsLeaf(nint tensor);

    [LibraryImport(Library, EntryPoint = "fg_retain_grad")]
    public static partial int RetainGrad(nint tensor);

    [LibraryImport(Library, EntryPoint = "fg_get_gradient")]
    public static partial int GetGradient(nint tensor, out nint result);

    [LibraryImport(Library, EntryPoint = "fg_set_gradient")]
    public static partial int SetGradient(nint tensor, nint gradient);

    [LibraryImport(Library, EntryPoint = "fg_grad_mode")]
    public static partial int GradMode();

    [LibraryImport(Library, EntryPoint = "fg_set_grad_mode")]
    public static partial void SetGradMode(int enabled);

    [LibraryImport(Library, EntryPoint = "fg_inference_mode")]
    public static partial int InferenceMode();

    [LibraryImport(Library, EntryPoint = "fg_enter_inference_mode")]
    public static partial nint EnterInferenceMode(int enabled);

    [LibraryImport(Library, EntryPoint = "fg_leave_inference_mode")]
    public static partial void LeaveInferenceMode(nint guard);

    [LibraryImport(Library, EntryPoint = "fg_keep_large_blocks")]
    public static partial void KeepLargeBlocks();

    [LibraryImport(Library, EntryPoint = "fg_version")]
    public static partial nint Version();

    [LibraryImport(Library, EntryPoint = "fg_threads")]
    public static partial int Threads();

    [LibraryImport(Library, EntryPoint = "fg_set_threads")]
    public static partial int SetThreads(int count);

    [LibraryImport(Library, EntryPoint = "fg_cuda_devices")]
    public static partial int CudaDevices();

    [LibraryImport(Library, EntryPoint = "fg_cuda_synchronize")]
    public static partial int CudaSynchronize(int index);

    [LibraryImport(Library, EntryPoint = "fg_manual_seed")]
    public static partial int ManualSeed(long seed);

    [LibraryImport(Library, EntryPoint = "fg_generator")]
    public static partial int Generator(int deviceType, int deviceIndex, int fresh, out nint result);

    [LibraryImport(Library, EntryPoint = "fg_generator_release")]
    public static partial void GeneratorRelease(nint generator);

    [LibraryImport(Library, EntryPoint = "fg_generator_set_seed")]
    public static partial int GeneratorSetSeed(nint generator, long seed);

    [LibraryImport(Library, EntryPoint = "fg_generator_seed")]
    public static partial long GeneratorSeed(nint generator);

    [LibraryImport(Library, EntryPoint = "fg_generator_reseed")]
    public static partial int GeneratorReseed(nint generator, out long seed);

    [LibraryImport(Library, EntryPoint = "fg_generator_state")]
    public static partial int GeneratorState(nint generator, out nint state);

    [LibraryImport(Library, EntryPoint = "fg_generator_set_state")]
    public static partial int GeneratorSetState(nint generator, nint state);
}
