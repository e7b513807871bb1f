using static TorchSharp.torch;

namespace TorchSharp;

/// <summary>Number by number, with broadcasting and PyTorch's promotion of types.</summary>
internal static partial class ManagedOperators
{
    // Float32 is computed in double and rounded once, which for + - × ÷ and the root is what float32 arithmetic gives.
    private static Dictionary<string, ManagedOperator> Pointwise => new(StringComparer.Ordinal)
    {
        ["neg"] = Unary(x => -x, x => -x),
        ["abs"] = Unary(Math.Abs, Math.Abs),
        ["exp"] = Unary(Math.Exp),
        ["log"] = Unary(Math.Log),
        ["sqrt"] = Unary(Math.Sqrt),
        ["reciprocal"] = Unary(x => 1 / x),
        ["add.Tensor"] = Scaled((x, y) => x + y, (x, y) => x + y),
        ["add.Scalar"] = Scaled((x, y) => x + y, (x, y) => x + y),
        ["sub.Tensor"] = Scaled((x, y) => x - y, (x, y) => x - y),
        ["sub.Scalar"] = Scaled((x, y) => x - y, (x, y) => x - y),
        ["mul.Tensor"] = Binary((x, y) => x * y, (x, y) => x * y),
        ["mul.Scalar"] = Binary((x, y) => x * y, (x, y) => x * y),
        ["div.Tensor"] = Binary((x, y) => x / y),
        ["div.Scalar"] = Binary((x, y) => x / y),
        ["rsub.Scalar"] = Binary((x, y) => y - x, (x, y) => y - x),
        ["maximum"] = Binary(Math.Max, Math.Max),
        ["minimum"] = Binary(Math.Min, Math.Min),
        ["clamp_min"] = Binary(Math.Max, Math.Max),
        ["clamp_max"] = Binary(Math.Min, Math.Min),
        ["eq.Tensor"] = Comparison((x, y) => x == y, (x, y) => x == y),
        ["eq.Scalar"] = Comparison((x, y) => x == y, (x, y) => x == y),
        ["ne.Tensor"] = Comparison((x, y) => x != y, (x, y) => x != y),
        ["ne.Scalar"] = Comparison((x, y) => x != y, (x, y) => x != y),
        ["lt.Tensor"] = Comparison((x, y) => x < y, (x, y) => x < y),
        ["lt.Scalar"] = Comparison((x, y) => x < y, (x, y) => x < y),
        ["le.Tensor"] = Comparison((x, y) => x <= y, (x, y) => x <= y),
        ["le.Scalar"] = Comparison((x, y) => x <= y, (x, y) => x <= y),
        ["gt.Tensor"] = Comparison((x, y) => x > y, (x, y) => x > y),
        ["gt.Scalar"] = Comparison((x, y) => x > y, (x, y) => x > y),
        ["ge.Tensor"] = Comparison((x, y) => x >= y, (x, y) => x >= y),
        ["ge.Scalar"] = Comparison((x, y) => x >= y, (x, y) => x >= y),
        ["isnan"] = Test(double.IsNaN),
        ["isfinite"] = Test(double.IsFinite),
        ["logical_not"] = Test(x => x == 0),
        ["equal"] = a => a.Tensor(0).Shape.AsSpan().SequenceEqual(a.Tensor(1).Shape) && a.Tensor(0).Reals().Zip(a.Tensor(1).Reals()).All(pair => pair.First == pair.Second),
        ["allclose"] = a =>
        {
            var (relative, absolute, nan) = (a.Real(2, 1e-5), a.Real(3, 1e-8), a.Flag(4));
            var shape = Broadcast(a.Tensor(0).Shape, a.Tensor(1).Shape);
            return a.Tensor(0).Expand(shape).Reals().Zip(a.Tensor(1).Expand(shape).Reals()).All(pair =>
                pair.First == pair.Second || Math.Abs(pair.First - pair.Second) <= absolute + (relative * Math.Abs(pair.Second)) || (nan && double.IsNaN(pair.First) && double.IsNaN(pair.Second)));
        },
    };

    /// <summary>PyTorch's order of types: truth values, whole numbers, real numbers; of one kind the wider.</summary>
    private static ScalarType Promoted(ScalarType a, ScalarType b)
    {
        if (Kind(a) != Kind(b))
            return Kind(a) > Kind(b) ? a : b;
        if (a != b && a.ElementSize() == b.ElementSize())
            return a is ScalarType.Float16 or ScalarType.BFloat16 ? ScalarType.Float32 : ScalarType.Int16;
        return a.ElementSize() >= b.ElementSize() ? a : b;
    }

    private static int Kind(ScalarType type) => is_floating_point(type) ? 2 : type == ScalarType.Bool ? 0 : 1;

