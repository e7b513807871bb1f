namespace FusionGen.Kernels;

/// <summary>The sizes of a self-attention.</summary>
/// <param name="Samples">b: how many samples the buffers hold.</param>
/// <param name="Tokens">T: rows of each sample.</param>
/// <param name="Width">d.</param>
/// <param name="Heads">H, a divisor of d.</param>
/// <param name="Prefix">P: further keys and values.</param>
/// <param name="Rows">How many of the first rows ask; 0 for all T.</param>
public readonly record struct AttentionShape(int Samples, int Tokens, int Width, int Heads, int Prefix = 0, int Rows = 0)
{
    /// <summary>Rows of each sample that ask.</summary>
    public int Queries => this.Rows == 0 ? this.Tokens : this.Rows;

    /// <summary>Floats that <see cref="Attention.Forward"/> works in: of one head of one sample the logits, a number a row and one a key, and where there is a prefix, all keys and values.</summary>
    public int ForwardScratch => this.Logits + this.Queries + this.Keys + this.Joined;

    /// <summary>Floats that <see cref="Attention.Backward"/> works in: besides, the gradient of the logits.</summary>
    public int BackwardScratch => this.ForwardScratch + this.Logits;

    /// <summary>Floats of the log-sum-exp: (b, H, rows).</summary>
    public int LogSumExp => this.Samples * this.Heads * this.Queries;

    /// <summary>Floats of the exponentials: (b, H, rows) factors that make them probabilities, and (b, H, rows, T + P).</summary>
    public int Exponentials => this.LogSumExp * (1 + this.Keys);

    internal int Logits => this.Queries * this.Keys;

    /// <summary>Floats between the prefixes of neighbouring samples: 0 where a buffer of so many floats holds one for all.</summary>
    internal int PrefixStride(int length) => length == this.Prefix * 2 * this.Width ? 0 : this.Prefix * 2 * this.Width;

    internal int Joined => this.Prefix == 0 ? 0 : 2 * this.Keys * this.Head;

    internal int Keys => this.Tokens + this.Prefix;

    internal int Head => this.Width / this.Heads;

    internal int Output => this.Samples * this.Queries * this.Width;

    /// <summary>The exponentials of some rows; empty where they are not kept.</summary>
    internal Span<float> ExponentialsOf(Span<float> saved, int first, int rows) =>
        saved.Length == this.Exponentials ? saved.Slice(this.LogSumExp + (first * this.Keys), rows * this.Keys) : default;

    /// <inheritdoc cref="ExponentialsOf(Span{float}, int, int)"/>
    internal ReadOnlySpan<float> ExponentialsOf(ReadOnlySpan<float> saved, int first, int rows) =>
        saved.Length == this.Exponentials ? saved.Slice(this.LogSumExp + (first * this.Keys), rows * this.Keys) : default;

    internal void CheckSaved(ReadOnlySpan<float> saved, bool isNeeded = false)
    {
        if (saved.Length != this.Exponentials && (isNeeded || !saved.IsEmpty))
            Kernels.Check.Length(saved, this.LogSumExp);
    }

    internal void Check()
    {
        if (this.Samples < 1 || this.Tokens < 1 || this.Heads < 1 || this.Prefix < 0 || this.Rows < 0 || this.Rows > this.Tokens ||
            this.Width < this.Heads || this.Width % this.Heads != 0)
            throw new ArgumentException($"no attention has the sizes {this}");
    }
}
