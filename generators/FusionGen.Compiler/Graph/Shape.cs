namespace FusionGen.Compiler.Graph;

/// <summary>A dimension: a constant, or a constant multiple of the batch.</summary>
/// <param name="Size">The constant.</param>
/// <param name="Batch">Whether it multiplies the batch.</param>
public readonly record struct Dim(int Size, bool Batch = false)
{
    /// <inheritdoc/>
    public override string ToString() => !this.Batch ? Text.Invariant(this.Size) : this.Size == 1 ? "B" : $"{Text.Invariant(this.Size)}B";
}

/// <summary>Dimensions of a value; the batch, where there is one, is part of the first.</summary>
public sealed record Shape(EquatableArray<Dim> Dims)
{
    /// <summary>Number of dimensions.</summary>
    public int Rank => this.Dims.Count;

    /// <summary>Whether the value differs from image to image; otherwise it depends on parameters only.</summary>
    public bool IsPerSample => this.Rank > 0 && this.Dims[0].Batch;

    /// <summary>Elements in all, or of one image.</summary>
    public long Elements { get; } = ElementsOf(Dims);

    /// <summary>Size of the last dimension.</summary>
    public int Last => this.Dims[this.Rank - 1].Size;

    /// <summary>A dimension, counted from the end when negative.</summary>
    public Dim this[int axis] => this.Dims[axis < 0 ? axis + this.Rank : axis];

    /// <summary>A shape without a batch.</summary>
    public static Shape Of(params int[] sizes) => new(new EquatableArray<Dim>(Array.ConvertAll(sizes, size => new Dim(size))));

    /// <summary>A shape whose first dimension is <paramref name="multiple"/> × batch.</summary>
    public static Shape Batched(int multiple, params int[] sizes)
    {
        var dims = new Dim[sizes.Length + 1];
        dims[0] = new Dim(multiple, Batch: true);
        for (var i = 0; i < sizes.Length; i++)
            dims[i + 1] = new Dim(sizes[i]);
        return new Shape(new EquatableArray<Dim>(dims));
    }

    /// <summary>The shape with one dimension replaced.</summary>
    public Shape With(int axis, int size)
    {
        axis = axis < 0 ? axis + this.Rank : axis;
        if (this.Dims[axis].Size == size)
            return this;
        var dims = new Dim[this.Rank];
        for (var i = 0; i < dims.Length; i++)
            dims[i] = this.Dims[i];
        dims[axis] = dims[axis] with { Size = size };
        return new Shape(new EquatableArray<Dim>(dims));
    }

    /// <summary>The first dimensions, and more after them.</summary>
    public Shape Take(int count, params Dim[] more)
    {
        var dims = new Dim[count + more.Length];
        for (var i = 0; i < count; i++)
            dims[i] = this.Dims[i];
        more.CopyTo(dims, count);
        return new Shape(new EquatableArray<Dim>(dims));
    }

    /// <summary>The shape without one dimension.</summary>
    public Shape Without(int axis)
    {
        axis = axis < 0 ? axis + this.Rank : axis;
        var dims = new Dim[this.Rank - 1];
        for (var i = 0; i < dims.Length; i++)
            dims[i] = this.Dims[i < axis ? i : i + 1];
        return new Shape(new EquatableArray<Dim>(dims));
    }

    /// <inheritdoc/>
    public override string ToString() => $"({string.Join(", ", this.Dims.Select(dim => dim.ToString()))})";

    /// <inheritdoc/>
    public bool Equals(Shape? other) => ReferenceEquals(this, other) || (other is not null && this.Elements == other.Elements && this.Dims == other.Dims);

    /// <inheritdoc/>
    public override int GetHashCode() => this.Elements.GetHashCode();

    /// <summary>NumPy's broadcasting.</summary>
    public static Shape Broadcast(Shape a, Shape b)
    {
        if (Covers(a, b))
            return a;
        if (Covers(b, a))
            return b;
        var rank = Math.Max(a.Rank, b.Rank);
        var dims = new Dim[rank];
        for (var i = 1; i <= rank; i++)
        {
            var x = i <= a.Rank ? a.Dims[a.Rank - i] : new Dim(1);
            var y = i <= b.Rank ? b.Dims[b.Rank - i] : new Dim(1);
            dims[rank - i] = x == y || y == new Dim(1) ? x : x == new Dim(1) ? y : throw new ShapeException($"{a} does not broadcast with {b}");
        }
        return new Shape(new EquatableArray<Dim>(dims));
    }

    /// <summary>Whether broadcasting a shape with another leaves it as it is.</summary>
    private static bool Covers(Shape shape, Shape other)
    {
        var missing = shape.Rank - other.Rank;
        for (var i = 0; i < other.Rank && missing >= 0; i++)
        {
            if (other.Dims[i] != shape.Dims[i + missing] && other.Dims[i] != new Dim(1))
                return false;
        }
        return missing >= 0;
    }

    private static long ElementsOf(EquatableArray<Dim> dims)
    {
        var product = 1L;
        for (var i = 0; i < dims.Count; i++)
            product *= dims[i].Size;
        return product;
    }
}

/// <summary>An operation was given shapes that do not fit.</summary>
public sealed class ShapeException(string message) : Exception(message)
{
    /// <summary>Name of the operator that asked for it; empty for the backbone.</summary>
    public string Operator { get; init; } = "";
}
