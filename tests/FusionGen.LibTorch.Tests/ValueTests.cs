using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace TorchSharp.Tests;

/// <summary>Operators against values worked out by hand.</summary>
internal sealed class ValueTests
{
    private DisposeScope scope = null!;

    [SetUp]
    public void Enter() => this.scope = NewDisposeScope();

    [TearDown]
    public void Leave() => this.scope.Dispose();

    [Test]
    public void Arithmetic()
    {
        var a = tensor([1.0, -2.0, 4.0]);
        var b = tensor([2.0, 0.5, -1.0]);
        AssertEqual(a + b, 3, -1.5, 3);
        AssertEqual(a - b, -1, -2.5, 5);
        AssertEqual(a * b, 2, -1, -4);
        AssertEqual(a / b, 0.5, -4, -4);
        AssertEqual(1 - a, 0, 3, -3);
        AssertEqual(2.0 / a, 2, -1, 0.5);
        AssertEqual(-a, -1, 2, -4);
        AssertEqual(a.add(b, 10), 21, 3, -6);
        AssertEqual(a.pow(2), 1, 4, 16);
        AssertEqual(a.clamp(-1, 2), 1, -1, 2);
        AssertEqual(a.clamp(min: 0), 1, 0, 4);
        AssertEqual(a.maximum(b), 2, 0.5, 4);
        AssertEqual(a.div(3, RoundingMode.floor), 0, -1, 1);
        AssertEqual(a.div(3, RoundingMode.trunc), 0, -0.0, 1);
        AssertEqual(a % 3, 1, 1, 1);
        AssertEqual(a.abs().sqrt(), 1, Math.Sqrt(2), 2);
        AssertEqual(b.exp().log(), 2, 0.5, -1);
        AssertEqual(tensor([0.0]).sigmoid(), 0.5);
        AssertEqual(tensor([1.0]).silu(), 1 / (1 + Math.Exp(-1)));
        AssertEqual(tensor([0.5]).tanh(), Math.Tanh(0.5));
        AssertEqual(F.gelu(tensor([1.0])), 0.8413447460685429); // Φ(1)
    }

    [Test]
    public void InPlaceChangesAndReturnsTheSameObject()
    {
        var a = tensor([1.0, 2.0]);
        Assert.That(a.add_(tensor([1.0, 1.0]), 2).mul_(2).sub_(1).div_(5), Is.SameAs(a));
        AssertEqual(a, 1, 1.4);
        AssertEqual(a.addcmul_(tensor([1.0, 2.0]), tensor([3.0, 4.0]), 0.5), 2.5, 5.4);
        AssertEqual(a.addcdiv_(tensor([1.0, 2.0]), tensor([2.0, 4.0]), -1), 2, 4.9);
        AssertEqual(a.lerp_(tensor([4.0, 4.9]), tensor([0.5, 0.5])), 3, 4.9);
        AssertEqual(a.copy_(tensor([9.0, 16.0])).sqrt_(), 3, 4);
        AssertEqual(a.fill_(7), 7, 7);
        AssertEqual(a.zero_(), 0, 0);
    }

    [Test]
    public void Products()
    {
        var m = arange(6, ScalarType.Float64).reshape(2, 3);
        AssertEqual(m.matmul(m.T), 5, 14, 14, 50);
        AssertEqual(m.mm(eye(3, dtype: ScalarType.Float64)), 0, 1, 2, 3, 4, 5);
        AssertEqual(m.mv(tensor([1.0, 0.0, -1.0])), -2, -2);
        AssertEqual(tensor([1.0, 2.0]).dot(tensor([3.0, 4.0])), 11);
        AssertEqual(tensor([1.0, 2.0]).outer(tensor([3.0, 4.0])), 3, 4, 6, 8);
        AssertEqual(ones([2, 2], ScalarType.Float64).addmm(m, m.T, beta: 2, alpha: 0.5f), 4.5, 9, 9, 27);
        var batch = m.expand(2, 2, 3);
        AssertEqual(batch.bmm(batch.transpose(1, 2)), 5, 14, 14, 50, 5, 14, 14, 50);
        AssertEqual(zeros([2, 2, 2], ScalarType.Float64).baddbmm(batch, batch.transpose(1, 2), 1, 2), 10, 28, 28, 100, 10, 28, 28, 100);
        AssertEqual(einsum("ij,kj->ik", m, m), 5, 14, 14, 50);
    }

