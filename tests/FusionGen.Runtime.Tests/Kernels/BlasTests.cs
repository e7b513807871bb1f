using System.Runtime.InteropServices;
using FusionGen.Kernels;

namespace FusionGen.Runtime.Tests.Kernels;

[TestFixture]
internal sealed unsafe class BlasTests
{
    [TestCase("none")]
    [TestCase("no-such-library-of-linear-algebra")]
    public void Is_left_out_on_demand_or_where_there_is_none(string name) => Assert.That(Blas.Find(name), Is.Null);

    [Test]
    public void Leaves_the_callers_number_of_threads()
    {
        Assume.That(Blas.Library?.Name, Does.Contain("OpenMP"));
        var openMp = NativeLibrary.Load("libgomp.so.1");
        var get = (delegate* unmanaged<int>)NativeLibrary.GetExport(openMp, "omp_get_max_threads");
        var set = (delegate* unmanaged<int, void>)NativeLibrary.GetExport(openMp, "omp_set_num_threads");
        var before = get();
        set(3);
        var c = new float[1];
        Blas.Library!.Multiply(1, 1, 1, new([2], 1), new([3], 1), c, 1, 1, 0);
        var after = get();
        set(before);
        Assert.That((c[0], after), Is.EqualTo((6, 3)));
    }

    [Test]
    public void What_is_in_use_has_a_name()
    {
        var isOurs = Blas.Library is null || (Gemm.IsFast && string.IsNullOrEmpty(Environment.GetEnvironmentVariable(Blas.Variable)));
        Assert.That(Gemm.Product, Does.StartWith(isOurs ? "FusionGen (" : "OpenBLAS ("));
    }
}
