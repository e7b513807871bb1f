using System.Runtime.CompilerServices;

namespace FusionGen.Kernels;

/// <summary>
/// A lane as the register that holds it. The JIT adds to a local in place only where the local is the register itself: of a lane, a struct around
/// it, every other sum is moved once more, which costs a product 2 % where a core is its own and 9 to 18 % where another thread shares it.
/// </summary>
/// <typeparam name="R">The register: a vector, or a float.</typeparam>
internal interface IRegister<R>
{
    static abstract R Fill(float value);

    static abstract R Read(ref float source);

    static abstract void Write(R register, ref float target);

    /// <summary>left·right + addend, rounded once where the machine can.</summary>
    static abstract R MultiplyAdd(R left, R right, R addend);
}

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

    /// <summary>Adds left·right.</summary>
    void Add(float left, S right);
}

/// <summary>One lane.</summary>
internal struct Strip1<L, R>(R x) : IStrip<Strip1<L, R>>
    where L : struct, ILane<L>, IRegister<R>
{
    private R x = x;

    public static int Count => L.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip1<L, R> Of(float value) => new(L.Fill(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip1<L, R> Load(ref float source) => new(L.Read(ref source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(ref float target) => L.Write(this.x, ref target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(float left, Strip1<L, R> right) => this.x = L.MultiplyAdd(L.Fill(left), right.x, this.x);
}

/// <summary>Two lanes.</summary>
internal struct Strip2<L, R>(R x, R y) : IStrip<Strip2<L, R>>
    where L : struct, ILane<L>, IRegister<R>
{
    private R x = x;
    private R y = y;

    public static int Count => 2 * L.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip2<L, R> Of(float value) => new(L.Fill(value), L.Fill(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip2<L, R> Load(ref float source) => new(L.Read(ref source), L.Read(ref Unsafe.Add(ref source, L.Count)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(ref float target)
    {
        L.Write(this.x, ref target);
        L.Write(this.y, ref Unsafe.Add(ref target, L.Count));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(float left, Strip2<L, R> right)
    {
        var factor = L.Fill(left);
        this.x = L.MultiplyAdd(factor, right.x, this.x);
        this.y = L.MultiplyAdd(factor, right.y, this.y);
    }
}

/// <summary>Three lanes.</summary>
internal struct Strip3<L, R>(R x, R y, R z) : IStrip<Strip3<L, R>>
    where L : struct, ILane<L>, IRegister<R>
{
    private R x = x;
    private R y = y;
    private R z = z;

    public static int Count => 3 * L.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip3<L, R> Of(float value) => new(L.Fill(value), L.Fill(value), L.Fill(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip3<L, R> Load(ref float source) => new(L.Read(ref source), L.Read(ref Unsafe.Add(ref source, L.Count)), L.Read(ref Unsafe.Add(ref source, 2 * L.Count)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(ref float target)
    {
        L.Write(this.x, ref target);
        L.Write(this.y, ref Unsafe.Add(ref target, L.Count));
        L.Write(this.z, ref Unsafe.Add(ref target, 2 * L.Count));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(float left, Strip3<L, R> right)
    {
        var factor = L.Fill(left);
        this.x = L.MultiplyAdd(factor, right.x, this.x);
        this.y = L.MultiplyAdd(factor, right.y, this.y);
        this.z = L.MultiplyAdd(factor, right.z, this.z);
    }
}

/// <summary>Four lanes.</summary>
internal struct Strip4<L, R>(R x, R y, R z, R w) : IStrip<Strip4<L, R>>
    where L : struct, ILane<L>, IRegister<R>
{
    private R x = x;
    private R y = y;
    private R z = z;
    private R w = w;

    public static int Count => 4 * L.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip4<L, R> Of(float value) => new(L.Fill(value), L.Fill(value), L.Fill(value), L.Fill(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Strip4<L, R> Load(ref float source) => new(
        L.Read(ref source), L.Read(ref Unsafe.Add(ref source, L.Count)), L.Read(ref Unsafe.Add(ref source, 2 * L.Count)), L.Read(ref Unsafe.Add(ref source, 3 * L.Count)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(ref float target)
    {
        L.Write(this.x, ref target);
        L.Write(this.y, ref Unsafe.Add(ref target, L.Count));
        L.Write(this.z, ref Unsafe.Add(ref target, 2 * L.Count));
        L.Write(this.w, ref Unsafe.Add(ref target, 3 * L.Count));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(float left, Strip4<L, R> right)
    {
        var factor = L.Fill(left);
        this.x = L.MultiplyAdd(factor, right.x, this.x);
        this.y = L.MultiplyAdd(factor, right.y, this.y);
        this.z = L.MultiplyAdd(factor, right.z, this.z);
        this.w = L.MultiplyAdd(factor, right.w, this.w);
    }
}
