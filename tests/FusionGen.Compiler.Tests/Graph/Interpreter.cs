using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Tests.Graph;

/// <summary>
/// What every operation means, in float64 and plain loops: the third definition of the operations, which passes are proved against.
/// Gradient operations are defined by their forward ones (numerically where that is the whole point is left to the tests).
/// </summary>
internal sealed class Interpreter(int batch, Func<Value, Array> leaf, bool isTraining = false)
{
    private readonly Dictionary<Value, Array> known = [];
    private readonly Dictionary<Value, Array[]> parts = [];

    /// <summary>Images of the batch.</summary>
    public int Batch { get; } = batch;

    /// <summary>The array of a value; what it depends on is computed first.</summary>
    public Array this[Value value]
    {
        get
        {
            if (!this.known.TryGetValue(value, out var array))
            {
                this.known.Add(value, array = this.Compute(value));
                Assert.That(array.Shape, Is.EqualTo(this.Sizes(value.Shape)), value.Op.ToString());
            }
            return array;
        }
    }

    public int[] Sizes(Shape shape) => [.. shape.Dims.Select(dim => dim.Batch ? dim.Size * this.Batch : dim.Size)];

    private Array Compute(Value value)
    {
        if (value.Op is ParameterOp or InputOp or MixtureOp)
            return leaf(value);
        if (value.Op is PartOp part)
        {
            _ = this[value.Inputs[0]];
            return this.parts[value.Inputs[0]][part.Index];
        }
        var x = value.Inputs.Select(input => this[input]).ToArray();
        var sizes = this.Sizes(value.Shape);
        switch (value.Op)
        {
            case LinearOp op:
                return Array.From(sizes, at => Sum(x[1].Shape[1], k => x[0][[.. at[..^1], k]] * x[1][at[^1], k]) + (op.Bias ? x[2][at[^1]] : 0));
            case MatMulOp op:
                return Array.From(sizes, at => Sum(x[0].Shape[op.TransposeA ? ^2 : ^1], k =>
                    x[0].Stretched([.. at[..^2], .. op.TransposeA ? new[] { k, at[^2] } : [at[^2], k]]) *
                    x[1].Stretched([.. at[..^2], .. op.TransposeB ? new[] { at[^1], k } : [k, at[^1]]])));
            case MatMulSumOp op:
                return Array.From(sizes, at => Sum(x[0].Shape[0], n => Sum(x[0].Shape[op.TransposeA ? 1 : 2], k =>
                    x[0][op.TransposeA ? [n, k, at[0]] : [n, at[0], k]] * x[1][op.TransposeB ? [n, at[1], k] : [n, k, at[1]]])));
            case AddOp:
                return Array.From(sizes, at => x.Sum(summand => summand.Stretched(at)));
            case MulOp:
                return Array.From(sizes, at => x[0].Stretched(at) * x[1].Stretched(at));
            case MulAddOp:
                return Array.From(sizes, at => (x[0].Stretched(at) * x[1].Stretched(at)) + x[2].Stretched(at));
            case SumToOp:
                return SumTo(sizes, x[0].Shape, at => x[0].Stretched(at));
            case MulSumToOp op:
                return SumTo(sizes, this.Sizes(Shape.Broadcast(value.Inputs[0].Shape, value.Inputs[1].Shape)), at => x[0].Stretched(at) * x[1].Stretched(at));
            case BroadcastToOp:
                return Array.From(sizes, at => x[0].Stretched(at));
            case ScaleOp op:
                return Array.From(sizes, at => (x[0][at] * op.Factor) + op.Offset);
            case UnaryOp op:
                return Array.From(sizes, at => Function(op.Kind, x[0][at]));
            case UnaryGradientOp op:
                return Array.From(sizes, at => Slope(op.Kind, x[0][at]) * x[1][at]);
            case LayerNormOp op:
                return LayerNorm(x[0], op.Epsilon, op.Affine ? x[1] : null, op.Affine ? x[2] : null);
            case LayerNormGradientOp op:
                return LayerNormGradient(x[0], x[1], op.Epsilon, op.Affine ? x[2] : null);
            case LayerNormScaleGradientOp op:
                return SumTo(sizes, x[0].Shape, at => LayerNorm(x[0], op.Epsilon, null, null)[at] * x[1][at]);
            case SoftmaxOp op:
                return Softmax(x[0], op.Axis, op.WhenDiscrete ? 0 : op.Top);
            case SoftmaxGradientOp op:
                return Array.From(sizes, at => x[0][at] * (x[1][at] - Sum(sizes[op.Axis], k => x[0][Replaced(at, op.Axis, k)] * x[1][Replaced(at, op.Axis, k)])));
            case AttentionOp op:
                return Attention(op, x);
            case AttentionGradientOp op:
                this.parts[value] = AttentionGradient(op.Attention, x[..^2], x[^1]);
                return this.parts[value][0];
            case MixOp op:
                return Array.From(sizes, at => Sum(sizes[1], j => x[0][op.Transposed ? [at[1], j] : [j, at[1]]] * x[1][at[0], j, at[2]]));
            case MixGradientOp:
                return Array.From(sizes, at => x[0][at] == 0 ? 0 : Sum(x[1].Shape[0], n => Sum(x[1].Shape[2], c => x[1][n, at[0], c] * x[2][n, at[1], c])));
            case HeadProductOp { Transposed: false } op:
                var entries = x[1].Shape[0] / op.Heads;
                return Array.From(sizes, at => Sum(entries, k => x[0][at[0], 0, (at[1] * entries) + k] * x[1][(at[1] * entries) + k, at[2]]));
            case HeadProductOp op:
                return Array.From(sizes, at => Sum(x[1].Shape[1], k => x[0][at[0], at[2] / (x[1].Shape[0] / op.Heads), k] * x[1][at[2], k]));
            case RowAttentionOp op:
                return RowAttention(op, x);
            case RowAttentionGradientOp op:
                this.parts[value] = RowAttentionGradient(op.Attention, x[..^2], x[^1]);
                return this.parts[value][0];
            case DropoutMaskOp op:
                // Any mask will do, if it is the same every time.
                return Array.From(sizes, at => !isTraining ? 1 : (at.Aggregate((int)op.Number, (hash, i) => (hash * 31) + i) & 3) == 0 ? 0 : 1 / (1 - op.Rate));
            case BlockDiagonalOp:
                return Array.From(sizes, at => at[0] / x[0].Shape[1] == at[1] / x[0].Shape[2] ? x[0][at[0] / x[0].Shape[1], at[0] % x[0].Shape[1], at[1] % x[0].Shape[2]] : 0);
            case DiagonalBlocksOp:
                return Array.From(sizes, at => x[0][(at[0] * sizes[1]) + at[1], (at[0] * sizes[2]) + at[2]]);
            case ConcatOp op:
                return Array.From(sizes, at =>
                {
                    var (k, which) = (at[op.Axis], 0);
                    while (k >= x[which].Shape[op.Axis])
                        k -= x[which++].Shape[op.Axis];
                    return x[which][Replaced(at, op.Axis, k)];
                });
            case SliceOp op:
                return x[0].Sliced(op.Axis, op.Start, op.Length);
            case EmbedOp op:
                return Array.From(sizes, at => at[op.Axis] - op.Start is var k && k >= 0 && k < x[0].Shape[op.Axis] ? x[0][Replaced(at, op.Axis, k)] : 0);
            case SelectOp op:
                return x[0].Sliced(op.Axis, op.Index, 1).Reshaped(sizes);
            case ReshapeOp:
                return x[0].Reshaped(sizes);
            case PermuteOp op:
                return x[0].Permuted([.. op.Order]);
            case ExpandOp:
                return Array.From(sizes, at => x[0].Stretched(at));
            case PatchRowsOp op:
                return PatchRows(x[0], op.Patch, sizes);
            case PatchEmbedOp op:
                var rows = PatchRows(x[0], op.Patch, [sizes[0], sizes[1], 3 * op.Patch * op.Patch]);
                var weight = x[1].Reshaped(sizes[2], rows.Shape[2]);
                return Array.From(sizes, at => Sum(rows.Shape[2], k => rows[at[0], at[1], k] * weight[at[2], k]) + x[2][at[2]]);
            case MeanOp op:
                var counted = x[0].Shape[op.Axis] - op.Start;
                return Array.From(sizes, at => Sum(counted, k => x[0][[.. at[..op.Axis], k + op.Start, .. at[op.Axis..]]]) / counted);
            case RelativeBiasOp op:
                return Array.From(sizes, at => x[0][Offset(op.Window, at[1], at[2]), at[0]]);
            case RelativeBiasGradientOp op:
                var table = new Array(sizes);
                foreach (var at in Array.Indices(x[0].Shape))
                    table[Offset(op.Window, at[1], at[2]), at[0]] += x[0][at];
                return table;
            case WindowMaskOp op:
                return Array.From(sizes, at => Region(op, at[0], at[2]) == Region(op, at[0], at[3]) ? 0 : -100);
            case NeighbourBiasOp op:
                return Array.From(sizes, at => NeighbourBias(op, at[1], at[2]));
            case ReadoutsOp:
                return Array.From(sizes, at => x[at[1]][at[0], at[2]]);
            case RollOp op:
                return Array.From(sizes, at => x[0][at[0], Modulo(at[1] - op.Shift, sizes[1]), Modulo(at[2] - op.Shift, sizes[2]), at[3]]);
            case PadOp:
                return Array.From(sizes, at => at[1] < x[0].Shape[1] && at[2] < x[0].Shape[2] ? x[0][at] : 0);
            default:
                throw new NotSupportedException(value.Op.ToString());
        }
    }

