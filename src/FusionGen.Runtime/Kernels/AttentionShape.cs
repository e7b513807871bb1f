namespace FusionGen.Kernels;

/// <summary>The sizes of a self-attention.</summary>
/// <param name="Samples">b: how many samples the buffers hold.</param>
/// <param name="Tokens">T: rows of each sample.</param>
/// <param name="Width">d.</param>
/// <param name="Heads">H, a divisor of d.</param>
/// <param name="Prefix">P: further keys and values that all samples share.</param>
/// <param name="Rows">How many of the first rows ask; 0 for all T.</param>
public readonly record struct AttentionShape(int Samples, int Tokens, int Width, int Heads, int Prefix = 0, int Rows = 0)
{
    /// <summary>Rows of each sample that ask.</summary>
    public int Queries => this.Rows == 0 ? this.Tokens : this.Rows;

    /// <summary>Floats that <see cref="Attention.Forward"/> works in: the logits of one head of one sample.</summary>
    public int ForwardScratch => this.Queries * this.Keys;

    /// <summary>Floats that <see cref="Attention.Backward"/> works in: the probabilities of one head of one sample, and their gradient.</summary>
    public int BackwardScratch => 2 * this.ForwardScratch;

    /// <summary>Floats of the log-sum-exp: (b, H, rows).</summary>
    public int LogSumExp => this.Samples * this.Heads * this.Queries;

    internal int Keys => this.Tokens + this.Prefix;

    internal int Head => this.Width / this.Heads;

    internal int Output => this.Samples * this.Queries * this.Width;

    internal void Check()
    {
        if (this.Samples < 1 || this.Tokens < 1 || this.Heads < 1 || this.Prefix < 0 || this.Rows < 0 || this.Rows > this.Tokens ||
            this.Width < this.Heads || this.Width % this.Heads != 0)
            throw new ArgumentException($"no attention has the sizes {this}");
    }
}
