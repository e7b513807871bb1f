using FusionGen.Kernels;

namespace FusionGen.Runtime.Tests.Kernels;

[TestFixture]
internal sealed class AttentionTests
{
    public static IEnumerable<TestCaseData> Shapes()
    {
        foreach (var width in Numeric.Widths)
        {
            yield return new(width, new AttentionShape(1, 5, 12, 3), 0);
            yield return new(width, new AttentionShape(3, 7, 12, 3, 1), 0);
            yield return new(width, new AttentionShape(3, 7, 12, 3, 5), 1);
            yield return new(width, new AttentionShape(3, 6, 10, 2, 2), 2);
            yield return new(width, new AttentionShape(3, 7, 12, 3, 5, 1), 0);
            yield return new(width, new AttentionShape(3, 7, 12, 3, 0, 3), 2);
            // Every sample has a prefix of its own.
            yield return new(width, new AttentionShape(3, 7, 12, 3, 4), 1);
            yield return new(width, new AttentionShape(2, 7, 12, 3, 4, 1), 0);
        }
        // The backward pass of the large one is compared with differences along a direction only.
        yield return new(Simd.Widest, new AttentionShape(2, 65, 48, 3, 5), 1);
    }

    [TestCaseSource(nameof(Shapes))]
    public void Output_and_log_sum_exp_are_the_references(int width, AttentionShape shape, int biases)
    {
        using var scope = Numeric.Width(width);
        var (qkv, prefix, bias) = Inputs(shape, biases);
        var (output, logSumExp) = Run(shape, qkv, prefix, bias);
        var (expected, expectedSums) = Reference(shape, Numeric.Double(qkv), Numeric.Double(prefix), Numeric.Double(PrefixLogits(shape)), Numeric.Double(bias));
        Numeric.Close(output, expected, 5e-6);
        Numeric.Close(logSumExp, expectedSums, 2e-6);
    }

    [Test]
    public void Gradients_are_the_references([ValueSource(nameof(Shapes))] TestCaseData test, [Values] bool keepsExponentials)
    {
        var (width, shape, biases) = ((int)test.Arguments[0]!, (AttentionShape)test.Arguments[1]!, (int)test.Arguments[2]!);
        using var scope = Numeric.Width(width);
        var (qkv, prefix, bias) = Inputs(shape, biases);
        var (output, saved) = Run(shape, qkv, prefix, bias, keepsExponentials);
        var dOutput = Numeric.Random(output.Length, 9);
        var dQkv = Numeric.Random(qkv.Length, 5);
        var logits = PrefixLogits(shape);
        var (dPrefix, dLogit, dBias) = (Numeric.Random(prefix.Length, 6), Numeric.Random(logits.Length, 8), Numeric.Random(bias.Length, 7));
        var (hadPrefix, hadLogit, hadBias) = (Numeric.Double(dPrefix), Numeric.Double(dLogit), Numeric.Double(dBias));
        var scratch = new float[shape.BackwardScratch];
        Attention.Backward(shape, new(qkv, prefix, logits, bias, 1), saved, [], dOutput, new(dQkv, dPrefix, dLogit, dBias), scratch);

        double Loss(double[] q, double[] p, double[] l, double[] b) => Numeric.Dot(Reference(shape, q, p, l, b).Output, dOutput);
        var (q, p, l, b) = (Numeric.Double(qkv), Numeric.Double(prefix), Numeric.Double(logits), Numeric.Double(bias));
        if (qkv.Length > 2000)
        {
            Along("dQkv", dQkv, [], qkv, x => Loss(x, p, l, b));
            Along("dPrefix", dPrefix, hadPrefix, prefix, x => Loss(q, x, l, b));
            Along("dBias", dBias, hadBias, bias, x => Loss(q, p, l, x));
            return;
        }
        Numeric.Close(dQkv, Numeric.Gradient(x => Loss(x, p, l, b), qkv), 2e-5, "dQkv");
        if (biases > 0)
            Numeric.Close(dBias, [.. Numeric.Gradient(x => Loss(q, p, l, x), bias).Zip(hadBias, (x, y) => x + y)], 2e-5, "dBias");
        if (shape.Prefix == 0)
        {
            Assert.That(dLogit, Is.EqualTo(hadLogit.Select(value => (float)value)));
            return;
        }
        Numeric.Close(dPrefix, [.. Numeric.Gradient(x => Loss(q, x, l, b), prefix).Zip(hadPrefix, (x, y) => x + y)], 2e-5, "dPrefix");
        Numeric.Close(dLogit, [.. Numeric.Gradient(x => Loss(q, p, x, b), logits).Zip(hadLogit, (x, y) => x + y)], 2e-5, "dLogit");

        // The prefix's alone: from the kept output, and without it.
        foreach (var kept in new[] { output, [] })
        {
            var (again, logitAgain) = (hadPrefix.Select(value => (float)value).ToArray(), hadLogit.Select(value => (float)value).ToArray());
            Attention.Backward(shape, new(qkv, prefix, logits, bias, 1), saved, kept, dOutput, new([], again, logitAgain), scratch);
            Numeric.Close(again, Numeric.Double(dPrefix), 2e-6, "dPrefix alone");
            Numeric.Close(logitAgain, Numeric.Double(dLogit), 5e-6, "dLogit alone");
        }
    }