    public static double Function(UnaryKind kind, double x) => kind switch
    {
        UnaryKind.Gelu => x * NormalDistribution(x),
        UnaryKind.Silu => x / (1 + Math.Exp(-x)),
        UnaryKind.Relu => Math.Max(x, 0),
        _ => 1 / (1 + Math.Exp(-x)),
    };

    private static double Slope(UnaryKind kind, double x)
    {
        var sigmoid = 1 / (1 + Math.Exp(-x));
        return kind switch
        {
            UnaryKind.Gelu => NormalDistribution(x) + (x * Math.Exp(-x * x / 2) / Math.Sqrt(2 * Math.PI)),
            UnaryKind.Silu => sigmoid * (1 + (x * (1 - sigmoid))),
            UnaryKind.Relu => x > 0 ? 1 : 0,
            _ => sigmoid * (1 - sigmoid),
        };
    }

    /// <summary>Φ by the series Φ(x) = ½ + φ(x)·(x + x³/3 + x⁵/(3·5) + …), which converges for every x and is exact to rounding for the moderate ones here.</summary>
    private static double NormalDistribution(double x)
    {
        if (Math.Abs(x) > 8)
            return x > 0 ? 1 : 0;
        var (sum, term) = (x, x);
        for (var i = 3; Math.Abs(term) > 1e-18 * Math.Abs(sum) && i < 400; i += 2)
            sum += term *= x * x / i;
        return 0.5 + (sum * Math.Exp(-x * x / 2) / Math.Sqrt(2 * Math.PI));
    }

