using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FusionGen.Kernels;

/// <summary>
/// A copy between two N-dimensional boxes, each anywhere in its buffer and with strides of its own. Permuting, slicing, joining, rolling, padding and
/// repeating (stride 0 in the source) are such copies, and so are their gradients, with the sides exchanged and the values added.
/// </summary>
public static class StridedCopy
{
    private const int LargestRank = 8;

    /// <summary>target[Σ iₖ·targetStridesₖ] = source[Σ iₖ·sourceStridesₖ] for all i in the box, or += that.</summary>
    /// <param name="shape">The box, at most 8 dimensions.</param>
    /// <param name="source">From the box's first entry on.</param>
    /// <param name="sourceStrides">Floats between neighbours, per dimension; not negative.</param>
    /// <param name="target">From the box's first entry on.</param>
    /// <param name="targetStrides">Floats between neighbours, per dimension; not negative. 0 sums over the dimension if the values are added.</param>
    /// <param name="accumulate">Whether to add to the target.</param>
    public static void Copy(
        ReadOnlySpan<int> shape, ReadOnlySpan<float> source, ReadOnlySpan<int> sourceStrides, Span<float> target, ReadOnlySpan<int> targetStrides, bool accumulate = false)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(shape.Length, LargestRank);
        Check.Room(source, Extent(shape, sourceStrides));
        Check.Room(target, Extent(shape, targetStrides));
        // Dimensions of one entry vanish, and neighbours that follow each other without a gap on both sides become one: long rows copy fastest.
        Span<int> sizes = stackalloc int[LargestRank + 1];
        Span<int> from = stackalloc int[LargestRank + 1];
        Span<int> to = stackalloc int[LargestRank + 1];
        (sizes[0], from[0], to[0]) = (1, 0, 0);
        var last = 0;
        for (var i = 0; i < shape.Length; i++)
        {
            if (shape[i] == 0)
                return;
            if (shape[i] == 1)
                continue;
            var joins = sizes[last] == 1 || (from[last] == sourceStrides[i] * shape[i] && to[last] == targetStrides[i] * shape[i]);
            if (!joins)
                sizes[++last] = 1;
            (sizes[last], from[last], to[last]) = (sizes[last] * shape[i], sourceStrides[i], targetStrides[i]);
        }
        Walk(sizes[..(last + 1)], source, from, target, to, accumulate);
    }

    private static long Extent(ReadOnlySpan<int> shape, ReadOnlySpan<int> strides)
    {
        if (strides.Length != shape.Length)
            throw new ArgumentException($"{strides.Length} strides for {shape.Length} dimensions", nameof(strides));
        long end = 1;
        for (var i = 0; i < shape.Length; i++)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(shape[i], nameof(shape));
            ArgumentOutOfRangeException.ThrowIfNegative(strides[i], nameof(strides));
            if (shape[i] == 0)
                return 0;
            end += (shape[i] - 1L) * strides[i];
        }
        return end;
    }

    private static void Walk(
        ReadOnlySpan<int> sizes, ReadOnlySpan<float> source, ReadOnlySpan<int> from, Span<float> target, ReadOnlySpan<int> to, bool accumulate)
    {
        if (sizes.Length == 1)
        {
            Row(sizes[0], source, from[0], target, to[0], accumulate);
            return;
        }
        for (var i = 0; i < sizes[0]; i++)
            Walk(sizes[1..], source[(i * from[0])..], from[1..], target[(i * to[0])..], to[1..], accumulate);
    }

    private static void Row(int count, ReadOnlySpan<float> source, int from, Span<float> target, int to, bool accumulate)
    {
        if (count == 1 || (from == 1 && to == 1))
        {
            if (accumulate)
                Elementwise.Accumulate(source[..count], target[..count]);
            else
                source[..count].CopyTo(target);
            return;
        }
        ref var x = ref MemoryMarshal.GetReference(source);
        ref var y = ref MemoryMarshal.GetReference(target);
        for (nint i = 0; i < count; i++)
        {
            ref var place = ref Unsafe.Add(ref y, i * to);
            var value = Unsafe.Add(ref x, i * from);
            place = accumulate ? place + value : value;
        }
    }
}
