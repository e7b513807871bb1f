namespace FusionGen.Kernels;

/// <summary>
/// A handful of neighbouring floats that are computed on together. Loops are written once over a lane type and compiled for each
/// width, so that every machine gets its own and a test can run them all.
/// </summary>
/// <typeparam name="V">The lane itself.</typeparam>
internal interface ILane<V>
    where V : struct, ILane<V>
{
    /// <summary>How many floats there are.</summary>
    static abstract int Count { get; }

    static abstract V Of(float value);

    /// <summary>Reads <see cref="Count"/> floats, unchecked.</summary>
    static abstract V Load(ref float source);

    /// <summary>Reads the first <paramref name="count"/> floats, fewer than <see cref="Count"/>, and nothing beyond; the others are <paramref name="fill"/>.</summary>
    static abstract V LoadPart(ref float source, int count, float fill);

    /// <summary>Writes <see cref="Count"/> floats, unchecked.</summary>
    void Store(ref float target);

    /// <summary>Writes the first <paramref name="count"/> floats, fewer than <see cref="Count"/>.</summary>
    void StorePart(ref float target, int count);

    /// <summary>The first <paramref name="count"/> floats, and 0 for the others.</summary>
    V Keep(int count);

    static abstract V operator +(V left, V right);

    static abstract V operator -(V left, V right);

    static abstract V operator *(V left, V right);

    static abstract V operator /(V left, V right);

    /// <summary>left·right + addend, rounded once where the machine can.</summary>
    static abstract V MultiplyAdd(V left, V right, V addend);

    /// <summary>The larger one; either of them where one is not a number.</summary>
    static abstract V Max(V left, V right);

    static abstract V Abs(V value);

    static abstract V Sqrt(V value);

    /// <summary>x &lt; limit ? then : otherwise.</summary>
    static abstract V WhereLess(V x, V limit, V then, V otherwise);

    /// <summary>The bits of a float, as an integer, times 2²³ and plus those of <paramref name="offset"/>: see <see cref="VectorMath.Exp"/>.</summary>
    static abstract V ShiftToExponent(V value, V offset);

    float Sum();

    float Largest();
}
