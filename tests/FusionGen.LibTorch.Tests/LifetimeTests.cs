using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace TorchSharp.Tests;

[NonParallelizable]
internal sealed class LifetimeTests
{
    [Test]
    public void UseAfterDisposeThrows()
    {
        var x = ones([2]);
        x.Dispose();
        x.Dispose();
        using var y = ones([2]);
        Assert.Multiple(() =>
        {
            Assert.That(x.IsInvalid, Is.True);
            Assert.That(() => x.shape, Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(() => x.add_(y), Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(() => y + x, Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(() => cat([y, x]), Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(() => autograd.grad([x], [y]), Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(x.ToString(), Is.EqualTo("disposed tensor"));
        });
        var generator = new Generator(1);
        generator.Dispose();
        Assert.That(() => y.normal_(generator: generator), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public void NativeErrorsCarryTheMessageAndNoStack()
    {
        using var a = ones([2, 3]);
        using var b = ones([4, 5]);
        var error = Assert.Throws<ExternalException>(() => a.matmul(b).Dispose())!;
        Assert.That(error.Message, Is.EqualTo("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"));
    }

    [Test]
    public void AScopeDisposesWhatWasCreatedInIt()
    {
        Tensor kept, detached, inner;
        var before = Native.LiveHandles();
        using (var outer = NewDisposeScope())
        {
            using (var scope = NewDisposeScope())
            {
                Assert.That(CurrentDisposeScope, Is.SameAs(scope));
                inner = ones([1]);
                kept = (inner + 1).MoveToOuterDisposeScope();
                detached = (inner + 2).DetachFromDisposeScope();
                Assert.That(scope.DisposablesCount, Is.EqualTo(1));
                Assert.That(scope.Contains(inner), Is.True);
            }
            Assert.That((inner.IsInvalid, kept.IsInvalid, detached.IsInvalid), Is.EqualTo((true, false, false)));
            Assert.That(CurrentDisposeScope, Is.SameAs(outer));
        }
        Assert.That(CurrentDisposeScope, Is.Null);
        Assert.That((kept.IsInvalid, detached.IsInvalid), Is.EqualTo((true, false)));
        detached.Dispose();
        Assert.That(Native.LiveHandles(), Is.EqualTo(before));
    }

    [Test]
    public void AScopeForgetsWhatIsDisposedEarly()
    {
        using var scope = NewDisposeScope();
        var x = ones([1]);
        x.Dispose();
        Assert.That(scope.DisposablesCount, Is.Zero);
        var (first, second) = scope.MoveToOuter(ones([1]), ones([1]));
        Assert.That(scope.DisposablesCount, Is.Zero);
        scope.Attach(first, second);
        var third = scope.Detach(ones([1]));
        scope.DisposeEverythingBut(second);
        Assert.That((first.IsInvalid, second.IsInvalid, third.IsInvalid), Is.EqualTo((true, false, false)));
        third.Dispose();
    }

    [Test]
    public void ScopesMayEndOutOfOrder()
    {
        var outer = NewDisposeScope();
        var inner = NewDisposeScope();
        outer.Dispose();
        var x = ones([1]);
        Assert.That(inner.Contains(x), Is.True);
        Assert.That(x.MoveToOuterDisposeScope().IsInvalid, Is.False);
        inner.Dispose();
        Assert.That(x.IsInvalid, Is.False, "there is no outer scope left to own it");
        x.Dispose();
    }

    [Test]
    public void ScopesBelongToTheirThread()
    {
        using var scope = NewDisposeScope();
        Tensor? elsewhere = null;
        var thread = new Thread(() => elsewhere = ones([1]));
        thread.Start();
        thread.Join();
        Assert.That(scope.Contains(elsewhere!), Is.False);
        elsewhere!.Dispose();
    }

    [Test]
    public void StatisticsCountTheThreadsTensors()
    {
        var statistics = DisposeScopeManager.Statistics;
        statistics.Reset();
        var outside = ones([1]);
        using (NewDisposeScope())
        {
            var inside = outside + 1;
            inside.DetachFromDisposeScope().Dispose();
            _ = outside + 2;
        }
        outside.Dispose();
        var tensors = statistics.TensorStatistics;
        Assert.That(
            (tensors.CreatedInScopeCount, tensors.CreatedOutsideScopeCount, tensors.DisposedInScopeCount, tensors.DisposedOutsideScopeCount, tensors.DetachedFromScopeCount, tensors.ThreadTotalLiveCount),
            Is.EqualTo((2L, 1L, 1L, 2L, 1L, 0L)));
    }

    [Test]
    public void AParameterTakesItsTensorOver()
    {
        using var scope = NewDisposeScope();
        var data = ones([2]);
        var parameter = new Parameter(data);
        Assert.That((data.IsInvalid, parameter.requires_grad, scope.Contains(parameter), scope.DisposablesCount), Is.EqualTo((true, true, true, 1)));
    }

    [Test]
    public void TheFinaliserFreesWhatWasForgotten()
    {
        var before = Native.LiveHandles();
        Forget(100);
        Collect();
        Assert.That(Native.LiveHandles(), Is.LessThanOrEqualTo(before));
    }

    /// <summary>Objects of a few bytes give the collector no reason to run; the memory behind them must.</summary>
    [Test]
    public void ForgottenMemoryIsCollectedBeforeItPilesUp()
    {
        var most = 0L;
        for (var i = 0; i < 100; i++)
        {
            Forget(1, 16 << 20);
            most = Math.Max(most, NativeMemory.Held);
        }
        Assert.That(most, Is.LessThan(1_300_000), "KiB; 100 × 64 MiB were allocated");
    }

    [Test]
    public void ManyThreadsMayCreateAndForget()
    {
        Parallel.For(0, 8, worker =>
        {
            for (var i = 0; i < 2000; i++)
            {
                var x = ones([4]);
                var y = x + worker;
                if (i % 2 == 0)
                    y.Dispose();
            }
        });
        Collect();
    }

    [Test]
    public void TenThousandTrainingStepsLeakNothing()
    {
        // One thread: what is tested is memory, and waiting for other threads is most of the time of tiny operators.
        var threads = get_num_threads();
        set_num_threads(1);
        using var generator = new Generator(3);
        using var x = randn([8, 16], generator: generator);
        using var labels = randint(4, [8], generator: generator);
        using var w1 = new Parameter(randn([16, 16], generator: generator) * 0.1);
        using var w2 = new Parameter(randn([4, 16], generator: generator) * 0.1);
        double first = 0, last = 0;
        long handles = 0, memory = 0;
        for (var step = 0; step < 10_500; step++)
        {
            // What a process always warms up (tiered code, pools) is not a leak: count from step 500.
            if (step == 500)
            {
                Collect();
                (handles, memory) = (Native.LiveHandles(), ResidentBytes());
            }
            using var scope = NewDisposeScope();
            var loss = F.cross_entropy(F.linear(F.gelu(F.linear(x, w1)), w2), labels);
            loss.backward();
            using (no_grad())
            {
                foreach (var parameter in (Parameter[])[w1, w2])
                {
                    parameter.sub_(parameter.grad! * 0.01);
                    parameter.grad = null;
                }
            }
            last = loss.item<float>();
            if (step == 0)
                first = last;
        }
        set_num_threads(threads);
        Collect();
        Assert.That(last, Is.LessThan(first / 2), "it trained");
        Assert.That(Native.LiveHandles() - handles, Is.LessThanOrEqualTo(0));
        Assert.That(ResidentBytes() - memory, Is.LessThan(32 << 20), "bytes resident");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Forget(int count, long elements = 10)
    {
        for (var i = 0; i < count; i++)
            _ = empty([elements]);
    }

    private static void Collect()
    {
        for (var i = 0; i < 2; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
    }

    private static long ResidentBytes() => Environment.WorkingSet;
}
