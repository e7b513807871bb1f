using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FusionGen.Kernels;

/// <summary>A single float, for machines without vectors.</summary>
internal readonly struct Lane1(float value) : ILane<Lane1>, IRegister<float>
{
    private readonly float value = value;

    public static int Count => 1;

    public static Lane1 operator +(Lane1 left, Lane1 right) => new(left.value + right.value);

    public static Lane1 operator -(Lane1 left, Lane1 right) => new(left.value - right.value);

    public static Lane1 operator *(Lane1 left, Lane1 right) => new(left.value * right.value);

    public static Lane1 operator /(Lane1 left, Lane1 right) => new(left.value / right.value);

    public static Lane1 Of(float value) => new(value);

    public static Lane1 Load(ref float source) => new(source);

    public static Lane1 LoadPart(ref float source, int count, float fill) => new(fill);

    public static Lane1 MultiplyAdd(Lane1 left, Lane1 right, Lane1 addend) => new(float.MultiplyAddEstimate(left.value, right.value, addend.value));

    public static Lane1 Max(Lane1 left, Lane1 right) => new(left.value > right.value ? left.value : right.value);

    public static Lane1 Abs(Lane1 value) => new(MathF.Abs(value.value));

    public static Lane1 Sqrt(Lane1 value) => new(MathF.Sqrt(value.value));

    public static Lane1 WhereLess(Lane1 x, Lane1 limit, Lane1 then, Lane1 otherwise) => x.value < limit.value ? then : otherwise;

    public static Lane1 ShiftToExponent(Lane1 value, Lane1 offset) =>
        new(BitConverter.Int32BitsToSingle((BitConverter.SingleToInt32Bits(value.value) << 23) + BitConverter.SingleToInt32Bits(offset.value)));

    public static float Fill(float value) => value;

    public static float Read(ref float source) => source;

    public static void Write(float register, ref float target) => target = register;

    public static float MultiplyAdd(float left, float right, float addend) => float.MultiplyAddEstimate(left, right, addend);

    public void Store(ref float target) => target = this.value;

    public void StorePart(ref float target, int count)
    {
    }

    public Lane1 Keep(int count) => default;

    public float Sum() => this.value;

    public float Largest() => this.value;
}

