using System.Collections;

namespace FusionGen.Compiler;

/// <summary>An immutable array that is equal to another when its elements are, as incremental generators need.</summary>
public readonly struct EquatableArray<T>(T[] items) : IEquatable<EquatableArray<T>>, IReadOnlyList<T>
    where T : IEquatable<T>
{
    private readonly T[]? items = items;

    /// <summary>The array without elements.</summary>
    // An empty value of a generic value type reads best as a member of the type itself.
#pragma warning disable CA1000
    public static EquatableArray<T> Empty => new([]);
#pragma warning restore CA1000

    /// <inheritdoc/>
    public int Count => this.items?.Length ?? 0;

    /// <inheritdoc/>
    public T this[int index] => this.items![index];

    /// <inheritdoc/>
    public bool Equals(EquatableArray<T> other)
    {
        if (ReferenceEquals(this.items, other.items))
            return true;
        if (this.Count != other.Count)
            return false;
        for (var i = 0; i < this.Count; i++)
        {
            if (!EqualityComparer<T>.Default.Equals(this.items![i], other.items![i]))
                return false;
        }
        return true;
    }

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is EquatableArray<T> other && this.Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = 17;
        foreach (var item in this.items ?? [])
            hash = unchecked((hash * 31) + item.GetHashCode());
        return hash;
    }

    /// <inheritdoc/>
    public IEnumerator<T> GetEnumerator() => ((IEnumerable<T>)(this.items ?? [])).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => this.GetEnumerator();

    /// <summary>Element-wise equality.</summary>
    public static bool operator ==(EquatableArray<T> left, EquatableArray<T> right) => left.Equals(right);

    /// <summary>Element-wise inequality.</summary>
    public static bool operator !=(EquatableArray<T> left, EquatableArray<T> right) => !left.Equals(right);
}

/// <summary>Creates <see cref="EquatableArray{T}"/>s.</summary>
public static class EquatableArray
{
    /// <summary>An array of the given elements.</summary>
    public static EquatableArray<T> Of<T>(params T[] items)
        where T : IEquatable<T> => new(items);

    /// <summary>Copies a sequence.</summary>
    public static EquatableArray<T> ToEquatableArray<T>(this IEnumerable<T> items)
        where T : IEquatable<T> => new([.. items]);
}
