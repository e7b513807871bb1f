namespace FusionGen.Weights;

/// <summary>How a file's tensor becomes ours, or a part of ours.</summary>
internal enum Reshaping
{
    /// <summary>As it is.</summary>
    None,

    /// <summary>All dimensions as one.</summary>
    Flat,

    /// <summary>A kernel (inputs, outputs…) transposed to (outputs, inputs).</summary>
    Inputs,

    /// <summary>A kernel (inputs…, outputs) transposed to (outputs, inputs).</summary>
    Outputs,

    /// <summary>A convolution's kernel (height, width, inputs, outputs) as (outputs, inputs, height, width).</summary>
    Convolution,
}

/// <summary>Where a tensor of ours, or a part of it, is in a file.</summary>
/// <param name="Name">The file's name for it.</param>
/// <param name="Reshaping">What is to be done to it.</param>
/// <param name="Layer">Its entry along the first axis, where a file stacks the layers; null for all of it.</param>
internal sealed record WeightSource(string Name, Reshaping Reshaping = Reshaping.None, int? Layer = null)
{
    /// <summary>What comes of a tensor of that shape; null where it cannot be one of these.</summary>
    public IReadOnlyList<long>? ShapeOf(WeightEntry entry)
    {
        if (this.Layer >= (entry.Shape.Count == 0 ? 0 : entry.Shape[0]))
            return null;
        var shape = this.Part(entry);
        return this.Reshaping switch
        {
            Reshaping.None => shape,
            Reshaping.Flat => shape.Count > 2 ? null : [shape.Aggregate(1L, (product, size) => product * size)],
            Reshaping.Convolution => shape is [var height, var width, var input, var output] ? [output, input, height, width] : null,
            _ => shape.Count is < 2 or > 3 ? null : this.Matrix(shape) is var (rows, columns) ? [columns, rows] : null,
        };
    }

    /// <summary>Reads it, as many elements as there are in its shape.</summary>
    public void Read(WeightFile file, Span<float> target)
    {
        var entry = file.Entry(this.Name);
        var from = (this.Layer ?? 0) * (long)target.Length;
        if (this.Reshaping is Reshaping.None or Reshaping.Flat)
        {
            file.Read(entry, from, target);
            return;
        }
        var values = new float[target.Length];
        file.Read(entry, from, values);
        var shape = this.Part(entry);
        // A convolution's kernel is (places, inputs, outputs) to be reversed; a matrix has one place.
        var (places, inputs, outputs) = (1L, 0L, 0L);
        if (this.Reshaping == Reshaping.Convolution)
            (places, inputs, outputs) = (shape[0] * shape[1], shape[2], shape[3]);
        else
            (inputs, outputs) = this.Matrix(shape);
        for (var place = 0; place < places; place++)
        {
            for (var input = 0; input < inputs; input++)
            {
                for (var output = 0; output < outputs; output++)
                    target[(int)((((output * inputs) + input) * places) + place)] = values[(((place * inputs) + input) * outputs) + output];
            }
        }
    }

    private IReadOnlyList<long> Part(WeightEntry entry) => this.Layer is null ? entry.Shape : [.. entry.Shape.Skip(1)];

    private (long Inputs, long Outputs) Matrix(IReadOnlyList<long> shape)
    {
        var split = this.Reshaping == Reshaping.Inputs ? 1 : shape.Count - 1;
        return (shape.Take(split).Aggregate(1L, (product, size) => product * size), shape.Skip(split).Aggregate(1L, (product, size) => product * size));
    }
}
