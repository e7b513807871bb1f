using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace FusionGen.Kernels;

/// <summary>
/// The machine's OpenBLAS, if it has one, run with a single thread in each calling thread: callers are parallel over samples.
/// </summary>
/// <remarks>
/// Its OpenMP build asks OpenMP how many threads the calling thread may have; a product sets that to 1 and then back, which costs nanoseconds
/// and concerns no other thread. Its pthread build has one setting for the process, which concurrent callers could not set back reliably:
/// there it is set to 1 when the library is first used, and stays so. Other libraries under the name of libblas are not used:
/// the reference one is slower than <see cref="PackedProduct"/>, and of the others we do not know how to set the threads.
/// FUSIONGEN_BLAS names a library to use instead, or is <c>none</c>.
/// </remarks>
[SuppressMessage("Security", "CA5393", Justification = "The system's own search path is what finds the system's library.")]
internal sealed unsafe class Blas
{
    /// <summary>The environment variable that names the library, or is <c>none</c>.</summary>
    public const string Variable = "FUSIONGEN_BLAS";

    private const int RowMajor = 101;
    private const int NoTranspose = 111;
    private const int Transpose = 112;

    private static readonly string[] Names = ["libopenblas.so.0", "libopenblas.so", "libblas.so.3", "libopenblas.dylib", "libopenblas.dll"];

    // cblas_sgemm(order, transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
    private readonly delegate* unmanaged[Cdecl]<int, int, int, int, int, int, float, float*, int, float*, int, float, float*, int, void> sgemm;

    private readonly delegate* unmanaged[Cdecl, SuppressGCTransition]<int> getThreads;
    private readonly delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void> setThreads;

    private Blas(nint library, nint sgemm)
    {
        this.sgemm = (delegate* unmanaged[Cdecl]<int, int, int, int, int, int, float, float*, int, float*, int, float, float*, int, void>)sgemm;
        var parallel = Parallel(library);
        this.Name = $"OpenBLAS ({(parallel == 2 ? "OpenMP" : parallel == 1 ? "pthreads" : "sequential")})";
        if (parallel == 2 && NativeLibrary.TryLoad("libgomp.so.1", out var openMp) &&
            NativeLibrary.TryGetExport(openMp, "omp_get_max_threads", out var get) &&
            NativeLibrary.TryGetExport(openMp, "omp_set_num_threads", out var set))
        {
            this.getThreads = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int>)get;
            this.setThreads = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void>)set;
        }
        else if (NativeLibrary.TryGetExport(library, "openblas_set_num_threads", out var setAll))
        {
            ((delegate* unmanaged[Cdecl]<int, void>)setAll)(1);
        }
    }

    /// <summary>The library, or null where there is none. Found once, by the type's initialiser, whichever thread comes first.</summary>
    public static Blas? Library { get; } = Find(Environment.GetEnvironmentVariable(Variable));

    /// <summary>What it is, for people.</summary>
    public string Name { get; }

    /// <summary>C = alpha·A·B + beta·C, unchecked.</summary>
    public void Multiply(int m, int n, int k, MatrixView a, MatrixView b, Span<float> c, int stride, float alpha, float beta)
    {
        var threads = this.getThreads is null ? 0 : this.getThreads();
        if (threads > 1)
            this.setThreads(1);
        // The library wants leading dimensions of at least 1 and the width even where nothing is read.
        fixed (float* pa = a.Values, pb = b.Values, pc = c)
        {
            this.sgemm(
                RowMajor,
                a.Transposed ? Transpose : NoTranspose,
                b.Transposed ? Transpose : NoTranspose,
                m,
                n,
                k,
                alpha,
                pa,
                Math.Max(a.Stride, a.Transposed ? m : k),
                pb,
                Math.Max(b.Stride, b.Transposed ? k : n),
                beta,
                pc,
                stride);
        }
        if (threads > 1)
            this.setThreads(threads);
    }

    /// <summary>The library of a name, the first one known for none, null for <c>none</c>.</summary>
    internal static Blas? Find(string? wanted)
    {
        if (string.Equals(wanted, "none", StringComparison.OrdinalIgnoreCase))
            return null;
        string[] names = string.IsNullOrEmpty(wanted) ? Names : [wanted];
        foreach (var name in names)
        {
            if (NativeLibrary.TryLoad(name, out var library) && Parallel(library) >= 0 && NativeLibrary.TryGetExport(library, "cblas_sgemm", out var sgemm))
                return new(library, sgemm);
        }
        return null;
    }

    // 0: sequential, 1: pthreads, 2: OpenMP, −1: not OpenBLAS.
    private static int Parallel(nint library) =>
        NativeLibrary.TryGetExport(library, "openblas_get_parallel", out var parallel) ? ((delegate* unmanaged[Cdecl]<int>)parallel)() : -1;
}
