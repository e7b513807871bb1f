namespace TorchSharp;

/// <summary>Views, which share their storage, and joins, which do not.</summary>
internal static partial class ManagedOperators
{
    private static Dictionary<string, ManagedOperator> Views => new(StringComparer.Ordinal)
    {
        ["alias"] = a => Alias(a.Tensor(0)),
        ["detach"] = a => Alias(a.Tensor(0)),
        ["detach_"] = a => a.Tensor(0),
        ["view"] = a => a.Tensor(0).IsContiguous
            ? Reshaped(a.Tensor(0), a.Integers(1))
            : throw Wrong("view size is not compatible with input tensor's size and stride; use .reshape(...) instead"),
        ["reshape"] = a => Reshaped(a.Tensor(0).Contiguous(), a.Integers(1)),
        ["flatten.using_ints"] = a =>
        {
            var tensor = a.Tensor(0).Contiguous();
            var (first, last) = (Wrap(a.Integer(1), tensor.Shape.Length), Wrap(a.Integer(2, -1), tensor.Shape.Length));
            return tensor.Shape.Length == 0
                ? tensor.View(1L)
                : tensor.View([.. tensor.Shape[..first], ManagedTensor.CountOf(tensor.Shape.AsSpan(first, last - first + 1)), .. tensor.Shape[(last + 1)..]]);
        },
        ["unsqueeze"] = a =>
        {
            var tensor = a.Tensor(0);
            var at = Wrap(a.Integer(1), tensor.Shape.Length + 1);
            return tensor.View([.. tensor.Shape[..at], 1, .. tensor.Shape[at..]], [.. tensor.Strides[..at], 1, .. tensor.Strides[at..]], tensor.Offset);
        },
        ["squeeze"] = a => Squeezed(a.Tensor(0), _ => true),
        ["squeeze.dim"] = a =>
        {
            var at = Wrap(a.Integer(1), a.Tensor(0).Shape.Length);
            return Squeezed(a.Tensor(0), i => i == at);
        },
        ["t"] = a => a.Tensor(0).Shape.Length < 2 ? Alias(a.Tensor(0)) : Permuted(a.Tensor(0), [1, 0]),
        ["transpose.int"] = a =>
        {
            var order = Enumerable.Range(0, a.Tensor(0).Shape.Length).ToArray();
            var (first, second) = (Wrap(a.Integer(1), order.Length), Wrap(a.Integer(2), order.Length));
            (order[first], order[second]) = (order[second], order[first]);
            return Permuted(a.Tensor(0), order);
        },
        ["permute"] = a =>
        {
            var rank = a.Tensor(0).Shape.Length;
            return Permuted(a.Tensor(0), Array.ConvertAll(a.Integers(1), dim => Wrap(dim, rank)));
        },
        ["expand"] = a =>
        {
            var tensor = a.Tensor(0);
            var sizes = a.Integers(1);
            return tensor.Expand([.. sizes.Select((size, i) => size < 0 ? tensor.Shape[i - sizes.Length + tensor.Shape.Length] : size)]);
        },
        ["narrow"] = a => Sliced(a.Tensor(0), a.Integer(1), a.Integer(2), a.Integer(3)),
        ["slice.Tensor"] = a =>
        {
            var tensor = a.Tensor(0);
            var size = tensor.Shape[Wrap(a.Integer(1), tensor.Shape.Length)];
            long Clamped(long at) => Math.Clamp(at < 0 ? at + size : at, 0, size);
            var (start, stop, step) = (Clamped(a.Integer(2)), Clamped(a.Integer(3, size)), a.Integer(4, 1));
            return Sliced(tensor, a.Integer(1), start, Math.Max(0, (stop - start + step - 1) / step), step);
        },
        ["select.int"] = a =>
        {
            var tensor = a.Tensor(0);
            var at = Wrap(a.Integer(1), tensor.Shape.Length);
            var index = a.Integer(2) < 0 ? a.Integer(2) + tensor.Shape[at] : a.Integer(2);
            var one = Sliced(tensor, at, index, 1);
            return one.View([.. one.Shape[..at], .. one.Shape[(at + 1)..]], [.. one.Strides[..at], .. one.Strides[(at + 1)..]], one.Offset);
        },
        ["as_strided"] = a => a.Tensor(0).View(a.Integers(1), a.Integers(2), a.Integer(3, a.Tensor(0).Offset)),
        ["cat"] = a => Joined(a.Tensors(0), a.Integer(1)),
        ["stack"] = a =>
        {
            var at = Wrap(a.Integer(1), a.Tensors(0)[0].Shape.Length + 1);
            return Joined(Array.ConvertAll(a.Tensors(0), tensor => tensor.View([.. tensor.Shape[..at], 1, .. tensor.Shape[at..]], [.. tensor.Strides[..at], 1, .. tensor.Strides[at..]], tensor.Offset)), at);
        },
        ["index_select"] = a =>
        {
            var (tensor, indices) = (a.Tensor(0), a.Tensor(2).Integers());
            var at = Wrap(a.Integer(1), tensor.Shape.Length);
            return Joined([.. indices.Select(index => Sliced(tensor, at, index, 1))], at, [.. tensor.Shape[..at], 0, .. tensor.Shape[(at + 1)..]], tensor.Type);
        },
    };