    /// <summary>A tensor without dimensions does not widen one with, unless it is of a higher kind.</summary>
    private static ScalarType Promoted(ManagedTensor a, ManagedTensor b)
    {
        if (a.Shape.Length > 0 && b.Shape.Length == 0 && Kind(a.Type) >= Kind(b.Type))
            return a.Type;
        if (b.Shape.Length > 0 && a.Shape.Length == 0 && Kind(b.Type) >= Kind(a.Type))
            return b.Type;
        return Promoted(a.Type, b.Type);
    }

    private static long[] Broadcast(long[] a, long[] b)
    {
        var shape = new long[Math.Max(a.Length, b.Length)];
        for (var i = 1; i <= shape.Length; i++)
        {
            var (x, y) = (i <= a.Length ? a[^i] : 1, i <= b.Length ? b[^i] : 1);
            if (x != y && x != 1 && y != 1)
                throw Wrong($"The size of tensor a ({x}) must match the size of tensor b ({y}) at non-singleton dimension {shape.Length - i}");
            shape[^i] = x == 1 ? y : x;
        }
        return shape;
    }

    private static ManagedOperator Unary(Func<double, double> real, Func<long, long>? whole = null) => a =>
    {
        var x = a.Tensor(0);
        if (is_floating_point(x.Type))
            return ManagedTensor.Of(Array.ConvertAll(x.Reals(), value => real(value)), x.Type, x.Shape);
        return whole is null
            ? ManagedTensor.Of(Array.ConvertAll(x.Reals(), value => real(value)), ScalarType.Float32, x.Shape)
            : ManagedTensor.Of(Array.ConvertAll(x.Integers(), value => whole(value)), x.Type, x.Shape);
    };

    /// <summary>Without <paramref name="whole"/>, whole numbers become real ones.</summary>
    private static ManagedOperator Binary(Func<double, double, double> real, Func<long, long, long>? whole = null) => a => Combined(a.Tensor(0), Second(a), real, whole);

    /// <summary>With a factor for the second argument.</summary>
    private static ManagedOperator Scaled(Func<double, double, double> real, Func<long, long, long> whole) => a =>
    {
        if (!a.Has(2))
            return Combined(a.Tensor(0), Second(a), real, whole);
        var factor = a.Number(2, Promoted(a.Tensor(0), Second(a)));
        return Combined(a.Tensor(0), Combined(Second(a), factor, (x, y) => x * y, (x, y) => x * y), real, whole);
    };

    private static ManagedOperator Comparison(Func<double, double, bool> real, Func<long, long, bool> whole) => a =>
    {
        var (x, y) = (a.Tensor(0), Second(a));
        var type = Promoted(x, y);
        var shape = Broadcast(x.Shape, y.Shape);
        var result = is_floating_point(type)
            ? Pairs(In(x, type).Expand(shape).Reals(), In(y, type).Expand(shape).Reals(), (p, q) => real(p, q) ? 1L : 0)
            : Pairs(x.Expand(shape).Integers(), y.Expand(shape).Integers(), (p, q) => whole(p, q) ? 1L : 0);
        return ManagedTensor.Of(result, ScalarType.Bool, shape);
    };

    private static ManagedOperator Test(Func<double, bool> test) => a =>
        ManagedTensor.Of(Array.ConvertAll(a.Tensor(0).Reals(), value => test(value) ? 1L : 0), ScalarType.Bool, a.Tensor(0).Shape);

    private static ManagedTensor Second(ManagedArguments a) => a.IsTensor(1) ? a.Tensor(1) : a.Number(1, a.Tensor(0).Type);

    private static ManagedTensor Combined(ManagedTensor x, ManagedTensor y, Func<double, double, double> real, Func<long, long, long>? whole)
    {
        var type = Promoted(x, y);
        var shape = Broadcast(x.Shape, y.Shape);
        if (!is_floating_point(type) && whole is not null)
            return ManagedTensor.Of(Pairs(x.Expand(shape).Integers(), y.Expand(shape).Integers(), whole), type, shape);
        if (!is_floating_point(type))
            type = ScalarType.Float32;
        return ManagedTensor.Of(Pairs(In(x, type).Expand(shape).Reals(), In(y, type).Expand(shape).Reals(), real), type, shape);
    }

    private static ManagedTensor In(ManagedTensor tensor, ScalarType type) => tensor.Type == type ? tensor : tensor.Converted(type);

    private static TResult[] Pairs<T, TResult>(T[] x, T[] y, Func<T, T, TResult> combine)
    {
        var result = new TResult[x.Length];
        for (var i = 0; i < result.Length; i++)
            result[i] = combine(x[i], y[i]);
        return result;
    }
}