    private static Array LayerNorm(Array x, double epsilon, Array? weight, Array? bias)
    {
        var width = x.Shape[^1];
        var result = new Array(x.Shape);
        for (var start = 0; start < x.Data.Length; start += width)
        {
            var (mean, deviation) = Moments(x, start, width, epsilon);
            for (var i = 0; i < width; i++)
                result.Data[start + i] = ((x.Data[start + i] - mean) / deviation * (weight?.Data[i] ?? 1)) + (bias?.Data[i] ?? 0);
        }
        return result;
    }

    private static Array LayerNormGradient(Array x, Array dy, double epsilon, Array? weight)
    {
        var width = x.Shape[^1];
        var result = new Array(x.Shape);
        for (var start = 0; start < x.Data.Length; start += width)
        {
            var (mean, deviation) = Moments(x, start, width, epsilon);
            double Normed(int i) => (x.Data[start + i] - mean) / deviation;
            double Weighted(int i) => dy.Data[start + i] * (weight?.Data[i] ?? 1);
            var (sum, product) = (Sum(width, Weighted) / width, Sum(width, i => Weighted(i) * Normed(i)) / width);
            for (var i = 0; i < width; i++)
                result.Data[start + i] = (Weighted(i) - sum - (Normed(i) * product)) / deviation;
        }
        return result;
    }