    [Test]
    public void Shapes()
    {
        var x = arange(24).reshape(2, 3, 4);
        Assert.Multiple(() =>
        {
            Assert.That(x.dtype, Is.EqualTo(ScalarType.Int64));
            Assert.That(x.shape, Is.EqualTo(new long[] { 2, 3, 4 }));
            Assert.That(x.stride(), Is.EqualTo(new long[] { 12, 4, 1 }));
            Assert.That(x.size(-1), Is.EqualTo(4));
            Assert.That(x.permute(2, 0, 1).shape, Is.EqualTo(new long[] { 4, 2, 3 }));
            Assert.That(x.flatten(1).shape, Is.EqualTo(new long[] { 2, 12 }));
            Assert.That(x.unflatten(2, 2, 2).shape, Is.EqualTo(new long[] { 2, 3, 2, 2 }));
            Assert.That(x.unsqueeze(0).squeeze(0).shape, Is.EqualTo(x.shape));
            Assert.That(x.unsqueeze(0).unsqueeze(3).squeeze().shape, Is.EqualTo(x.shape));
            Assert.That(x.transpose(0, 2).is_contiguous(), Is.False);
            Assert.That(x.narrow(1, 1, 2).shape, Is.EqualTo(new long[] { 2, 2, 4 }));
            Assert.That(x.repeat(2, 1, 1).shape, Is.EqualTo(new long[] { 4, 3, 4 }));
            Assert.That(x.split(2, 1).Select(part => part.shape[1]), Is.EqualTo(new long[] { 2, 1 }));
            Assert.That(x.split([1, 3], 2).Select(part => part.shape[2]), Is.EqualTo(new long[] { 1, 3 }));
            Assert.That(x.chunk(2, 2).Length, Is.EqualTo(2));
            Assert.That(x.unbind(0).Length, Is.EqualTo(2));
            Assert.That(cat([x, x], 1).shape, Is.EqualTo(new long[] { 2, 6, 4 }));
            Assert.That(stack([x, x]).shape, Is.EqualTo(new long[] { 2, 2, 3, 4 }));
            Assert.That(x.slice(2, 0, 4, 2)[1, 2].data<long>().ToArray(), Is.EqualTo(new long[] { 20, 22 }));
            Assert.That(arange(4).roll(1).data<long>().ToArray(), Is.EqualTo(new long[] { 3, 0, 1, 2 }));
            Assert.That(arange(4).flip(0).data<long>().ToArray(), Is.EqualTo(new long[] { 3, 2, 1, 0 }));
        });
    }

