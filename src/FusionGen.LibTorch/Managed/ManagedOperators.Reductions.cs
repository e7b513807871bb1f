using static TorchSharp.torch;

namespace TorchSharp;

/// <summary>What runs along dimensions. Real numbers are added up in double.</summary>
internal static partial class ManagedOperators
{
    private static Dictionary<string, ManagedOperator> Reductions => new(StringComparer.Ordinal)
    {
        ["sum"] = a => Sum(a.Tensor(0), [], false, a.Type(1, SumType(a.Tensor(0).Type))),
        ["sum.dim_IntList"] = a => Sum(a.Tensor(0), a.Integers(1), a.Flag(2), a.Type(3, SumType(a.Tensor(0).Type))),
        ["mean"] = a => Mean(a.Tensor(0), [], false, a.Type(1, a.Tensor(0).Type)),
        ["mean.dim"] = a => Mean(a.Tensor(0), a.Integers(1), a.Flag(2), a.Type(3, a.Tensor(0).Type)),
        ["norm.Scalar"] = a => a.Real(1, 2) == 2
            ? Reduced(a.Tensor(0), [], false, a.Tensor(0).Type, row => Math.Sqrt(Sum(row, x => x * x)))
            : throw LibTorch.Needed($"a norm of order {a.Real(1)}"),
        ["max"] = a => Reduced(a.Tensor(0), [], false, a.Tensor(0).Type, row => row[Best(row, 1)]),
        ["min"] = a => Reduced(a.Tensor(0), [], false, a.Tensor(0).Type, row => row[Best(row, -1)]),
        ["max.dim"] = a => Extreme(a, 1),
        ["min.dim"] = a => Extreme(a, -1),
        ["argmax"] = a => Reduced(a.Tensor(0), a.Has(1) ? [a.Integer(1)] : [], a.Flag(2), ScalarType.Int64, row => Best(row, 1)),
        ["argmin"] = a => Reduced(a.Tensor(0), a.Has(1) ? [a.Integer(1)] : [], a.Flag(2), ScalarType.Int64, row => Best(row, -1)),
        ["all"] = a => Reduced(a.Tensor(0), [], false, ScalarType.Bool, row => row.IndexOf(0.0) < 0 ? 1 : 0),
        ["any"] = a => Reduced(a.Tensor(0), [], false, ScalarType.Bool, row => row.ContainsAnyExcept(0.0) ? 1 : 0),
        ["softmax.int"] = a => Along(a.Tensor(0), a.Integer(1), a.Type(2, a.Tensor(0).Type), row =>
        {
            var most = row[Best(row, 1)];
            foreach (ref var x in row)
                x = Math.Exp(x - most);
            var total = Sum(row, x => x);
            foreach (ref var x in row)
                x /= total;
        }),
        ["log_softmax.int"] = a => Along(a.Tensor(0), a.Integer(1), a.Type(2, a.Tensor(0).Type), row =>
        {
            var most = row[Best(row, 1)];
            var log = most + Math.Log(Sum(row, x => Math.Exp(x - most)));
            foreach (ref var x in row)
                x -= log;
        }),
    };

    private delegate double RowToNumber(Span<double> row);

    private delegate void RowToRow(Span<double> row);

    private static ScalarType SumType(ScalarType type) => is_floating_point(type) ? type : ScalarType.Int64;

    private static double Sum(ReadOnlySpan<double> row, Func<double, double> of)
    {
        var sum = 0.0;
        foreach (var x in row)
            sum += of(x);
        return sum;
    }

    private static ManagedTensor Sum(ManagedTensor tensor, long[] dims, bool keep, ScalarType type)
    {
        if (is_floating_point(tensor.Type))
            return Reduced(tensor, dims, keep, type, row => Sum(row, x => x));
        // Whole numbers beyond 2^53 do not fit a double.
        var (moved, shape, length) = Rows(tensor, dims, keep);
        var values = moved.Integers();
        return ManagedTensor.Of([.. Enumerable.Range(0, (int)ManagedTensor.CountOf(shape)).Select(i => values.AsSpan(i * length, length).ToArray().Sum())], type, shape);
    }

    private static ManagedTensor Mean(ManagedTensor tensor, long[] dims, bool keep, ScalarType type) => is_floating_point(type)
        ? Reduced(tensor, dims, keep, type, row => Sum(row, x => x) / row.Length)
        : throw Wrong("mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype.");

    /// <summary>Place of the largest or smallest entry, of equals the first; a NaN is both.</summary>
    private static int Best(ReadOnlySpan<double> row, int sign)
    {
        if (row.IsEmpty)
            throw Wrong("a reduction over no elements has no identity");
        var best = 0;
        for (var i = 1; i < row.Length && !double.IsNaN(row[best]); i++)
        {
            if (double.IsNaN(row[i]) || sign * row[i] > sign * row[best])
                best = i;
        }
        return best;
    }

    private static object Extreme(ManagedArguments a, int sign)
    {
        var (tensor, dims, keep) = (a.Tensor(0), new[] { a.Integer(1) }, a.Flag(2));
        return (Reduced(tensor, dims, keep, tensor.Type, row => row[Best(row, sign)]), Reduced(tensor, dims, keep, ScalarType.Int64, row => Best(row, sign)));
    }

    private static ManagedTensor Reduced(ManagedTensor tensor, long[] dims, bool keep, ScalarType type, RowToNumber reduce)
    {
        var (moved, shape, length) = Rows(tensor, dims, keep);
        var values = moved.Reals();
        var results = new double[ManagedTensor.CountOf(shape)];
        for (var i = 0; i < results.Length; i++)
            results[i] = reduce(values.AsSpan(i * length, length));
        return ManagedTensor.Of(results, type, shape);
    }

    /// <summary>The tensor with what is reduced last, the shape of the result and the length of a row. No dimensions are all.</summary>
    private static (ManagedTensor Moved, long[] Shape, int Length) Rows(ManagedTensor tensor, long[] dims, bool keep)
    {
        var rank = tensor.Shape.Length;
        var reduced = dims.Length == 0 ? [.. Enumerable.Range(0, rank)] : Array.ConvertAll(dims, dim => Wrap(dim, rank));
        if (rank == 0)
            return (tensor, [], 1);
        var kept = Enumerable.Range(0, rank).Except(reduced).ToArray();
        var shape = keep
            ? tensor.Shape.Select((size, i) => reduced.Contains(i) ? 1 : size).ToArray()
            : Array.ConvertAll(kept, i => tensor.Shape[i]);
        return (Permuted(tensor, [.. kept, .. reduced]), shape, (int)ManagedTensor.CountOf(Array.ConvertAll(reduced, i => tensor.Shape[i])));
    }

    private static ManagedTensor Along(ManagedTensor tensor, long dim, ScalarType type, RowToRow change)
    {
        if (tensor.Shape.Length == 0)
            return Along(tensor.View(1L), 0, type, change).View();
        var at = Wrap(dim, tensor.Shape.Length);
        var last = tensor.Shape.Length - 1;
        var order = Enumerable.Range(0, last + 1).Where(i => i != at).Append(at).ToArray();
        var moved = Permuted(tensor, order);
        var values = moved.Reals();
        var length = (int)tensor.Shape[at];
        for (var start = 0; start < values.Length; start += length)
            change(values.AsSpan(start, length));
        var result = ManagedTensor.Of(values, type, moved.Shape);
        return Permuted(result, [.. Enumerable.Range(0, last + 1).Select(i => Array.IndexOf(order, i))]).Contiguous();
    }
}