    /// <summary>So a mixture at a vertex is the network of that candidate alone, wherever its rows are among others'.</summary>
    [Test]
    public void A_prefix_of_no_weight_changes_no_bit([Values(0, 1)] int rows)
    {
        var shape = new AttentionShape(2, 19, 24, 3, 7, rows);
        var (qkv, prefix) = (Numeric.Random(shape.Samples * shape.Tokens * 3 * shape.Width, 1, 2), Numeric.Random(shape.Prefix * 2 * shape.Width, 2, 2));
        float[] Forward(AttentionShape shape, float[] prefix, float[] logits)
        {
            var output = new float[shape.Samples * shape.Queries * shape.Width];
            Attention.Forward(shape, new(qkv, prefix, logits), output, [], new float[shape.ForwardScratch]);
            return output;
        }
        const float None = float.NegativeInfinity;
        var live = prefix[(2 * 48)..(4 * 48)].Concat(prefix[(5 * 48)..(6 * 48)]).ToArray();
        Assert.That(Forward(shape, prefix, [None, None, 0, 0, None, 0, None]), Is.EqualTo(Forward(shape with { Prefix = 3 }, live, [0, 0, 0])));
        Assert.That(Forward(shape, prefix, [None]), Is.EqualTo(Forward(shape with { Prefix = 0 }, [], [])));
    }

    /// <summary>Rows of the prefix without a share have none in the backward pass either, whatever is kept.</summary>
    [Test]
    public void A_prefix_of_no_weight_has_no_gradient([Values] bool single)
    {
        var shape = new AttentionShape(2, 19, 24, 3, 7);
        const float None = float.NegativeInfinity;
        float[] logits = single ? [None] : [None, None, 0.3f, 0, None, -0.2f, None];
        var (qkv, prefix, dOutput) = (Numeric.Random(shape.Samples * shape.Tokens * 3 * shape.Width, 1, 2), Numeric.Random(shape.Prefix * 2 * shape.Width, 2, 2), Numeric.Random(shape.Samples * shape.Tokens * shape.Width, 3));
        (float[] Output, float[] DQkv, float[] DPrefix) Step(int kept)
        {
            var (output, saved, dQkv, dPrefix) = (new float[dOutput.Length], new float[kept], new float[qkv.Length], new float[prefix.Length]);
            Attention.Forward(shape, new(qkv, prefix, logits), output, saved, new float[shape.ForwardScratch]);
            Attention.Backward(shape, new(qkv, prefix, logits), saved, [], dOutput, new(dQkv, dPrefix), new float[shape.BackwardScratch]);
            return (output, dQkv, dPrefix);
        }
        var (sums, exponentials) = (Step(shape.LogSumExp), Step(shape.Exponentials));
        Assert.That(exponentials.Output, Is.EqualTo(sums.Output));
        Numeric.Close(exponentials.DQkv, Numeric.Double(sums.DQkv), 2e-6, "dQkv");
        Numeric.Close(exponentials.DPrefix, Numeric.Double(sums.DPrefix), 2e-6, "dPrefix");
        for (var row = 0; row < shape.Prefix; row++)
            Assert.That(exponentials.DPrefix[(row * 48)..((row + 1) * 48)].Any(value => value != 0), Is.EqualTo(!single && logits[row] != None), $"row {row}");
    }

    [Test]
    public void Far_logits_are_safe()
    {
        var shape = new AttentionShape(1, 2, 1, 1);
        float[] qkv = [200, 200, 1, 200, -200, 3];
        var (output, logSumExp) = (new float[2], new float[2]);
        Attention.Forward(shape, new(qkv), output, logSumExp, new float[shape.ForwardScratch]);
        Assert.That(output, Is.EqualTo(new[] { 1f, 1 }));
        Assert.That(logSumExp, Is.EqualTo(new[] { 40000f, 40000 }));
    }

    [Test]
    public void Allocates_nothing()
    {
        var shape = new AttentionShape(2, 7, 12, 3, 2);
        var (qkv, prefix, bias) = Inputs(shape, 1);
        var (output, logSumExp) = Run(shape, qkv, prefix, bias);
        var (dQkv, dPrefix, dBias, scratch) = (new float[qkv.Length], new float[prefix.Length], new float[bias.Length], new float[shape.BackwardScratch]);
        Numeric.AllocatesNothing(() =>
        {
            Attention.Forward(shape, new(qkv, prefix, [], bias), output, logSumExp, scratch);
            Attention.Backward(shape, new(qkv, prefix, [], bias), logSumExp, output, output, new(dQkv, dPrefix, default, dBias), scratch);
        });
    }

