using System.Runtime.CompilerServices;

namespace FusionGen.Kernels;

/// <summary>A row of a tile of a product: lanes side by side, which stay in registers because every one is a field of its own.</summary>
/// <typeparam name="S">The strip itself.</typeparam>
internal interface IStrip<S>
    where S : struct, IStrip<S>
{
    /// <summary>How many floats there are.</summary>
    static abstract int Count { get; }

    static abstract S Of(float value);

    static abstract S Load(ref float source);

    void Store(ref float target);

    /// <summary>left·right + addend.</summary>
    static abstract S MultiplyAdd(float left, S right, S addend);
}

/// <summary>One lane.</summary>
internal readonly struct Strip1<V>(V x) : IStrip<Strip1<V>>
    where V : struct, ILane<V>
{
    private readonly V x = x;

    public static int Count => V.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip1<V> Of(float value) => new(V.Of(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip1<V> Load(ref float source) => new(V.Load(ref source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip1<V> MultiplyAdd(float left, Strip1<V> right, Strip1<V> addend) => new(V.MultiplyAdd(V.Of(left), right.x, addend.x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(ref float target) => this.x.Store(ref target);
}

/// <summary>Two lanes.</summary>
internal readonly struct Strip2<V>(V x, V y) : IStrip<Strip2<V>>
    where V : struct, ILane<V>
{
    private readonly V x = x;
    private readonly V y = y;

    public static int Count => 2 * V.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip2<V> Of(float value) => new(V.Of(value), V.Of(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip2<V> Load(ref float source) => new(V.Load(ref source), V.Load(ref Unsafe.Add(ref source, V.Count)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip2<V> MultiplyAdd(float left, Strip2<V> right, Strip2<V> addend)
    {
        var factor = V.Of(left);
        return new(V.MultiplyAdd(factor, right.x, addend.x), V.MultiplyAdd(factor, right.y, addend.y));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(ref float target)
    {
        this.x.Store(ref target);
        this.y.Store(ref Unsafe.Add(ref target, V.Count));
    }
}

/// <summary>Three lanes.</summary>
internal readonly struct Strip3<V>(V x, V y, V z) : IStrip<Strip3<V>>
    where V : struct, ILane<V>
{
    private readonly V x = x;
    private readonly V y = y;
    private readonly V z = z;

    public static int Count => 3 * V.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip3<V> Of(float value) => new(V.Of(value), V.Of(value), V.Of(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip3<V> Load(ref float source) => new(V.Load(ref source), V.Load(ref Unsafe.Add(ref source, V.Count)), V.Load(ref Unsafe.Add(ref source, 2 * V.Count)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip3<V> MultiplyAdd(float left, Strip3<V> right, Strip3<V> addend)
    {
        var factor = V.Of(left);
        return new(V.MultiplyAdd(factor, right.x, addend.x), V.MultiplyAdd(factor, right.y, addend.y), V.MultiplyAdd(factor, right.z, addend.z));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(ref float target)
    {
        this.x.Store(ref target);
        this.y.Store(ref Unsafe.Add(ref target, V.Count));
        this.z.Store(ref Unsafe.Add(ref target, 2 * V.Count));
    }
}

/// <summary>Four lanes.</summary>
internal readonly struct Strip4<V>(V x, V y, V z, V w) : IStrip<Strip4<V>>
    where V : struct, ILane<V>
{
    private readonly V x = x;
    private readonly V y = y;
    private readonly V z = z;
    private readonly V w = w;

    public static int Count => 4 * V.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip4<V> Of(float value) => new(V.Of(value), V.Of(value), V.Of(value), V.Of(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip4<V> Load(ref float source) => new(
        V.Load(ref source), V.Load(ref Unsafe.Add(ref source, V.Count)), V.Load(ref Unsafe.Add(ref source, 2 * V.Count)), V.Load(ref Unsafe.Add(ref source, 3 * V.Count)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip4<V> MultiplyAdd(float left, Strip4<V> right, Strip4<V> addend)
    {
        var factor = V.Of(left);
        return new(
            V.MultiplyAdd(factor, right.x, addend.x), V.MultiplyAdd(factor, right.y, addend.y),
            V.MultiplyAdd(factor, right.z, addend.z), V.MultiplyAdd(factor, right.w, addend.w));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(ref float target)
    {
        this.x.Store(ref target);
        this.y.Store(ref Unsafe.Add(ref target, V.Count));
        this.z.Store(ref Unsafe.Add(ref target, 2 * V.Count));
        this.w.Store(ref Unsafe.Add(ref target, 3 * V.Count));
    }
}