    private static (double Mean, double Deviation) Moments(Array x, int start, int width, double epsilon)
    {
        var mean = Sum(width, i => x.Data[start + i]) / width;
        return (mean, Math.Sqrt((Sum(width, i => Math.Pow(x.Data[start + i] - mean, 2)) / width) + epsilon));
    }

    private static Array Softmax(Array x, int axis, int top) => Array.From(x.Shape, at =>
    {
        var column = Enumerable.Range(0, x.Shape[axis]).Select(k => x[Replaced(at, axis, k)]).ToArray();
        var least = top == 0 ? double.NegativeInfinity : column.OrderDescending().ElementAt(Math.Min(top, column.Length) - 1);
        var largest = column.Max();
        return column[at[axis]] < least ? 0 : Math.Exp(column[at[axis]] - largest) / column.Where(logit => logit >= least).Sum(logit => Math.Exp(logit - largest));
    });

    /// <summary>The place of a row that all images share, or that is an image's own.</summary>
    private static int[] OnceOrEach(Array of, int n, int row, int c) => of.Rank == 2 ? [row, c] : [n, row, c];

    /// <summary>Keys, values and summands of the logits of one image and head: those of the tokens, then the prefixes'.</summary>
    private static (Func<int, int, double> Key, Func<int, int, double> Value, Func<int, int, double> Summand, int Count) Rows(AttentionOp op, Array[] x, int n, int h)
    {
        var (rows, width) = (x[0].Shape[1], x[0].Shape[2] / 3);
        var head = width / op.Heads;
        var places = new List<(int Input, int Row, int Weight)>();
        for (var t = 0; t < rows; t++)
            places.Add((0, t, -1));
        var next = 1;
        foreach (var weighed in op.Prefixes)
        {
            for (var p = 0; p < x[next].Shape[^2]; p++)
                places.Add((next, p, weighed ? next + 1 : -1));
            next += weighed ? 2 : 1;
        }
        double Read(int j, int c, int part) => places[j].Input == 0
            ? x[0][n, places[j].Row, ((part + 1) * width) + (h * head) + c]
            : x[places[j].Input][OnceOrEach(x[places[j].Input], n, places[j].Row, (part * width) + (h * head) + c)];
        double Bias(int i, int j)
        {
            if (!op.Bias || places[j].Input != 0)
                return places[j].Weight < 0 ? 0 : x[places[j].Weight].Data is { Length: 1 } one ? one[0] : x[places[j].Weight].Data[places[j].Row];
            var bias = x[next];
            return bias.Rank == 3 ? bias[h, i, j] : bias[n % bias.Shape[0], h % bias.Shape[1], i, j];
        }
        return ((j, c) => Read(j, c, 0), (j, c) => Read(j, c, 1), Bias, places.Count);
    }

    private static double[] Probabilities(AttentionOp op, Array[] x, int n, int h, int i)
    {
        var head = x[0].Shape[2] / 3 / op.Heads;
        var (key, _, summand, count) = Rows(op, x, n, h);
        var logits = Enumerable.Range(0, count).Select(j => (Sum(head, c => x[0][n, i, (h * head) + c] * key(j, c)) / Math.Sqrt(head)) + summand(i, j)).ToArray();
        var largest = logits.Max();
        var total = logits.Sum(logit => Math.Exp(logit - largest));
        return [.. logits.Select(logit => Math.Exp(logit - largest) / total)];
    }

