using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchSharp.Managed.Tests;

/// <summary>What works without libtorch gives what libtorch gives: type, shape and, but for transcendental functions and sums, every bit.</summary>
[NonParallelizable]
internal sealed class ManagedOperatorTests
{
    private const double Exact = 0;
    private const double Rounded = 1e-6;

    private static readonly Dictionary<string, (double Tolerance, Func<Tensor>[] Calls)> cases = new(StringComparer.Ordinal)
    {
        ["empty.memory_format"] = (Exact, [() => empty([2, 3], int32).fill_(7), () => empty([0, 3])]),
        ["zeros"] = (Exact, [() => zeros(2, 3), () => zeros([], float64)]),
        ["ones"] = (Exact, [() => ones(4, dtype: @bool), () => ones(2, 2, bfloat16).to(float32)]),
        ["full"] = (Exact, [() => full(3, 2.5), () => full(3, 2), () => full(2, true), () => full(2, 0.1, float16).to(float32)]),
        ["empty_like"] = (Exact, [() => empty_like(Reals(), int64).zero_()]),
        ["zeros_like"] = (Exact, [() => zeros_like(Reals())]),
        ["ones_like"] = (Exact, [() => ones_like(Whole())]),
        ["full_like"] = (Exact, [() => full_like(Reals(), 1.7)]),
        ["arange.start_step"] = (Exact, [() => arange(5), () => arange(2, 9, 3), () => arange(0.5, 2, 0.25), () => arange(3, dtype: float64)]),
        ["clone"] = (Exact, [() => Turned().clone()]),
        ["contiguous"] = (Exact, [() => Turned().contiguous(), () => Reals().contiguous()]),
        ["to.dtype"] = (Exact, [.. Conversions()]),
        ["to.device"] = (Exact, [() => Reals().to(float64, CPU), () => Reals().cpu()]),
        ["copy_"] = (Exact, [() => zeros(2, 3, 4).copy_(Whole()), () => zeros(4, 3, 2, dtype: float64).copy_(Turned()), () => zeros(2, 3, dtype: int64).copy_(Row())]),
        ["zero_"] = (Exact, [() => Reals().zero_()]),
        ["fill_.Scalar"] = (Exact, [() => Reals().fill_(0.1), () => Whole().fill_(-3)]),
        ["item"] = (Exact, [() => tensor(Row().sum().ToDouble()), () => tensor(Whole().max().ToInt64()), () => tensor(Reals().any().ToBoolean())]),
        ["alias"] = (Exact, [() => Turned().alias()]),
        ["detach"] = (Exact, [() => new Parameter(Reals()).detach()]),
        ["detach_"] = (Exact, [() => Reals().detach_()]),
        ["view"] = (Exact, [() => Reals().view(6, -1), () => Reals().narrow(0, 1, 1).view(3, 4), () => tensor(2.0).view(1, 1)]),
        ["reshape"] = (Exact, [() => Turned().reshape(-1), () => Turned().reshape(8, 3), () => Reals().reshape(3, 8)]),
        ["flatten.using_ints"] = (Exact, [() => Turned().flatten(), () => Reals().flatten(1), () => Reals().flatten(0, 1), () => tensor(1.5).flatten()]),
        ["unsqueeze"] = (Exact, [() => Reals().unsqueeze(0), () => Turned().unsqueeze(-1), () => Turned().unsqueeze(1)]),
        ["squeeze"] = (Exact, [() => Reals().view(1, 24, 1).squeeze()]),
        ["squeeze.dim"] = (Exact, [() => Reals().view(1, 24, 1).squeeze(-1), () => Reals().squeeze(0)]),
        ["t"] = (Exact, [() => Reals().view(4, 6).t(), () => Row().t()]),
        ["transpose.int"] = (Exact, [() => Reals().transpose(0, 2), () => Reals().transpose(-1, 1)]),
        ["permute"] = (Exact, [() => Reals().permute(2, 0, 1), () => Reals().permute(-1, -2, -3)]),
        ["expand"] = (Exact, [() => Row().expand(2, 4, 3), () => Row().view(3, 1).expand(-1, 5)]),
        ["narrow"] = (Exact, [() => Reals().narrow(1, 1, 2), () => Turned().narrow(-1, 0, 1)]),
        ["slice.Tensor"] = (Exact, [() => Reals()[.., 1..], () => Reals().slice(2, 0, 4, 2), () => Reals().slice(2, -3, 100, 1), () => Reals()[..1, 2, 1..^1]]),
        ["select.int"] = (Exact, [() => Reals()[1], () => Turned().select(1, -1), () => Reals()[1, 2, 3]]),
        ["as_strided"] = (Exact, [() => Reals().as_strided([3, 2], [2, 5], 1)]),
        ["cat"] = (Exact, [() => cat([Reals(), Reals().narrow(1, 0, 1)], 1), () => cat([Row(), tensor(new[] { 1L })])]),
        ["stack"] = (Exact, [() => stack([Row(), Row()]), () => stack([Row(), Row()], -1), () => stack([tensor(1.5), tensor(2.5)])]),
        ["index_select"] = (Exact, [() => Reals().index_select(1, tensor(new[] { 2L, 0, 2 })), () => Turned().index_select(0, tensor(Array.Empty<long>()))]),
        ["neg"] = (Exact, [() => -Reals(), () => Whole().neg_()]),
        ["abs"] = (Exact, [() => Reals().abs(), () => Whole().abs_()]),
        ["exp"] = (Rounded, [() => Reals().exp(), () => Whole().exp(), () => Turned().exp_()]),
        ["log"] = (Rounded, [() => Reals().abs().log(), () => tensor(new[] { 0f, -1, 1 }).log()]),
        ["sqrt"] = (Exact, [() => Reals().abs().sqrt(), () => Reals().abs().to(float64).sqrt_()]),
        ["reciprocal"] = (Exact, [() => Reals().reciprocal()]),
        ["add.Tensor"] = (Exact, [() => Reals() + Turned().permute(2, 1, 0), () => Reals() + Whole(), () => Whole().add_(Whole()), () => Whole() + tensor(0.5), () => Row() + Row().view(3, 1), () => Truth() + Truth(), () => Reals() + tensor(0.1), () => Whole().add(Whole(), alpha: 3)]),
        ["add.Scalar"] = (Exact, [() => Reals() + 0.1, () => Whole() + 2, () => Whole() + 0.5, () => Truth() + 1, () => Turned().add_(0.3)]),
        ["sub.Tensor"] = (Exact, [() => Reals() - Row().view(3, 1), () => Reals().sub_(Whole())]),
        ["sub.Scalar"] = (Exact, [() => Reals() - 0.1, () => Whole().sub_(2)]),
        ["mul.Tensor"] = (Exact, [() => Reals() * Reals(), () => Whole() * Whole(), () => Reals().mul_(tensor(3.3))]),
        ["mul.Scalar"] = (Exact, [() => Reals() * 0.1, () => Whole() * 0.5, () => Turned().mul_(1.1)]),
        ["div.Tensor"] = (Exact, [() => Reals() / Turned().permute(2, 1, 0).abs(), () => Whole() / (Whole().abs() + 1)]),
        ["div.Scalar"] = (Exact, [() => Reals() / 3.0, () => Whole() / 3, () => Reals().div_(7)]),
        ["rsub.Scalar"] = (Exact, [() => 1.5 - Reals(), () => 7 - Whole()]),
        ["maximum"] = (Exact, [() => Reals().maximum(tensor(0.2f)), () => Whole().maximum(-Whole())]),
        ["minimum"] = (Exact, [() => Reals().minimum(-Reals())]),
        ["clamp_min"] = (Exact, [() => Reals().clamp_min(0.1), () => Whole().clamp_min_(2)]),
        ["clamp_max"] = (Exact, [() => Reals().clamp_max(0.1)]),
        ["eq.Tensor"] = (Exact, [() => Reals().eq(Reals()), () => Whole().eq(Whole().view(2, 3, 4)[0])]),
        ["eq.Scalar"] = (Exact, [() => (Reals() * 0 + 0.1).eq(0.1), () => Whole().eq(2)]),
        ["ne.Tensor"] = (Exact, [() => Reals().ne(Reals().abs())]),
        ["ne.Scalar"] = (Exact, [() => Whole().ne(0)]),
        ["lt.Tensor"] = (Exact, [() => Reals() < Row().view(3, 1)]),
        ["lt.Scalar"] = (Exact, [() => Reals() < 0.1]),
        ["le.Tensor"] = (Exact, [() => Whole() <= Whole().abs()]),
        ["le.Scalar"] = (Exact, [() => Whole() <= 0]),
        ["gt.Tensor"] = (Exact, [() => Reals() > Whole()]),
        ["gt.Scalar"] = (Exact, [() => Whole() > 0.5]),
        ["ge.Tensor"] = (Exact, [() => Reals() >= Reals()]),
        ["ge.Scalar"] = (Exact, [() => Reals() >= 0]),
        ["isnan"] = (Exact, [() => Odd().isnan()]),
        ["isfinite"] = (Exact, [() => Odd().isfinite()]),
        ["logical_not"] = (Exact, [() => Whole().logical_not(), () => Truth().logical_not()]),
        ["equal"] = (Exact, [() => tensor(Reals().Equals(Reals())), () => tensor(Reals().Equals(Turned())), () => tensor(Row().Equals(-Row()))]),
        ["allclose"] = (Exact, [() => tensor(Reals().allclose(Reals() + 1e-7)), () => tensor(Reals().allclose(Reals() + 1e-3)), () => tensor(Odd().allclose(Odd())), () => tensor(Odd().allclose(Odd(), equal_nan: true))]),
        ["sum"] = (Rounded, [() => Reals().sum(), () => Whole().sum(), () => Truth().sum(), () => Reals().sum(type: float64)]),
        ["sum.dim_IntList"] = (Rounded, [() => Reals().sum(1), () => Turned().sum(0, keepdim: true), () => Whole().sum(-1), () => Reals().sum([0, 2])]),
        ["mean"] = (Rounded, [() => Turned().mean()]),
        ["mean.dim"] = (Rounded, [() => Reals().mean([1]), () => Turned().mean([0, 1], keepdim: true)]),
        ["norm.Scalar"] = (Rounded, [() => Reals().norm(), () => tensor(0.5f).norm()]),
        ["max"] = (Exact, [() => Reals().max(), () => Whole().max(), () => Odd().max()]),
        ["min"] = (Exact, [() => Turned().min()]),
        ["max.dim"] = (Exact, [() => Reals().max(1).values, () => Reals().max(1).indexes, () => Turned().max(-1, keepdim: true).indexes]),
        ["min.dim"] = (Exact, [() => Reals().min(0).values, () => Reals().min(0).indexes]),
        ["argmax"] = (Exact, [() => Reals().argmax(), () => Reals().argmax(1), () => Turned().argmax(0, keepdim: true), () => Odd().argmax(), () => zeros(3).argmax()]),
        ["argmin"] = (Exact, [() => Reals().argmin(), () => Reals().argmin(-1)]),
        ["all"] = (Exact, [() => Truth().all(), () => Whole().all(), () => ones(2).all()]),
        ["any"] = (Exact, [() => Truth().any(), () => zeros(2).any()]),
        ["softmax.int"] = (Rounded, [() => Reals().softmax(1), () => Turned().softmax(-1), () => Row().softmax(0, float64)]),
        ["log_softmax.int"] = (Rounded, [() => Reals().log_softmax(0), () => Turned().log_softmax(1)]),
    };

