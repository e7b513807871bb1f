using System.Diagnostics.CodeAnalysis;

namespace FusionGen.Kernels;

/// <summary>A factor of a product: a row-major matrix in a buffer, or its transpose.</summary>
/// <param name="values">The buffer, from the matrix's first entry on.</param>
/// <param name="stride">Floats between the starts of two stored rows: the leading dimension.</param>
/// <param name="transposed">Whether the product sees the transpose of what is stored.</param>
[SuppressMessage("Performance", "CA1815", Justification = "An argument, never compared.")]
public readonly ref struct MatrixView(ReadOnlySpan<float> values, int stride, bool transposed = false)
{
    /// <summary>The buffer.</summary>
    public ReadOnlySpan<float> Values { get; } = values;

    /// <summary>Floats between two stored rows.</summary>
    public int Stride { get; } = stride;

    /// <summary>Whether the product sees the transpose.</summary>
    public bool Transposed { get; } = transposed;

    /// <summary>Its transpose.</summary>
    public MatrixView Transpose() => new(this.Values, this.Stride, !this.Transposed);

    /// <summary>How many floats of the buffer a product that sees (rows, columns) reads.</summary>
    internal long Extent(int rows, int columns)
    {
        var (stored, width) = this.Transposed ? (columns, rows) : (rows, columns);
        return stored == 0 || width == 0 ? 0 : this.Stride < width ? long.MaxValue : ((long)(stored - 1) * this.Stride) + width;
    }
}