    private static ManagedTensor Alias(ManagedTensor tensor) => tensor.View(tensor.Shape, tensor.Strides, tensor.Offset);

    private static ManagedTensor Reshaped(ManagedTensor tensor, long[] wanted)
    {
        var shape = (long[])wanted.Clone();
        var unknown = Array.IndexOf(shape, -1);
        if (unknown >= 0)
            shape[unknown] = tensor.Count / Math.Max(1, -ManagedTensor.CountOf(shape));
        return ManagedTensor.CountOf(shape) == tensor.Count
            ? tensor.View(shape)
            : throw Wrong($"shape '[{string.Join(", ", wanted)}]' is invalid for input of size {tensor.Count}");
    }

    private static ManagedTensor Squeezed(ManagedTensor tensor, Func<int, bool> which)
    {
        var kept = Enumerable.Range(0, tensor.Shape.Length).Where(i => tensor.Shape[i] != 1 || !which(i)).ToArray();
        return tensor.View([.. kept.Select(i => tensor.Shape[i])], [.. kept.Select(i => tensor.Strides[i])], tensor.Offset);
    }

    private static ManagedTensor Permuted(ManagedTensor tensor, int[] order) =>
        tensor.View(Array.ConvertAll(order, i => tensor.Shape[i]), Array.ConvertAll(order, i => tensor.Strides[i]), tensor.Offset);

    private static ManagedTensor Sliced(ManagedTensor tensor, long dim, long start, long length, long step = 1)
    {
        var at = Wrap(dim, tensor.Shape.Length);
        if (start < 0 || length < 0 || (length > 0 && start + ((length - 1) * step) >= tensor.Shape[at]))
            throw Wrong($"start ({start}) + length ({length}) exceeds dimension size ({tensor.Shape[at]}).");
        var (shape, strides) = ((long[])tensor.Shape.Clone(), (long[])tensor.Strides.Clone());
        (shape[at], strides[at]) = (length, strides[at] * step);
        return tensor.View(shape, strides, tensor.Offset + (start * tensor.Strides[at]));
    }

    private static ManagedTensor Joined(ManagedTensor[] parts, long dim) =>
        Joined(parts, Wrap(dim, parts[0].Shape.Length), parts[0].Shape, parts.Select(part => part.Type).Aggregate(Promoted));

    private static ManagedTensor Joined(ManagedTensor[] parts, int at, long[] like, torch.ScalarType type)
    {
        var shape = (long[])like.Clone();
        shape[at] = parts.Sum(part => part.Shape[at]);
        var result = ManagedTensor.Empty(type, shape);
        var start = 0L;
        foreach (var part in parts)
        {
            if (part.Shape.Length != shape.Length || part.Shape.Where((size, i) => i != at && size != shape[i]).Any())
                throw Wrong($"Sizes of tensors must match except in dimension {at}.");
            Sliced(result, at, start, part.Shape[at]).CopyFrom(part);
            start += part.Shape[at];
        }
        return result;
    }
}
