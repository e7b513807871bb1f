using FusionGen.Kernels;

namespace FusionGen.Runtime.Tests.Kernels;

[TestFixture]
internal sealed class StridedCopyTests
{
    [Test]
    public void Permutes([Values] bool accumulate)
    {
        // (2, 3, 4, 5) to (2, 4, 3, 5): rows of 5 move as they are.
        var source = Numeric.Random(120, 1);
        var target = Numeric.Random(120, 2);
        var expected = (float[])target.Clone();
        for (var i = 0; i < 120; i++)
        {
            var (a, b, c, d) = (i / 60, i / 20 % 3, i / 5 % 4, i % 5);
            ref var place = ref expected[(((((a * 4) + c) * 3) + b) * 5) + d];
            place = accumulate ? place + source[i] : source[i];
        }
        StridedCopy.Copy([2, 3, 4, 5], source, [60, 20, 5, 1], target, [60, 5, 15, 1], accumulate);
        Assert.That(target, Is.EqualTo(expected));
    }

    [Test]
    public void Transposes()
    {
        var target = new float[6];
        StridedCopy.Copy([2, 3], [1, 2, 3, 4, 5, 6], [3, 1], target, [1, 2]);
        Assert.That(target, Is.EqualTo(new[] { 1f, 4, 2, 5, 3, 6 }));
    }

    [Test]
    public void Slices_and_leaves_the_rest()
    {
        var target = Enumerable.Repeat(9f, 12).ToArray();
        StridedCopy.Copy([2, 2], [1, 2, 3, 4, 5, 6], [3, 1], target.AsSpan(5), [4, 1]);
        Assert.That(target, Is.EqualTo(new[] { 9f, 9, 9, 9, 9, 1, 2, 9, 9, 4, 5, 9 }));
    }

    [Test]
    public void Repeats_and_sums()
    {
        var target = new float[6];
        StridedCopy.Copy([3, 2], [1, 2], [0, 1], target, [2, 1]);
        Assert.That(target, Is.EqualTo(new[] { 1f, 2, 1, 2, 1, 2 }));
        var sum = new float[] { 10, 20 };
        StridedCopy.Copy([3, 2], [1, 2, 3, 4, 5, 6], [2, 1], sum, [0, 1], accumulate: true);
        Assert.That(sum, Is.EqualTo(new[] { 19f, 32 }));
        StridedCopy.Copy([2, 3], [1, 2, 3, 4, 5, 6], [3, 1], sum, [1, 0], accumulate: true);
        Assert.That(sum, Is.EqualTo(new[] { 25f, 47 }));
    }

    [Test]
    public void Dimensions_of_one_and_none()
    {
        var target = new float[4];
        StridedCopy.Copy([], [7], [], target, []);
        StridedCopy.Copy([1, 3, 1], [1, 2, 3], [50, 1, 60], target.AsSpan(1), [0, 1, 0]);
        StridedCopy.Copy([2, 0], [], [1, 1], target, [1, 1]);
        Assert.That(target, Is.EqualTo(new[] { 7f, 1, 2, 3 }));
    }

    [Test]
    public void A_box_that_leaves_its_buffer_is_an_error()
    {
        Assert.Multiple(() =>
        {
            Assert.That(() => StridedCopy.Copy([2, 3], new float[6], [4, 1], new float[6], [3, 1]), Throws.ArgumentException.With.Property("ParamName").EqualTo("source"));
            Assert.That(() => StridedCopy.Copy([2, 3], new float[6], [3, 1], new float[6], [1, 3]), Throws.ArgumentException.With.Property("ParamName").EqualTo("target"));
            Assert.That(() => StridedCopy.Copy([2], new float[6], [-1], new float[6], [1]), Throws.InstanceOf<ArgumentOutOfRangeException>());
            Assert.That(() => StridedCopy.Copy([2], new float[6], [1, 1], new float[6], [1]), Throws.ArgumentException);
        });
    }

    [Test]
    public void Allocates_nothing()
    {
        var (source, target) = (new float[24], new float[24]);
        Numeric.AllocatesNothing(() => StridedCopy.Copy([2, 3, 4], source, [12, 4, 1], target, [4, 8, 1], accumulate: true));
    }
}
