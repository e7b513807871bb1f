namespace FusionGen.Weights;

/// <summary>A tensor of a weight file.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type"><c>F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL</c>.</param>
/// <param name="Shape">Its dimensions; none for a scalar.</param>
public record WeightEntry(string Name, string Type, IReadOnlyList<long> Shape)
{
    /// <summary>Number of elements.</summary>
    public long Count => this.Shape.Aggregate(1L, (product, size) => product * size);

    /// <summary>Whether it holds floating-point numbers.</summary>
    public bool IsFloat => this.Type is "F64" or "F32" or "F16" or "BF16";

    /// <summary>Steps between neighbours along each dimension, in elements; null where they lie one after the other, the last dimension fastest.</summary>
    internal IReadOnlyList<long>? Strides { get; init; }

    /// <summary>Elements between the first and the last, both included.</summary>
    internal long Extent => this.Strides is null ? this.Count : this.Count == 0 ? 0 : 1 + this.Shape.Zip(this.Strides, (size, stride) => (size - 1) * stride).Sum();
}