    [Test]
    public void Reductions()
    {
        var x = tensor([1.0, 5, 2, 4, 0, 6], [2, 3]);
        AssertEqual(x.sum(), 18);
        AssertEqual(x.sum(0L), 5, 5, 8); // a literal 0 would be an element type, as in TorchSharp
        AssertEqual(x.sum([0, 1], keepdim: true), 18);
        AssertEqual(x.mean([1]), 8.0 / 3, 10.0 / 3);
        AssertEqual(x.var(1), 13.0 / 3, 28.0 / 3);
        AssertEqual(x.var(1, unbiased: false), 26.0 / 9, 56.0 / 9);
        AssertEqual(x.std(1), Math.Sqrt(13.0 / 3), Math.Sqrt(28.0 / 3));
        AssertEqual(x.max(), 6);
        AssertEqual(x.prod(1), 10, 0);
        AssertEqual(x.amax([0]), 4, 5, 6);
        AssertEqual(x.norm(), Math.Sqrt(82));
        AssertEqual(x.norm(1, keepdim: false, 1), 8, 10);
        AssertEqual(x.logsumexp(0), Math.Log(Math.E + Math.Exp(4)), Math.Log(Math.Exp(5) + 1), Math.Log(Math.Exp(2) + Math.Exp(6)));
        AssertEqual(tensor([0.0, Math.Log(3)]).softmax(0), 0.25, 0.75);
        AssertEqual(tensor([0.0, Math.Log(3)]).log_softmax(0), Math.Log(0.25), Math.Log(0.75));
        AssertEqual(x.cumsum(1), 1, 6, 8, 4, 4, 10);
        Assert.That(x.argmax(1).data<long>().ToArray(), Is.EqualTo(new long[] { 1, 2 }));
        Assert.That(x.argmax().item<long>(), Is.EqualTo(5));
        var (values, indices) = x.topk(2, 1);
        AssertEqual(values, 5, 2, 6, 4);
        Assert.That(indices.data<long>().ToArray(), Is.EqualTo(new long[] { 1, 2, 2, 0 }));
        var (sorted, order) = x.sort(1, descending: true);
        AssertEqual(sorted, 5, 2, 1, 6, 4, 0);
        Assert.That(order.data<long>().ToArray(), Is.EqualTo(new long[] { 1, 2, 0, 2, 0, 1 }));
        var (largest, at) = x.max(0);
        AssertEqual(largest, 4, 5, 6);
        Assert.That(at.data<long>().ToArray(), Is.EqualTo(new long[] { 1, 0, 1 }));
        Assert.That(x.count_nonzero().item<long>(), Is.EqualTo(5));
    }

    [Test]
    public void Comparisons()
    {
        var x = tensor([1.0, double.NaN, double.PositiveInfinity]);
        Assert.Multiple(() =>
        {
            Assert.That(x.isnan().data<bool>().ToArray(), Is.EqualTo(new[] { false, true, false }));
            Assert.That(x.isfinite().data<bool>().ToArray(), Is.EqualTo(new[] { true, false, false }));
            Assert.That((x > 1).any().item<bool>(), Is.True);
            Assert.That((x >= 1).all().item<bool>(), Is.False);
            Assert.That(x.eq(x).data<bool>().ToArray(), Is.EqualTo(new[] { true, false, true }));
            Assert.That(x.allclose(x, equal_nan: true), Is.True);
            Assert.That(tensor([1.0]).Equals(tensor([1.0])), Is.True);
            Assert.That(tensor([1.0]).Equals(tensor([1.0, 1.0])), Is.False);
        });
    }

    [Test]
    public void GatheringAndScattering()
    {
        var x = tensor([1.0, 2, 3, 4, 5, 6], [2, 3]);
        var index = tensor(new long[] { 2, 0 }, [2, 1]);
        AssertEqual(x.gather(1, index), 3, 4);
        AssertEqual(x.index_select(1, tensor(new long[] { 2, 2 })), 3, 3, 6, 6);
        AssertEqual(zeros([2, 3], ScalarType.Float64).scatter_(1, index, tensor([7.0, 8.0], [2, 1])), 0, 0, 7, 8, 0, 0);
        AssertEqual(x.masked_fill(x > 4, 0), 1, 2, 3, 4, 0, 0);
        AssertEqual(where(x > 4, x, -x), -1, -2, -3, -4, 5, 6);
        AssertEqual(x.masked_select(x > 4), 5, 6);
        AssertEqual(x[tensor(new long[] { 1 })], 4, 5, 6);
    }