    [SetUp]
    public void LibTorchMustBeThere()
    {
        if (!TryInitializeDeviceType(DeviceType.CPU))
            Assert.Ignore("libtorch is what the results are compared with");
    }

    [Test]
    public void EveryOperatorHasItsCase() => Assert.That(cases.Keys, Is.EquivalentTo(ManagedOperators.Names));

    [TestCaseSource(nameof(Names))]
    public void ItGivesWhatLibTorchGives(string name)
    {
        var (tolerance, calls) = cases[name];
        foreach (var call in calls)
        {
            var expected = Read(call);
            Reading actual;
            using (LibTorch.Hide())
                actual = Read(call);
            Assert.Multiple(() =>
            {
                Assert.That(actual.Type, Is.EqualTo(expected.Type));
                Assert.That(actual.Shape, Is.EqualTo(expected.Shape));
                Assert.That(actual.Values, Is.EqualTo(expected.Values).Using<double>((a, e) => a.Equals(e) || Math.Abs(a - e) <= tolerance * Math.Max(1, Math.Abs(e))));
            });
        }
    }

    private static IEnumerable<TestCaseData> Names() => cases.Keys.Select(name => new TestCaseData(name).SetArgDisplayNames(name));

    private static Reading Read(Func<Tensor> call)
    {
        using var scope = NewDisposeScope();
        var result = call();
        return new Reading(result.dtype, result.shape, result.dtype == float32 ? Array.ConvertAll(result.data<float>().ToArray(), x => (double)x)
            : result.dtype == float64 ? result.data<double>().ToArray()
            : result.dtype == int64 ? Array.ConvertAll(result.data<long>().ToArray(), x => (double)x)
            : result.dtype == int32 ? Array.ConvertAll(result.data<int>().ToArray(), x => (double)x)
            : result.dtype == uint8 ? Array.ConvertAll(result.data<byte>().ToArray(), x => (double)x)
            : result.dtype == int16 ? Array.ConvertAll(result.data<short>().ToArray(), x => (double)x)
            : result.dtype == int8 ? Array.ConvertAll(result.data<sbyte>().ToArray(), x => (double)x)
            : Array.ConvertAll(result.data<bool>().ToArray(), x => x ? 1.0 : 0));
    }