/// <summary>Four floats.</summary>
internal readonly struct Lane4(Vector128<float> value) : ILane<Lane4>, IRegister<Vector128<float>>
{
    private readonly Vector128<float> value = value;

    public static int Count => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane4 operator +(Lane4 left, Lane4 right) => new(left.value + right.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane4 operator -(Lane4 left, Lane4 right) => new(left.value - right.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane4 operator *(Lane4 left, Lane4 right) => new(left.value * right.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane4 operator /(Lane4 left, Lane4 right) => new(left.value / right.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane4 Of(float value) => new(Vector128.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane4 Load(ref float source) => new(Vector128.LoadUnsafe(ref source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe Lane4 LoadPart(ref float source, int count, float fill)
    {
        if (!Avx.IsSupported)
            return Simd.LoadByParts<Lane4>(ref source, count, fill);
        fixed (float* start = &source)
            return new(Vector128.ConditionalSelect(Mask(count), Avx.MaskLoad(start, Mask(count)), Vector128.Create(fill)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane4 MultiplyAdd(Lane4 left, Lane4 right, Lane4 addend) =>
        new(Vector128.MultiplyAddEstimate(left.value, right.value, addend.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane4 Max(Lane4 left, Lane4 right) => new(Vector128.MaxNative(left.value, right.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane4 Abs(Lane4 value) => new(Vector128.Abs(value.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane4 Sqrt(Lane4 value) => new(Vector128.Sqrt(value.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane4 WhereLess(Lane4 x, Lane4 limit, Lane4 then, Lane4 otherwise) =>
        new(Vector128.ConditionalSelect(Vector128.LessThan(x.value, limit.value), then.value, otherwise.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane4 ShiftToExponent(Lane4 value, Lane4 offset) =>
        new(((Vector128.AsInt32(value.value) << 23) + Vector128.AsInt32(offset.value)).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Fill(float value) => Vector128.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Read(ref float source) => Vector128.LoadUnsafe(ref source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write(Vector128<float> register, ref float target) => register.StoreUnsafe(ref target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> MultiplyAdd(Vector128<float> left, Vector128<float> right, Vector128<float> addend) => Vector128.MultiplyAddEstimate(left, right, addend);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(ref float target) => this.value.StoreUnsafe(ref target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public unsafe void StorePart(ref float target, int count)
    {
        if (!Avx.IsSupported)
        {
            Simd.StoreByParts(this, ref target, count);
            return;
        }
        fixed (float* start = &target)
            Avx.MaskStore(start, Mask(count), this.value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Lane4 Keep(int count) => new(this.value & Mask(count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Mask(int count) => Vector128.LessThan(Vector128<int>.Indices, Vector128.Create(count)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float Sum() => Vector128.Sum(this.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float Largest()
    {
        var pair = Vector128.MaxNative(this.value, Vector128.Shuffle(this.value, Vector128.Create(2, 3, 0, 1)));
        return MathF.Max(pair[0], pair[1]);
    }
}

/// <summary>Eight floats.</summary>
internal readonly struct Lane8(Vector256<float> value) : ILane<Lane8>, IRegister<Vector256<float>>
{
    private readonly Vector256<float> value = value;

    public static int Count => 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane8 operator +(Lane8 left, Lane8 right) => new(left.value + right.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane8 operator -(Lane8 left, Lane8 right) => new(left.value - right.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane8 operator *(Lane8 left, Lane8 right) => new(left.value * right.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane8 operator /(Lane8 left, Lane8 right) => new(left.value / right.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane8 Of(float value) => new(Vector256.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane8 Load(ref float source) => new(Vector256.LoadUnsafe(ref source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe Lane8 LoadPart(ref float source, int count, float fill)
    {
        if (!Avx.IsSupported)
            return Simd.LoadByParts<Lane8>(ref source, count, fill);
        fixed (float* start = &source)
            return new(Vector256.ConditionalSelect(Mask(count), Avx.MaskLoad(start, Mask(count)), Vector256.Create(fill)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane8 MultiplyAdd(Lane8 left, Lane8 right, Lane8 addend) =>
        new(Vector256.MultiplyAddEstimate(left.value, right.value, addend.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane8 Max(Lane8 left, Lane8 right) => new(Vector256.MaxNative(left.value, right.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane8 Abs(Lane8 value) => new(Vector256.Abs(value.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane8 Sqrt(Lane8 value) => new(Vector256.Sqrt(value.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane8 WhereLess(Lane8 x, Lane8 limit, Lane8 then, Lane8 otherwise) =>
        new(Vector256.ConditionalSelect(Vector256.LessThan(x.value, limit.value), then.value, otherwise.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane8 ShiftToExponent(Lane8 value, Lane8 offset) =>
        new(((Vector256.AsInt32(value.value) << 23) + Vector256.AsInt32(offset.value)).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Fill(float value) => Vector256.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Read(ref float source) => Vector256.LoadUnsafe(ref source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write(Vector256<float> register, ref float target) => register.StoreUnsafe(ref target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> MultiplyAdd(Vector256<float> left, Vector256<float> right, Vector256<float> addend) => Vector256.MultiplyAddEstimate(left, right, addend);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(ref float target) => this.value.StoreUnsafe(ref target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public unsafe void StorePart(ref float target, int count)
    {
        if (!Avx.IsSupported)
        {
            Simd.StoreByParts(this, ref target, count);
            return;
        }
        fixed (float* start = &target)
            Avx.MaskStore(start, Mask(count), this.value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Lane8 Keep(int count) => new(this.value & Mask(count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Mask(int count) => Vector256.LessThan(Vector256<int>.Indices, Vector256.Create(count)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float Sum() => Vector256.Sum(this.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float Largest() => new Lane4(Vector128.MaxNative(this.value.GetLower(), this.value.GetUpper())).Largest();
}

/// <summary>Sixteen floats.</summary>
internal readonly struct Lane16(Vector512<float> value) : ILane<Lane16>, IRegister<Vector512<float>>
{
    private readonly Vector512<float> value = value;

    public static int Count => 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane16 operator +(Lane16 left, Lane16 right) => new(left.value + right.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane16 operator -(Lane16 left, Lane16 right) => new(left.value - right.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane16 operator *(Lane16 left, Lane16 right) => new(left.value * right.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane16 operator /(Lane16 left, Lane16 right) => new(left.value / right.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane16 Of(float value) => new(Vector512.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane16 Load(ref float source) => new(Vector512.LoadUnsafe(ref source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe Lane16 LoadPart(ref float source, int count, float fill)
    {
        if (!Avx512F.IsSupported)
            return Simd.LoadByParts<Lane16>(ref source, count, fill);
        fixed (float* start = &source)
            return new(Avx512F.MaskLoad(start, Mask(count), Vector512.Create(fill)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane16 MultiplyAdd(Lane16 left, Lane16 right, Lane16 addend) =>
        new(Vector512.MultiplyAddEstimate(left.value, right.value, addend.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane16 Max(Lane16 left, Lane16 right) => new(Vector512.MaxNative(left.value, right.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane16 Abs(Lane16 value) => new(Vector512.Abs(value.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane16 Sqrt(Lane16 value) => new(Vector512.Sqrt(value.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane16 WhereLess(Lane16 x, Lane16 limit, Lane16 then, Lane16 otherwise) =>
        new(Vector512.ConditionalSelect(Vector512.LessThan(x.value, limit.value), then.value, otherwise.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane16 ShiftToExponent(Lane16 value, Lane16 offset) =>
        new(((Vector512.AsInt32(value.value) << 23) + Vector512.AsInt32(offset.value)).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Fill(float value) => Vector512.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Read(ref float source) => Vector512.LoadUnsafe(ref source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write(Vector512<float> register, ref float target) => register.StoreUnsafe(ref target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> MultiplyAdd(Vector512<float> left, Vector512<float> right, Vector512<float> addend) => Vector512.MultiplyAddEstimate(left, right, addend);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(ref float target) => this.value.StoreUnsafe(ref target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public unsafe void StorePart(ref float target, int count)
    {
        if (!Avx512F.IsSupported)
        {
            Simd.StoreByParts(this, ref target, count);
            return;
        }
        fixed (float* start = &target)
            Avx512F.MaskStore(start, Mask(count), this.value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Lane16 Keep(int count) => new(this.value & Mask(count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Mask(int count) => Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(count)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float Sum() => Vector512.Sum(this.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float Largest() => new Lane8(Vector256.MaxNative(this.value.GetLower(), this.value.GetUpper())).Largest();
}
