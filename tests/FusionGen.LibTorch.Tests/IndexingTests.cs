using static TorchSharp.torch;

namespace TorchSharp.Tests;

internal sealed class IndexingTests
{
    private DisposeScope scope = null!;
    private Tensor x = null!;

    [SetUp]
    public void Enter()
    {
        this.scope = NewDisposeScope();
        this.x = arange(24).reshape(2, 3, 4);
    }

    [TearDown]
    public void Leave()
    {
        this.x.Dispose();
        this.scope.Dispose();
    }

    [Test]
    public void NumbersSelect()
    {
        AssertEqual(this.x[1, 2], 20, 21, 22, 23);
        AssertEqual(this.x[-1, -1, -1], 23);
        AssertEqual(this.x[0][1][2], 6);
    }

    [Test]
    public void RangesSlice()
    {
        AssertEqual(this.x[.., 1.., 0], 4, 8, 16, 20);
        AssertEqual(this.x[0, ..^1, 1..3], 1, 2, 5, 6);
        AssertEqual(this.x[TensorIndex.Single(0), TensorIndex.Slice(step: 2), TensorIndex.Slice(3)], 3, 11);
        AssertEqual(this.x[1, ^1, ^2..], 22, 23);
    }

    [Test]
    public void EllipsisAndNewAxes()
    {
        AssertEqual(this.x[TensorIndex.Ellipsis, 0], 0, 4, 8, 12, 16, 20);
        Assert.That(this.x[TensorIndex.Null, TensorIndex.Ellipsis, TensorIndex.None].shape, Is.EqualTo(new long[] { 1, 2, 3, 4, 1 }));
        Assert.That(this.x[TensorIndex.Colon, 0, TensorIndex.Ellipsis].shape, Is.EqualTo(new long[] { 2, 4 }));
    }

    [Test]
    public void TensorsPick()
    {
        var picked = this.x[TensorIndex.Colon, TensorIndex.Tensor(tensor(new long[] { 2, 0 })), TensorIndex.Single(1)];
        AssertEqual(picked, 9, 1, 21, 13);
        AssertEqual(this.x[TensorIndex.Ellipsis, TensorIndex.Tensor(tensor(new long[] { 3 }))], 3, 7, 11, 15, 19, 23);
        AssertEqual(this.x[TensorIndex.Tensor(this.x > 20)], 21, 22, 23);
    }

    [Test]
    public void AssignmentWritesThrough()
    {
        this.x[0, 0] = tensor(new long[] { -1, -2, -3, -4 });
        this.x[1, TensorIndex.Colon, TensorIndex.Tensor(tensor(new long[] { 0, 3 }))] = tensor(0L);
        AssertEqual(this.x[0, 0], -1, -2, -3, -4);
        AssertEqual(this.x[1], 0, 13, 14, 0, 0, 17, 18, 0, 0, 21, 22, 0);
    }

    [Test]
    public void GradientsFlowThroughAnIndex()
    {
        var w = zeros([3, 2], ScalarType.Float64, requires_grad: true);
        (w[1..] * tensor([2.0, 3.0])).sum().backward();
        Assert.That(w.grad!.data<double>().ToArray(), Is.EqualTo(new double[] { 0, 0, 2, 3, 2, 3 }));
    }

    [Test]
    public void TooManyIndicesAreRefused() =>
        Assert.That(() => this.x[0, 0, 0, 0], Throws.ArgumentException.With.Message.Contains("4 indices for a tensor of 3 dimensions"));

    [Test]
    public void AccessorsReadAndWriteAnyLayout()
    {
        var columns = this.x[0].T;
        using var data = columns.data<long>();
        Assert.That(data[2, 1], Is.EqualTo(6));
        Assert.That(data[5], Is.EqualTo(9));
        data[3, 0] = 100;
        Assert.That(this.x[0, 0, 3].item<long>(), Is.EqualTo(100));
        data.CopyFrom([.. Enumerable.Range(0, 12).Select(i => (long)i)]);
        AssertEqual(this.x[0], 0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11);
        Assert.That(() => data[4, 0], Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => columns.data<float>(), Throws.ArgumentException.With.Message.Contains("Single is not the element type of a Int64 tensor"));
    }

    private static void AssertEqual(Tensor actual, params long[] expected) => Assert.That(actual.data<long>().ToArray(), Is.EqualTo(expected));
}