    /// <summary>From every type to every other, through values that the types round differently.</summary>
    private static IEnumerable<Func<Tensor>> Conversions()
    {
        ScalarType[] types = [uint8, int8, int16, int32, int64, float16, float32, float64, @bool, bfloat16];
        foreach (var from in types)
        {
            foreach (var to in types)
                yield return () => tensor(new[] { 0.0, 1.7, 2.0, 100.3, 0.1 }).to(from).to(to).to(to is ScalarType.Float16 or ScalarType.BFloat16 ? float32 : to);
        }
        yield return () => tensor(new[] { -1.7, -100.3, -0.1 }).to(int32);
        yield return () => tensor(new[] { -1L, 300, long.MaxValue }).to(uint8);
    }

    private static Tensor Reals() => tensor(Enumerable.Range(0, 24).Select(i => MathF.Sin(i * 1.3f) * 2).ToArray(), [2, 3, 4]);

    private static Tensor Turned() => Reals().permute(2, 1, 0);

    private static Tensor Whole() => tensor(Enumerable.Range(0, 24).Select(i => (i * 7L % 11) - 5).ToArray(), [2, 3, 4]);

    private static Tensor Row() => tensor(new[] { 0.5f, -1.25f, 3f });

    private static Tensor Truth() => tensor(new[] { true, false, true });

    private static Tensor Odd() => tensor(new[] { 1f, float.NaN, float.PositiveInfinity });

    private sealed record Reading(ScalarType Type, long[] Shape, double[] Values);
}