    [Test]
    public void A_wrong_buffer_is_named()
    {
        var shape = new AttentionShape(1, 3, 4, 2, 2);
        var (output, scratch) = (new float[12], new float[shape.ForwardScratch]);
        Assert.Multiple(() =>
        {
            Assert.That(() => Attention.Forward(shape, new(new float[35], new float[16]), output, [], scratch), Throws.ArgumentException.With.Property("ParamName").EqualTo("qkv"));
            Assert.That(() => Attention.Forward(shape, new(new float[36]), output, [], scratch), Throws.ArgumentException.With.Property("ParamName").EqualTo("prefix"));
            Assert.That(() => Attention.Forward(shape, new(new float[36], new float[16]), output, [], scratch.AsSpan(1)), Throws.ArgumentException.With.Property("ParamName").EqualTo("scratch"));
            Assert.That(() => Attention.Forward(shape with { Heads = 3 }, new(new float[36], new float[16]), output, [], scratch), Throws.ArgumentException);
        });
    }

    private static (float[] Qkv, float[] Prefix, float[] Bias) Inputs(AttentionShape shape, int biases) => (
        Numeric.Random(shape.Samples * shape.Tokens * 3 * shape.Width, 1, 2),
        Numeric.Random(Prefixes(shape) * shape.Prefix * 2 * shape.Width, 2, 2),
        Numeric.Random(biases * shape.Heads * shape.Tokens * shape.Tokens, 3));

    // One for all samples, or one for each.
    private static int Prefixes(AttentionShape shape) => shape.Prefix == 4 ? shape.Samples : 1;

    // One for all rows of the prefix, or one for each.
    private static float[] PrefixLogits(AttentionShape shape) => shape.Prefix == 5 ? Numeric.Random(5, 4) : [-0.4f];

    private static (float[] Output, float[] Saved) Run(AttentionShape shape, float[] qkv, float[] prefix, float[] bias, bool keepsExponentials = false)
    {
        var output = new float[shape.Samples * shape.Queries * shape.Width];
        var saved = new float[keepsExponentials ? shape.Exponentials : shape.LogSumExp];
        Attention.Forward(shape, new(qkv, prefix, PrefixLogits(shape), bias, 1), output, saved, new float[shape.ForwardScratch]);
        return (output, saved);
    }

    private static void Along(string what, float[] gradient, double[] had, float[] at, Func<double[], double> loss)
    {
        foreach (var seed in new[] { 21, 22, 23 })
        {
            var direction = Numeric.Random(at.Length, seed);
            double Moved(double step) => loss([.. at.Select((value, i) => value + (step * direction[i]))]);
            var expected = (Moved(1e-5) - Moved(-1e-5)) / 2e-5;
            var actual = gradient.Select((value, i) => (value - (had.Length == 0 ? 0 : had[i])) * direction[i]).Sum();
            var scale = Math.Sqrt(gradient.Sum(value => (double)value * value) * direction.Sum(value => (double)value * value));
            Assert.That(actual, Is.EqualTo(expected).Within(1e-6 * scale), what);
        }
    }

    // The first sample has number 1, so that it does not take the first bias.
    private static (double[] Output, double[] LogSumExp) Reference(AttentionShape shape, double[] qkv, double[] prefix, double[] logits, double[] bias)
    {
        var (tokens, d, depth, rows) = (shape.Tokens, shape.Width, shape.Width / shape.Heads, shape.Queries);
        var entries = bias.Length / (shape.Heads * tokens * tokens);
        var output = new double[shape.Samples * rows * d];
        var sums = new double[shape.Samples * shape.Heads * rows];
        for (var sample = 0; sample < shape.Samples; sample++)
        {
            for (var head = 0; head < shape.Heads; head++)
            {
                for (var row = 0; row < rows; row++)
                {
                    double Entry(int token, int part, int i) => qkv[(((sample * tokens) + token) * 3 * d) + (part * d) + (head * depth) + i];
                    int Row(int j) => (Prefixes(shape) == 1 ? 0 : sample * shape.Prefix) + j;
                    double Key(int j, int i) => j < tokens ? Entry(j, 1, i) : prefix[((Row(j) - tokens) * 2 * d) + (head * depth) + i];
                    double Value(int j, int i) => j < tokens ? Entry(j, 2, i) : prefix[((Row(j) - tokens) * 2 * d) + d + (head * depth) + i];
                    var weights = new double[tokens + shape.Prefix];
                    for (var j = 0; j < weights.Length; j++)
                    {
                        for (var i = 0; i < depth; i++)
                            weights[j] += Entry(row, 0, i) * Key(j, i) / Math.Sqrt(depth);
                        if (j >= tokens)
                            weights[j] += logits[logits.Length == 1 ? 0 : j - tokens];
                        else if (entries > 0)
                            weights[j] += bias[((((((sample + 1) % entries) * shape.Heads) + head) * tokens) + row) * tokens + j];
                    }
                    var total = Math.Log(weights.Sum(Math.Exp));
                    sums[(((sample * shape.Heads) + head) * rows) + row] = total;
                    for (var i = 0; i < depth; i++)
                    {
                        for (var j = 0; j < weights.Length; j++)
                            output[(((sample * rows) + row) * d) + (head * depth) + i] += Math.Exp(weights[j] - total) * Value(j, i);
                    }
                }
            }
        }
        return (output, sums);
    }
}
