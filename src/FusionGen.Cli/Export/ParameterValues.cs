using FusionGen.Compiler.Graph;

namespace FusionGen.Cli.Export;

/// <summary>What depends on parameters alone, in float64 and row-major, each value once: the few operations that <c>Merging</c> leaves behind.</summary>
/// <param name="parameter">Numbers of a parameter.</param>
internal sealed class ParameterValues(Func<ParameterOp, double[]> parameter)
{
    private readonly Dictionary<Value, double[]> known = [];

    /// <summary>Numbers of a value.</summary>
    /// <exception cref="NotSupportedException">It takes an operation that no fold produces.</exception>
    public double[] Of(Value value)
    {
        if (!this.known.TryGetValue(value, out var numbers))
            this.known.Add(value, numbers = value.Op is ParameterOp leaf ? parameter(leaf) : Compute(value, [.. value.Inputs.Select(input => new Array(Sizes(input.Shape), this.Of(input)))]));
        return numbers;
    }

    private static double[] Compute(Value value, Array[] x)
    {
        var sizes = Sizes(value.Shape);
        switch (value.Op)
        {
            case AddOp:
                return x.Skip(1).Aggregate(x[0].Stretched(sizes), (sum, summand) => Zip(sum, summand.Stretched(sizes), (a, b) => a + b));
            case MulOp:
                return Zip(x[0].Stretched(sizes), x[1].Stretched(sizes), (a, b) => a * b);
            case MulAddOp:
                return Zip(Zip(x[0].Stretched(sizes), x[1].Stretched(sizes), (a, b) => a * b), x[2].Stretched(sizes), (a, b) => a + b);
            case ScaleOp op:
                return System.Array.ConvertAll(x[0].Data, a => (a * op.Factor) + op.Offset);
            case UnaryOp { Kind: UnaryKind.Sigmoid }:
                return System.Array.ConvertAll(x[0].Data, Sigmoid);
            case UnaryOp { Kind: UnaryKind.Silu }:
                return System.Array.ConvertAll(x[0].Data, a => a * Sigmoid(a));
            case ReshapeOp:
                return x[0].Data;
            case BroadcastToOp:
                return x[0].Stretched(sizes);
            case LinearOp { Bias: false }:
                return Product(x[0], x[1], transpose: true);
            case LinearOp:
                return Zip(Product(x[0], x[1], transpose: true), x[2].Stretched(sizes), (a, b) => a + b);
            case MatMulOp { TransposeA: false } op when sizes.Length == 2:
                return Product(x[0], x[1], op.TransposeB);
            case LayerNormOp op:
                var normed = Norm(x[0], op.Epsilon);
                return op.Affine ? Zip(Zip(normed, x[1].Stretched(sizes), (a, b) => a * b), x[2].Stretched(sizes), (a, b) => a + b) : normed;
            case MeanOp op:
                return Mean(x[0], op);
            case SliceOp op:
                return Rows(x[0], op.Axis, sizes, op.Start, 0, op.Length);
            case SelectOp op:
                return Rows(x[0], op.Axis, [.. x[0].Sizes.Select((size, axis) => axis == op.Axis ? 1 : size)], op.Index, 0, 1);
            case EmbedOp op:
                return Rows(x[0], op.Axis, sizes, 0, op.Start, x[0].Sizes[op.Axis]);
            default:
                throw new NotSupportedException($"{value.Op} among parameters");
        }
    }

    private static int[] Sizes(Shape shape) => [.. shape.Dims.Select(dim => dim.Size)];

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    private static double[] Zip(double[] a, double[] b, Func<double, double, double> function)
    {
        var result = new double[a.Length];
        for (var i = 0; i < result.Length; i++)
            result[i] = function(a[i], b[i]);
        return result;
    }

    private static double[] Product(Array a, Array b, bool transpose)
    {
        var depth = a.Sizes[^1];
        var (rows, columns) = (a.Data.Length / depth, b.Sizes[transpose ? 0 : 1]);
        var result = new double[rows * columns];
        for (var i = 0; i < rows; i++)
        {
            for (var k = 0; k < depth; k++)
            {
                var factor = a.Data[(i * depth) + k];
                for (var j = 0; j < columns; j++)
                    result[(i * columns) + j] += factor * b.Data[transpose ? (j * depth) + k : (k * columns) + j];
            }
        }
        return result;
    }

    private static double[] Norm(Array x, double epsilon)
    {
        var (width, result) = (x.Sizes[^1], new double[x.Data.Length]);
        for (var start = 0; start < result.Length; start += width)
        {
            var row = x.Data.AsSpan(start, width);
            double mean = 0, variance = 0;
            foreach (var number in row)
                mean += number / width;
            foreach (var number in row)
                variance += (number - mean) * (number - mean) / width;
            for (var i = 0; i < width; i++)
                result[start + i] = (row[i] - mean) / Math.Sqrt(variance + epsilon);
        }
        return result;
    }

    private static double[] Mean(Array x, MeanOp op)
    {
        var (inner, count) = (x.Sizes.Skip(op.Axis + 1).Aggregate(1, (product, size) => product * size), x.Sizes[op.Axis]);
        var result = new double[x.Data.Length / count];
        for (var i = 0; i < result.Length; i++)
        {
            for (var k = op.Start; k < count; k++)
                result[i] += x.Data[(((i / inner * count) + k) * inner) + (i % inner)] / (count - op.Start);
        }
        return result;
    }

    /// <summary>Copies some places of an axis into an array of zeros.</summary>
    private static double[] Rows(Array x, int axis, int[] sizes, int from, int to, int count)
    {
        var inner = x.Sizes.Skip(axis + 1).Aggregate(1, (product, size) => product * size);
        var outer = x.Sizes.Take(axis).Aggregate(1, (product, size) => product * size);
        var result = new double[outer * sizes[axis] * inner];
        for (var i = 0; i < outer; i++)
            System.Array.Copy(x.Data, ((i * x.Sizes[axis]) + from) * inner, result, ((i * sizes[axis]) + to) * inner, count * inner);
        return result;
    }

    private sealed record Array(int[] Sizes, double[] Data)
    {
        /// <summary>The numbers repeated to a larger shape, as broadcasting does.</summary>
        public double[] Stretched(int[] sizes)
        {
            if (this.Sizes.SequenceEqual(sizes))
                return this.Data;
            var steps = new int[sizes.Length];
            for (int axis = this.Sizes.Length - 1, step = 1; axis >= 0; step *= this.Sizes[axis--])
                steps[axis + sizes.Length - this.Sizes.Length] = this.Sizes[axis] == 1 ? 0 : step;
            var result = new double[sizes.Aggregate(1, (product, size) => product * size)];
            for (var i = 0; i < result.Length; i++)
            {
                var (rest, at) = (i, 0);
                for (var axis = sizes.Length - 1; axis >= 0; rest /= sizes[axis--])
                    at += rest % sizes[axis] * steps[axis];
                result[i] = this.Data[at];
            }
            return result;
        }
    }
}