    private static Array Attention(AttentionOp op, Array[] x)
    {
        var (images, rows, width) = (x[0].Shape[0], x[0].Shape[1], x[0].Shape[2] / 3);
        var head = width / op.Heads;
        if (op.Rows > 0)
            rows = op.Rows;
        var result = new Array(images, rows, width);
        for (var n = 0; n < images; n++)
        {
            for (var h = 0; h < op.Heads; h++)
            {
                var (_, value, _, count) = Rows(op, x, n, h);
                for (var i = 0; i < rows; i++)
                {
                    var probabilities = Probabilities(op, x, n, h, i);
                    for (var c = 0; c < head; c++)
                        result[n, i, (h * head) + c] = Sum(count, j => probabilities[j] * value(j, c));
                }
            }
        }
        return result;
    }

    private static Array[] AttentionGradient(AttentionOp op, Array[] x, Array dy)
    {
        var (images, rows, width) = (x[0].Shape[0], x[0].Shape[1], x[0].Shape[2] / 3);
        var head = width / op.Heads;
        var result = x.Select(input => new Array(input.Shape)).ToArray();
        var scale = 1 / Math.Sqrt(head);
        for (var n = 0; n < images; n++)
        {
            for (var h = 0; h < op.Heads; h++)
            {
                var (key, value, _, count) = Rows(op, x, n, h);
                for (var i = 0; i < dy.Shape[1]; i++)
                {
                    var p = Probabilities(op, x, n, h, i);
                    var dp = Enumerable.Range(0, count).Select(j => Sum(head, c => dy[n, i, (h * head) + c] * value(j, c))).ToArray();
                    var mean = Sum(count, j => p[j] * dp[j]);
                    for (var j = 0; j < count; j++)
                    {
                        var ds = p[j] * (dp[j] - mean);
                        var (input, row, first) = (0, j, width);
                        var weight = -1;
                        if (j >= rows)
                        {
                            (input, row) = (1, j - rows);
                            foreach (var weighed in op.Prefixes)
                            {
                                weight = weighed ? input + 1 : -1;
                                if (row < x[input].Shape[^2])
                                    break;
                                row -= x[input].Shape[^2];
                                input += weighed ? 2 : 1;
                            }
                            first = 0;
                            if (weight >= 0)
                                result[weight].Data[result[weight].Data.Length == 1 ? 0 : row] += ds;
                        }
                        else if (op.Bias)
                        {
                            var bias = x[^1];
                            result[^1][bias.Rank == 3 ? [h, i, j] : [n % bias.Shape[0], h % bias.Shape[1], i, j]] += ds;
                        }
                        for (var c = 0; c < head; c++)
                        {
                            var at = (h * head) + c;
                            result[0][n, i, at] += ds * scale * key(j, c);
                            var (dKey, dValue) = (ds * scale * x[0][n, i, at], p[j] * dy[n, i, at]);
                            if (input == 0)
                            {
                                result[0][n, row, width + at] += dKey;
                                result[0][n, row, (2 * width) + at] += dValue;
                            }
                            else
                            {
                                result[input][OnceOrEach(x[input], n, row, first + at)] += dKey;
                                result[input][OnceOrEach(x[input], n, row, first + width + at)] += dValue;
                            }
                        }
                    }
                }
            }
        }
        return result;
    }

    /// <summary>What row j of an image is as key and value, and which input it comes from.</summary>
    private static double Row(Array[] x, int n, int j, int c) => j < x[0].Shape[1] ? x[0][n, j, c] : x[2][OnceOrEach(x[2], n, j - x[0].Shape[1], c)];

    private static double[] Probabilities(RowAttentionOp op, Array[] x, int n, int h)
    {
        var tokens = x[0].Shape[1];
        var logits = Enumerable.Range(0, tokens + (op.Prefix ? x[2].Shape[^2] : 0)).Select(j =>
            Sum(x[0].Shape[2], c => x[1][n, h, c] * Row(x, n, j, c)) + (op.Weighed && j >= tokens ? x[3].Data[x[3].Data.Length == 1 ? 0 : j - tokens] : 0)).ToArray();
        var total = logits.Sum(Math.Exp);
        return [.. logits.Select(logit => Math.Exp(logit) / total)];
    }

