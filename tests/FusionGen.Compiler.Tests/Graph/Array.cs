namespace FusionGen.Compiler.Tests.Graph;

/// <summary>A dense float64 array, row-major, for the reference interpreter: plain loops, nothing clever.</summary>
internal sealed class Array(int[] shape, double[] data)
{
    public Array(params int[] shape)
        : this(shape, new double[Size(shape)])
    {
    }

    public int[] Shape { get; } = shape;

    public double[] Data { get; } = data;

    public int Rank => this.Shape.Length;

    public double this[params int[] at]
    {
        get => this.Data[this.Offset(at)];
        set => this.Data[this.Offset(at)] = value;
    }

    public static int Size(IEnumerable<int> shape) => shape.Aggregate(1, (product, size) => product * size);

    /// <summary>Every index of a shape, in row-major order.</summary>
    public static IEnumerable<int[]> Indices(int[] shape)
    {
        var at = new int[shape.Length];
        for (var i = 0; i < Size(shape); i++)
        {
            yield return at;
            for (var axis = shape.Length - 1; axis >= 0 && ++at[axis] == shape[axis]; axis--)
                at[axis] = 0;
        }
    }

    public static Array From(int[] shape, Func<int[], double> value)
    {
        var result = new Array(shape);
        var i = 0;
        foreach (var at in Indices(shape))
            result.Data[i++] = value(at);
        return result;
    }

    /// <summary>The element that broadcasting puts at an index of a larger shape.</summary>
    public double Stretched(int[] at)
    {
        var offset = 0;
        for (var axis = 0; axis < this.Rank; axis++)
            offset = (offset * this.Shape[axis]) + (this.Shape[axis] == 1 ? 0 : at[axis + at.Length - this.Rank]);
        return this.Data[offset];
    }

    /// <summary>Adds to the element that broadcasting would have put at an index of a larger shape.</summary>
    public void AddStretched(int[] at, double value)
    {
        var offset = 0;
        for (var axis = 0; axis < this.Rank; axis++)
            offset = (offset * this.Shape[axis]) + (this.Shape[axis] == 1 ? 0 : at[axis + at.Length - this.Rank]);
        this.Data[offset] += value;
    }

    public Array Reshaped(params int[] shape) => new(shape, this.Data);

    public Array Permuted(params int[] order) => From([.. order.Select(axis => this.Shape[axis])], at =>
    {
        var source = new int[order.Length];
        for (var axis = 0; axis < order.Length; axis++)
            source[order[axis]] = at[axis];
        return this[source];
    });

    public Array Sliced(int axis, int start, int length) => From([.. this.Shape.Select((size, i) => i == axis ? length : size)], at =>
        this[[.. at.Select((place, i) => i == axis ? place + start : place)]]);

    private int Offset(int[] at)
    {
        var offset = 0;
        for (var axis = 0; axis < this.Rank; axis++)
            offset = (offset * this.Shape[axis]) + at[axis];
        return offset;
    }
}
