namespace FusionGen.Kernels;

/// <summary>Products with a square matrix that few of whose entries are not zero, found by looking: a row is added, scaled, for each of them.</summary>
public static class SparseMix
{
    /// <summary>y += mᵀ·x, or m·x, of every sample.</summary>
    /// <param name="rows">T.</param>
    /// <param name="width">d.</param>
    /// <param name="mix">m (T, T).</param>
    /// <param name="transposed">Whether m is multiplied as it is stored, not transposed.</param>
    /// <param name="x">(b, T, d).</param>
    /// <param name="y">(b, T, d), added to.</param>
    public static void Multiply(int rows, int width, ReadOnlySpan<float> mix, bool transposed, ReadOnlySpan<float> x, Span<float> y)
    {
        Check.Length(mix, (long)rows * rows);
        Check.Length(x, y.Length);
        CheckRows(rows, width, x);
        var entries = new Entries(mix, rows);
        while (entries.Next())
        {
            var (from, to) = transposed ? (entries.Column, entries.Row) : (entries.Row, entries.Column);
            for (var at = 0; at < x.Length; at += rows * width)
            {
                var target = y.Slice(at + (to * width), width);
                Elementwise.MultiplyAdd(x.Slice(at + (from * width), width), mix.Slice((entries.Row * rows) + entries.Column, 1), target, target);
            }
        }
    }

    /// <summary>The gradient of <see cref="Multiply"/> with respect to m where m is not zero; zero elsewhere.</summary>
    /// <param name="rows">T.</param>
    /// <param name="width">d.</param>
    /// <param name="mix">m (T, T).</param>
    /// <param name="x">(b, T, d).</param>
    /// <param name="dY">(b, T, d).</param>
    /// <param name="dMix">(T, T), overwritten: the sum over the samples.</param>
    public static void Backward(int rows, int width, ReadOnlySpan<float> mix, ReadOnlySpan<float> x, ReadOnlySpan<float> dY, Span<float> dMix)
    {
        Check.Length(mix, (long)rows * rows);
        Check.Length(dMix, mix.Length);
        Check.Length(x, dY.Length);
        CheckRows(rows, width, x);
        dMix.Clear();
        var entries = new Entries(mix, rows);
        while (entries.Next())
        {
            ref var target = ref dMix[(entries.Row * rows) + entries.Column];
            for (var at = 0; at < x.Length; at += rows * width)
                target += Elementwise.Dot(x.Slice(at + (entries.Row * width), width), dY.Slice(at + (entries.Column * width), width));
        }
    }

    private static void CheckRows(int rows, int width, ReadOnlySpan<float> x)
    {
        if (x.Length % (rows * width) != 0)
            throw new ArgumentException($"{x.Length} floats are no samples of {rows} rows of {width}", nameof(x));
    }

    /// <summary>The entries that are not zero, row by row.</summary>
    private ref struct Entries(ReadOnlySpan<float> mix, int columns)
    {
        private readonly ReadOnlySpan<float> mix = mix;
        private int at = -1;

        public readonly int Row => this.at / columns;

        public readonly int Column => this.at % columns;

        public bool Next()
        {
            var next = this.mix[(this.at + 1)..].IndexOfAnyExcept(0f);
            this.at += next + 1;
            return next >= 0;
        }
    }
}
