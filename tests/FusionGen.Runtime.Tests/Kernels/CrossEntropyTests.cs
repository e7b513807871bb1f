using FusionGen.Kernels;

namespace FusionGen.Runtime.Tests.Kernels;

[TestFixture]
internal sealed class CrossEntropyTests
{
    [Test]
    public void Loss_hits_and_gradient(
        [ValueSource(typeof(Numeric), nameof(Numeric.Widths))] int width, [Values(1, 3)] int rows, [Values(2, 16, 37)] int classes)
    {
        using var scope = Numeric.Width(width);
        var logits = Numeric.Random(rows * classes, 1, 5);
        var labels = Enumerable.Range(0, rows).Select(row => row * 7 % classes).ToArray();
        labels[0] = Array.IndexOf(logits, logits[..classes].Max());
        double Loss(double[] x) => labels.Select((label, row) =>
            Math.Log(x[(row * classes)..((row + 1) * classes)].Sum(Math.Exp)) - x[(row * classes) + label]).Sum();
        var hits = labels.Where((label, row) => logits[(row * classes) + label] == logits[(row * classes)..((row + 1) * classes)].Max()).Count();
        var d = new float[logits.Length];
        var (loss, correct) = CrossEntropy.Forward(logits, labels, [1], d, 0.25f);
        Assert.That(loss, Is.EqualTo(Loss(Numeric.Double(logits))).Within(1e-6 * Math.Max(1, loss)));
        Assert.That(correct, Is.EqualTo(hits));
        Numeric.Close(d, [.. Numeric.Gradient(Loss, logits).Select(value => 0.25 * value)], 5e-6);
        Assert.That(CrossEntropy.Forward(logits, labels, [1], [], 0), Is.EqualTo((loss, correct)));
        CrossEntropy.Forward(logits, labels, [1], logits, 0.25f);
        Assert.That(logits, Is.EqualTo(d));
    }

    [Test]
    public void Several_streams_have_the_sum_of_their_losses_and_the_first_predicts()
    {
        float[] logits = [1, 2, 0, 5, 3, 1, 4, 0], d = new float[8];
        int[] labels = [1, 0];
        var (loss, correct) = CrossEntropy.Forward(logits, labels, [0.75f, 0.25f], d, 0.5f);
        var apart = new float[4];
        var first = CrossEntropy.Forward([1, 2, 3, 1], labels, [1], apart, 0.5f);
        Assert.That(d.Where((_, i) => i % 4 < 2), Is.EqualTo(apart.Select(value => 0.75f * value)).Within(1e-7));
        var second = CrossEntropy.Forward([0, 5, 4, 0], labels, [1], apart, 0.5f);
        Assert.That(d.Where((_, i) => i % 4 >= 2), Is.EqualTo(apart.Select(value => 0.25f * value)).Within(1e-7));
        Assert.That(loss, Is.EqualTo((0.75 * first.Loss) + (0.25 * second.Loss)).Within(1e-9));
        Assert.That(correct, Is.EqualTo(first.Correct));
    }

    [Test]
    public void Of_equal_logits_the_first_wins_and_far_ones_are_safe()
    {
        Assert.That(CrossEntropy.Forward([1, 2, 2], [1], [1], [], 1).Correct, Is.EqualTo(1));
        Assert.That(CrossEntropy.Forward([1, 2, 2], [2], [1], [], 1).Correct, Is.Zero);
        Assert.That(CrossEntropy.Forward([1000, -1000], [1], [1], [], 1).Loss, Is.EqualTo(2000));
        Assert.That(CrossEntropy.Forward([1, float.NaN], [0], [1], [], 1).Loss, Is.NaN);
    }

    [Test]
    public void A_label_that_is_no_class_is_an_error([Values(-1, 3)] int label) =>
        Assert.That(() => CrossEntropy.Forward([1, 2, 3], [label], [1], [], 1), Throws.ArgumentException.With.Property("ParamName").EqualTo("labels"));

    [Test]
    public void Allocates_nothing()
    {
        var (logits, d) = (Numeric.Random(6, 1), new float[6]);
        int[] labels = [2, 0];
        Numeric.AllocatesNothing(() => CrossEntropy.Forward(logits, labels, [1], d, 1));
    }
}
