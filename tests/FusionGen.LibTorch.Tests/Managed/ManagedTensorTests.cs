using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchSharp.Managed.Tests;

/// <summary>Tensors without libtorch: storage, lifetime, and what is said where libtorch is needed.</summary>
[NonParallelizable]
internal sealed class ManagedTensorTests
{
    private IDisposable? hiding;

    [SetUp]
    public void Hide() => this.hiding = LibTorch.Hide();

    [TearDown]
    public void Show() => this.hiding!.Dispose();

    [Test]
    public void ViewsShareTheirStorage()
    {
        using var scope = NewDisposeScope();
        var flat = arange(24, dtype: float32);
        var matrix = flat.view(4, 6);
        Tensor[] views = [matrix[1], matrix.narrow(0, 1, 1), matrix.t().narrow(1, 1, 1), flat[6..12], flat.detach().slice(0, 6, 12, 1), matrix.alias().select(0, 1), new Parameter(flat.narrow(0, 6, 6))];
        foreach (var view in views)
        {
            flat.copy_(arange(24));
            view.detach().fill_(-1);
            Assert.That(flat.data<float>().ToArray(), Is.EqualTo(Enumerable.Range(0, 24).Select(i => i is >= 6 and < 12 ? -1f : i)));
        }
        matrix.bytes[0..4].CopyTo(flat.bytes[92..96]);
        Assert.That(flat[23].item<float>(), Is.Zero, "bytes are the storage itself");
    }

    [Test]
    public void CopiesDoNot()
    {
        using var scope = NewDisposeScope();
        var source = arange(6, dtype: float32);
        Tensor[] copies = [source.clone(), source.to(float32, copy: true), source.view(2, 3).t().contiguous(), cat([source]), source + 0];
        source.zero_();
        Assert.That(copies.Select(copy => copy.sum().ToDouble()), Is.All.EqualTo(15));
    }

    [Test]
    public unsafe void MemoryStaysInPlaceAndIsAligned()
    {
        using var x = zeros(1000);
        var before = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(x.bytes));
        GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);
        Assert.That((nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(x.bytes)), Is.EqualTo(before));
        Assert.That((long)before % 64, Is.Zero);
    }

    [Test]
    public void AStorageLivesAsLongAsItsLastView()
    {
        var before = Tensor.TotalCount;
        var whole = arange(1000, dtype: float64);
        var part = whole.narrow(0, 990, 10);
        whole.Dispose();
        Assert.That(part.data<double>().ToArray(), Is.EqualTo(Enumerable.Range(990, 10)));
        Assert.That(() => whole.sum(), Throws.InstanceOf<ObjectDisposedException>());
        part.Dispose();
        Assert.That(Tensor.TotalCount, Is.EqualTo(before));
    }

    [Test]
    public void ThousandsOfStepsLeakNothing()
    {
        using var parameter = new Parameter(zeros(64, 64));
        long handles = 0, memory = 0;
        for (var step = 0; step < 5500; step++)
        {
            if (step == 500)
            {
                Collect();
                (handles, memory) = (Tensor.TotalCount, Environment.WorkingSet);
            }
            using var scope = NewDisposeScope();
            using var guard = no_grad();
            parameter.add_(ones(64, 64) * 0.5).mul_(0.9);
            _ = parameter.sum(0).argmax().item<long>();
        }
        Collect();
        Assert.That(Tensor.TotalCount - handles, Is.LessThanOrEqualTo(0));
        Assert.That(Environment.WorkingSet - memory, Is.LessThan(32 << 20), "bytes resident");
    }

    [Test]
    public void TheFinaliserFreesWhatWasForgotten()
    {
        var before = Tensor.TotalCount;
        Forget(100, 10);
        Collect();
        Assert.That(Tensor.TotalCount, Is.LessThanOrEqualTo(before));
    }

    /// <summary>100 × 64 MiB; the machine that has as much is not what is tested.</summary>
    [Test]
    public void ForgottenMemoryIsCollectedBeforeItPilesUp()
    {
        var most = 0L;
        for (var i = 0; i < 100; i++)
        {
            Forget(1, 16 << 20);
            most = Math.Max(most, NativeMemory.Held);
        }
        Assert.That(most, Is.LessThan(1_300_000), "KiB");
    }

    [Test]
    public void WhatNeedsLibTorchSaysSoAndHowToGetIt()
    {
        using var scope = NewDisposeScope();
        var x = new Parameter(ones(2, 2));
        Action[] needs =
        [
            () => nn.functional.conv2d(x, x), () => x.sum().backward(), () => autograd.grad([x.sum()], [x]), () => randn([2]), () => manual_seed(1),
            () => x.to(CUDA), () => zeros(2, device: CUDA), () => x.grad = ones(2), () => x.split(1), () => cuda.synchronize(),
        ];
        Assert.Multiple(() =>
        {
            foreach (var need in needs)
                Assert.That(() => need(), Throws.InstanceOf<NotSupportedException>().With.Message.Contains("needs libtorch").And.Message.Contains("apt-get install libtorch-dev"));
            Assert.That(() => nn.functional.linear(x, x), Throws.InstanceOf<NotSupportedException>().With.Message.StartsWith("the operator aten::linear needs libtorch"));
            Assert.That(() => x.to(CUDA), Throws.InstanceOf<NotSupportedException>().With.Message.StartsWith("the device cuda needs libtorch"));
            Assert.That(() => InitializeDeviceType(DeviceType.CPU), Throws.InstanceOf<NotSupportedException>().With.Message.Contains("apt-get install libtorch-dev"));
            Assert.That((TryInitializeDeviceType(DeviceType.CPU), cuda.is_available(), __version__), Is.EqualTo((false, false, "none")));
        });
    }

    [Test]
    public void WrongShapesAreErrorsAsLibTorchs()
    {
        using var scope = NewDisposeScope();
        var x = ones(2, 3);
        Action[] wrongs = [() => x.view(7), () => x.t().view(6), () => _ = x + ones(2), () => x.narrow(0, 1, 2), () => x.select(2, 0), () => x.expand(3, 3), () => cat([x, ones(2, 2)]), () => x.sum().argmax(1), () => x.ToDouble()];
        Assert.Multiple(() =>
        {
            foreach (var wrong in wrongs)
                Assert.That(() => wrong(), Throws.InstanceOf<ExternalException>());
        });
    }

    [Test]
    public void ModesAndThreadsAreRemembered()
    {
        var threads = get_num_threads();
        set_num_threads(3);
        using (no_grad())
        {
            Assert.That((get_num_threads(), is_grad_enabled()), Is.EqualTo((3, false)));
            using (enable_grad())
                Assert.That(is_grad_enabled(), Is.True);
        }
        using (inference_mode())
            Assert.That((is_inference_mode_enabled(), is_grad_enabled()), Is.EqualTo((true, false)));
        Assert.That((is_inference_mode_enabled(), is_grad_enabled()), Is.EqualTo((false, true)));
        set_num_threads(threads);
    }

    [Test]
    public void AParameterKeepsWhatItIs()
    {
        using var parameter = new Parameter(zeros(2, 3));
        Assert.That((parameter.requires_grad, parameter.is_leaf, parameter.grad), Is.EqualTo((true, true, default(Tensor))));
        using var linear = new Holder(parameter);
        linear.to(float64);
        Assert.That((parameter.dtype, parameter.requires_grad), Is.EqualTo((float64, true)));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Forget(int count, long elements)
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

    private sealed class Holder : nn.Module
    {
        public Holder(Parameter parameter)
            : base("holder") => this.register_parameter("weight", parameter);
    }
}
