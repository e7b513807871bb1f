using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace FusionGen.Kernels;

/// <summary>A loop over lanes of any width, with its operands.</summary>
internal interface ILoop
{
    void Run<V>()
        where V : struct, ILane<V>;
}

/// <summary>A loop over lanes that names their registers too.</summary>
internal interface IRegisterLoop
{
    void Run<L, R>()
        where L : struct, ILane<L>, IRegister<R>;
}

/// <summary>Picks the width of lanes, and reads and writes the last, incomplete lane of a row.</summary>
internal static class Simd
{
    /// <summary>The widest lane that this machine computes on at once.</summary>
    public static readonly int Widest =
        Vector512.IsHardwareAccelerated ? 16 : Vector256.IsHardwareAccelerated ? 8 : Vector128.IsHardwareAccelerated ? 4 : 1;

    /// <summary>The lanes in use: 16, 8, 4 or 1 floats. Only tests set it; any width is right on any machine.</summary>
    public static int Width { get; set; } = Widest;

    /// <summary>Runs a loop with lanes of <see cref="Width"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Run<TLoop>(TLoop loop)
        where TLoop : ILoop, allows ref struct
    {
        switch (Width)
        {
            case 16:
                loop.Run<Lane16>();
                break;
            case 8:
                loop.Run<Lane8>();
                break;
            case 4:
                loop.Run<Lane4>();
                break;
            default:
                loop.Run<Lane1>();
                break;
        }
    }

    /// <summary>Runs a loop with lanes of <see cref="Width"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void RunOnRegisters<TLoop>(TLoop loop)
        where TLoop : IRegisterLoop, allows ref struct
    {
        switch (Width)
        {
            case 16:
                loop.Run<Lane16, Vector512<float>>();
                break;
            case 8:
                loop.Run<Lane8, Vector256<float>>();
                break;
            case 4:
                loop.Run<Lane4, Vector128<float>>();
                break;
            default:
                loop.Run<Lane1, float>();
                break;
        }
    }

    /// <summary>Reads a lane, or what is <paramref name="left"/> of the row followed by <paramref name="fill"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<V>(ref float source, nint left, float fill = 0)
        where V : struct, ILane<V> => left >= V.Count ? V.Load(ref source) : V.LoadPart(ref source, (int)left, fill);

    /// <summary>Writes a lane, or as much of it as is <paramref name="left"/> of the row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<V>(V lane, ref float target, nint left)
        where V : struct, ILane<V>
    {
        if (left >= V.Count)
            lane.Store(ref target);
        else
            lane.StorePart(ref target, (int)left);
    }

    /// <summary>The first <paramref name="left"/> floats of a lane, and 0 for the others.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Keep<V>(V lane, nint left)
        where V : struct, ILane<V> => left >= V.Count ? lane : lane.Keep((int)left);

    /// <summary>Reads a part of a lane through the stack, for machines without masks.</summary>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static V LoadByParts<V>(ref float source, int left, float fill)
        where V : struct, ILane<V>
    {
        Span<float> part = stackalloc float[16];
        part.Fill(fill);
        MemoryMarshal.CreateReadOnlySpan(ref source, left).CopyTo(part);
        return V.Load(ref part[0]);
    }

    /// <summary>Writes a part of a lane through the stack.</summary>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void StoreByParts<V>(V lane, ref float target, int left)
        where V : struct, ILane<V>
    {
        Span<float> part = stackalloc float[16];
        lane.Store(ref part[0]);
        part[..left].CopyTo(MemoryMarshal.CreateSpan(ref target, left));
    }
}
