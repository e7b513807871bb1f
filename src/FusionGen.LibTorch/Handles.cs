using static TorchSharp.torch;

namespace TorchSharp;

/// <summary>What a handle stands for, a libtorch tensor or a managed one, and what can be asked of either.</summary>
internal static unsafe class Handles
{
    /// <summary>Handles not released.</summary>
    public static long Live => ManagedTensor.LiveHandles + (LibTorch.IsPresent ? Native.LiveHandles() : 0);

    public static void Release(nint tensor)
    {
        if (ManagedTensor.At(tensor) is { } own)
            own.Release(tensor);
        else
            Native.Release(tensor);
    }

    /// <summary>Of a second managed object for the same tensor.</summary>
    public static nint Share(nint tensor) => ManagedTensor.At(tensor)?.Own() ?? Native.Share(tensor);

    public static long Dim(nint tensor) => ManagedTensor.At(tensor) is { } own ? own.Shape.Length : Native.Dim(tensor);

    public static long Numel(nint tensor) => ManagedTensor.At(tensor)?.Count ?? Native.Numel(tensor);

    public static void Sizes(nint tensor, Span<long> result)
    {
        if (ManagedTensor.At(tensor) is { } own)
        {
            own.Shape.CopyTo(result);
            return;
        }
        fixed (long* p = result)
            Native.Check(Native.Sizes(tensor, p));
    }

    public static void Strides(nint tensor, Span<long> result)
    {
        if (ManagedTensor.At(tensor) is { } own)
        {
            own.Strides.CopyTo(result);
            return;
        }
        fixed (long* p = result)
            Native.Check(Native.Strides(tensor, p));
    }

    public static long StorageOffset(nint tensor) => ManagedTensor.At(tensor)?.Offset ?? Native.StorageOffset(tensor);

    public static ScalarType DType(nint tensor) => ManagedTensor.At(tensor)?.Type ?? (ScalarType)Native.DType(tensor);

    public static (DeviceType Type, int Index) Device(nint tensor)
    {
        if (ManagedTensor.At(tensor) is not null)
            return (DeviceType.CPU, -1);
        Native.Device(tensor, out var type, out var index);
        return ((DeviceType)type, index);
    }

    public static bool IsContiguous(nint tensor) => ManagedTensor.At(tensor)?.IsContiguous ?? Native.IsContiguous(tensor) != 0;

    public static void* Data(nint tensor)
    {
        if (ManagedTensor.At(tensor) is { } own)
            return own.Data;
        Native.Check(Native.Data(tensor, out var pointer));
        return pointer;
    }

    public static bool RequiresGrad(nint tensor) => ManagedTensor.At(tensor)?.RequiresGrad ?? Native.RequiresGrad(tensor) != 0;

    public static void SetRequiresGrad(nint tensor, bool value)
    {
        if (ManagedTensor.At(tensor) is { } own)
            own.RequiresGrad = value;
        else
            Native.Check(Native.SetRequiresGrad(tensor, value ? 1 : 0));
    }

    /// <summary>A managed tensor was never computed from others that want gradients.</summary>
    public static bool IsLeaf(nint tensor) => ManagedTensor.At(tensor) is not null || Native.IsLeaf(tensor) != 0;

    /// <summary>0 where there is none.</summary>
    public static nint Gradient(nint tensor)
    {
        if (ManagedTensor.At(tensor) is not null)
            return 0;
        Native.Check(Native.GetGradient(tensor, out var gradient));
        return gradient;
    }

    public static void SetGradient(nint tensor, nint gradient)
    {
        if (ManagedTensor.At(tensor) is null)
            Native.Check(Native.SetGradient(tensor, gradient));
        else if (gradient != 0)
            throw LibTorch.Needed("a gradient");
    }
}