    [Test]
    public void Factories()
    {
        AssertEqual(full(2, 3, 1.5, ScalarType.Float64), 1.5, 1.5, 1.5, 1.5, 1.5, 1.5);
        AssertEqual(linspace(0, 1, 3, ScalarType.Float64), 0, 0.5, 1);
        AssertEqual(arange(1.0, 2.0, 0.5, ScalarType.Float64), 1, 1.5);
        AssertEqual(from_array(new double[,] { { 1, 2 }, { 3, 4 } })[1], 3, 4);
        Assert.That(full([2], 3).dtype, Is.EqualTo(ScalarType.Int64));
        Assert.That(zeros(2).dtype, Is.EqualTo(ScalarType.Float32));
        Assert.That(tensor([1f, 2f], dtype: ScalarType.Float64).dtype, Is.EqualTo(ScalarType.Float64));
        Assert.That(zeros_like(ones([2], ScalarType.Int32)).dtype, Is.EqualTo(ScalarType.Int32));
        Assert.That(() => tensor([1.0, 2.0], [3]), Throws.ArgumentException.With.Message.Contains("2 values for the shape [3]"));
    }

    [Test]
    public void Functional()
    {
        var x = tensor([1.0, 2, 3, 4], [2, 2]);
        AssertEqual(F.linear(x, tensor([1.0, 0, 1, 1], [2, 2]), tensor([10.0, 20.0])), 11, 23, 13, 27);
        AssertEqual(F.layer_norm(tensor([1.0, 3.0]), [2], tensor([2.0, 2.0]), tensor([1.0, 1.0]), 0), -1, 3);
        AssertEqual(F.cross_entropy(tensor([0.0, Math.Log(3)], [1, 2]), tensor(new long[] { 1 })), Math.Log(4.0 / 3));
        AssertEqual(F.cross_entropy(tensor([0.0, Math.Log(3)], [1, 2]), tensor(new long[] { 1 }), label_smoothing: 0.5), (0.75 * Math.Log(4.0 / 3)) + (0.25 * Math.Log(4)));
        AssertEqual(F.normalize(tensor([3.0, 4.0], [1, 2])), 0.6, 0.8);
        AssertEqual(F.pad(tensor([1.0, 2.0]), [1, 1], value: 9), 9, 1, 2, 9);
        AssertEqual(F.conv2d(arange(9, ScalarType.Float64).reshape(1, 1, 3, 3), ones([1, 1, 2, 2], ScalarType.Float64), tensor([1.0])), 9, 13, 21, 25);
        AssertEqual(F.interpolate(arange(2, ScalarType.Float64).reshape(1, 1, 1, 2), [1, 4], mode: InterpolationMode.Bilinear), 0, 0.25, 0.75, 1);
        AssertEqual(F.interpolate(arange(4, ScalarType.Float64).reshape(1, 1, 1, 4), [1, 2], mode: InterpolationMode.Bilinear, antialias: true), 3.0 / 7 * 1.1666666666666667 * 1.4285714285714286, 16.0 / 7);
        AssertEqual(F.dropout(ones([4], ScalarType.Float64), 0.5, training: false), 1, 1, 1, 1);
        AssertEqual(F.one_hot(tensor(new long[] { 1, 0 }), 2).to(ScalarType.Float64), 0, 1, 1, 0);
        AssertEqual(F.mse_loss(tensor([1.0, 3.0]), tensor([0.0, 0.0]), nn.Reduction.Sum), 10);
    }

    [Test]
    public void AttentionWeighsValuesBySoftmaxOfScaledProducts()
    {
        var query = tensor([Math.Sqrt(2) * Math.Log(3), 0.0], [1, 1, 2]);
        var key = tensor([1.0, 0, 0, 0], [1, 2, 2]);
        var value = tensor([4.0, 0, 8, 4], [1, 2, 2]);
        AssertEqual(F.scaled_dot_product_attention(query, key, value), 5, 1);
        AssertEqual(F.scaled_dot_product_attention(query, key, value, tensor([false, true], [1, 1, 2])), 8, 4);
    }

    private static void AssertEqual(Tensor actual, params double[] expected) =>
        Assert.That(actual.data<double>().ToArray(), Is.EqualTo(expected).Within(1e-12));
}
