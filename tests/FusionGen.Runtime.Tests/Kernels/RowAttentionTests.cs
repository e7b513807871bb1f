using FusionGen.Kernels;

namespace FusionGen.Runtime.Tests.Kernels;

[TestFixture]
internal sealed class RowAttentionTests
{
    public static IEnumerable<TestCaseData> Shapes()
    {
        foreach (var width in Numeric.Widths)
        {
            yield return new(width, new RowAttentionShape(1, 5, 6, 1), 0);
            yield return new(width, new RowAttentionShape(3, 7, 10, 3), 0);
            yield return new(width, new RowAttentionShape(3, 7, 10, 3, 4), 0);
            yield return new(width, new RowAttentionShape(2, 7, 10, 3, 4), 1);
            yield return new(width, new RowAttentionShape(2, 7, 10, 3, 4), 4);
            // Every sample has a prefix of its own.
            yield return new(width, new RowAttentionShape(3, 7, 10, 3, 2), 2);
        }
    }

    [TestCaseSource(nameof(Shapes))]
    public void Output_and_gradients_are_the_references(int lanes, RowAttentionShape shape, int logits)
    {
        using var scope = Numeric.Width(lanes);
        var rows = Numeric.Random(shape.Samples * shape.Tokens * shape.Width, 1);
        var queries = Numeric.Random(shape.Samples * shape.Heads * shape.Width, 2, 2);
        var prefix = Numeric.Random(Prefixes(shape) * shape.Prefix * shape.Width, 3);
        var logit = Numeric.Random(logits, 4);
        var output = new float[queries.Length];
        var probabilities = new float[shape.Samples * shape.Heads * (shape.Tokens + shape.Prefix)];
        RowAttention.Forward(shape, rows, queries, prefix, logit, output, probabilities);
        var (r, q, p, l) = (Numeric.Double(rows), Numeric.Double(queries), Numeric.Double(prefix), Numeric.Double(logit));
        Numeric.Close(output, Reference(shape, r, q, p, l), 5e-6);

        var dOutput = Numeric.Random(output.Length, 5);
        var (dRows, dQueries) = (new float[rows.Length], new float[queries.Length]);
        var (dPrefix, dLogit) = (Numeric.Random(prefix.Length, 6), Numeric.Random(logits, 7));
        var (hadPrefix, hadLogit) = (Numeric.Double(dPrefix), Numeric.Double(dLogit));
        RowAttention.Backward(shape, rows, queries, prefix, probabilities, dOutput, dRows, dQueries, dPrefix, dLogit, new float[shape.Scratch]);
        double Loss(double[] r, double[] q, double[] p, double[] l) => Numeric.Dot(Reference(shape, r, q, p, l), dOutput);
        Numeric.Close(dRows, Numeric.Gradient(x => Loss(x, q, p, l), rows), 2e-5, "dRows");
        Numeric.Close(dQueries, Numeric.Gradient(x => Loss(r, x, p, l), queries), 2e-5, "dQueries");
        if (shape.Prefix > 0)
            Numeric.Close(dPrefix, [.. Numeric.Gradient(x => Loss(r, q, x, l), prefix).Zip(hadPrefix, (x, y) => x + y)], 2e-5, "dPrefix");
        if (logits > 0)
            Numeric.Close(dLogit, [.. Numeric.Gradient(x => Loss(r, q, p, x), logit).Zip(hadLogit, (x, y) => x + y)], 2e-5, "dLogit");
    }

    /// <summary>So a mixture at a vertex without the prefix is the network that never had one.</summary>
    [Test]
    public void A_prefix_of_no_weight_changes_no_bit()
    {
        var shape = new RowAttentionShape(2, 19, 24, 3, 5);
        var (rows, queries, prefix) = (Numeric.Random(shape.Samples * shape.Tokens * shape.Width, 1), Numeric.Random(shape.Samples * shape.Heads * shape.Width, 2), Numeric.Random(shape.Prefix * shape.Width, 3));
        float[] Run(RowAttentionShape shape, float[] prefix, float[] logit)
        {
            var output = new float[queries.Length];
            RowAttention.Forward(shape, rows, queries, prefix, logit, output, new float[shape.Samples * shape.Scratch]);
            return output;
        }
        Assert.That(Run(shape, prefix, [float.NegativeInfinity]), Is.EqualTo(Run(shape with { Prefix = 0 }, [], [])));
        const float None = float.NegativeInfinity;
        Assert.That(Run(shape, prefix, [None, None, 0, 0, None]), Is.EqualTo(Run(shape with { Prefix = 2 }, prefix[48..96], [0])), "wherever it is among others");
    }

    [Test]
    public void Allocates_nothing()
    {
        var shape = new RowAttentionShape(2, 7, 10, 3, 4);
        var (rows, queries, prefix) = (Numeric.Random(140, 1), Numeric.Random(60, 2), Numeric.Random(40, 3));
        var (output, probabilities, dRows, dQueries, dPrefix, scratch) = (new float[60], new float[66], new float[140], new float[60], new float[40], new float[33]);
        Numeric.AllocatesNothing(() =>
        {
            RowAttention.Forward(shape, rows, queries, prefix, [], output, probabilities);
            RowAttention.Backward(shape, rows, queries, prefix, probabilities, output, dRows, dQueries, dPrefix, [], scratch);
        });
    }

    // One for all samples, or one for each.
    private static int Prefixes(RowAttentionShape shape) => shape.Prefix == 2 ? shape.Samples : 1;

    private static double[] Reference(RowAttentionShape shape, double[] rows, double[] queries, double[] prefix, double[] logits)
    {
        var (tokens, width) = (shape.Tokens, shape.Width);
        var output = new double[queries.Length];
        for (var at = 0; at < shape.Samples * shape.Heads; at++)
        {
            var sample = at / shape.Heads;
            double Row(int j, int c) => j < tokens ? rows[(((sample * tokens) + j) * width) + c] : prefix[((j - tokens + (Prefixes(shape) == 1 ? 0 : sample * shape.Prefix)) * width) + c];
            var weights = Enumerable.Range(0, tokens + shape.Prefix).Select(j => Math.Exp(
                Enumerable.Range(0, width).Sum(c => queries[(at * width) + c] * Row(j, c)) + (j < tokens || logits.Length == 0 ? 0 : logits[logits.Length == 1 ? 0 : j - tokens]))).ToArray();
            for (var c = 0; c < width; c++)
                output[(at * width) + c] = weights.Select((weight, j) => weight * Row(j, c)).Sum() / weights.Sum();
        }
        return output;
    }
}