    private static Array RowAttention(RowAttentionOp op, Array[] x)
    {
        var result = new Array(x[1].Shape);
        for (var n = 0; n < x[1].Shape[0]; n++)
        {
            for (var h = 0; h < x[1].Shape[1]; h++)
            {
                var p = Probabilities(op, x, n, h);
                for (var c = 0; c < x[1].Shape[2]; c++)
                    result[n, h, c] = Sum(p.Length, j => p[j] * Row(x, n, j, c));
            }
        }
        return result;
    }

    private static Array[] RowAttentionGradient(RowAttentionOp op, Array[] x, Array dy)
    {
        var result = x.Select(input => new Array(input.Shape)).ToArray();
        var (tokens, width) = (x[0].Shape[1], x[0].Shape[2]);
        for (var n = 0; n < dy.Shape[0]; n++)
        {
            for (var h = 0; h < dy.Shape[1]; h++)
            {
                var p = Probabilities(op, x, n, h);
                var dp = Enumerable.Range(0, p.Length).Select(j => Sum(width, c => dy[n, h, c] * Row(x, n, j, c))).ToArray();
                var mean = Sum(p.Length, j => p[j] * dp[j]);
                for (var j = 0; j < p.Length; j++)
                {
                    var ds = p[j] * (dp[j] - mean);
                    for (var c = 0; c < width; c++)
                    {
                        result[1][n, h, c] += ds * Row(x, n, j, c);
                        var row = (ds * x[1][n, h, c]) + (p[j] * dy[n, h, c]);
                        if (j < tokens)
                            result[0][n, j, c] += row;
                        else
                            result[2][OnceOrEach(x[2], n, j - tokens, c)] += row;
                    }
                    if (op.Weighed && j >= tokens)
                        result[3].Data[result[3].Data.Length == 1 ? 0 : j - tokens] += ds;
                }
            }
        }
        return result;
    }

    private static Array PatchRows(Array images, int patch, int[] sizes)
    {
        var grid = images.Shape[2] / patch;
        return Array.From(sizes, at => images[
            at[0],
            at[2] / (patch * patch),
            (at[1] / grid * patch) + (at[2] / patch % patch),
            (at[1] % grid * patch) + (at[2] % patch)]);
    }

    private static Array SumTo(int[] sizes, int[] from, Func<int[], double> value)
    {
        var result = new Array(sizes);
        foreach (var at in Array.Indices(from))
            result.AddStretched(at, value(at));
        return result;
    }

    private static int Offset(int window, int i, int j)
    {
        var side = (2 * window) - 1;
        return (((i / window) - (j / window) + window - 1) * side) + (i % window) - (j % window) + window - 1;
    }

    /// <summary>The part of the shifted frame a place of a window was taken from.</summary>
    private static double NeighbourBias(NeighbourBiasOp op, int row, int column)
    {
        var patches = op.Side * op.Side;
        if (row == 0 || row > patches)
            return column <= patches ? 0 : -1e9;
        var around = Enumerable.Range(1, patches).Where(other =>
            Math.Abs(((row - 1) / op.Side) - ((other - 1) / op.Side)) <= 1 && Math.Abs(((row - 1) % op.Side) - ((other - 1) % op.Side)) <= 1).ToList();
        return column > patches ? around.Count == 9 ? -1e9 : Math.Log(9 - around.Count) : around.Contains(column) ? 0 : -1e9;
    }

    private static int Region(WindowMaskOp op, int window, int place)
    {
        var across = op.Columns / op.Window;
        var (row, column) = ((window / across * op.Window) + (place / op.Window), (window % across * op.Window) + (place % op.Window));
        int Part(int at, int size) => at < size - op.Window ? 0 : at < size - op.Shift ? 1 : 2;
        return (Part(row, op.Rows) * 3) + Part(column, op.Columns);
    }

    private static int[] Replaced(int[] at, int axis, int place)
    {
        var result = (int[])at.Clone();
        result[axis] = place;
        return result;
    }

    private static int Modulo(int a, int b) => ((a % b) + b) % b;

    private static double Sum(int count, Func<int, double> of)
    {
        var sum = 0.0;
        for (var i = 0; i < count; i++)
            sum += of(i);
        return sum;
    }
}
