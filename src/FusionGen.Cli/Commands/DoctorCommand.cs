using System.Runtime.InteropServices;
using FusionGen.Cli.Output;
using FusionGen.Kernels;
using static TorchSharp.torch;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen doctor</c>.</summary>
internal sealed class DoctorCommand : ToolCommand
{
    public DoctorCommand()
        : base(
            "doctor",
            "Says what this machine offers, what is missing and how to get it: libtorch and its BLAS, threads, GPUs, image codecs.",
            "fusiongen doctor")
    {
    }

    public override ExitCode Run(Invocation invocation)
    {
        var findings = new List<Finding>
        {
            new("system", $"{RuntimeInformation.OSDescription}, {RuntimeInformation.ProcessArchitecture}", ""),
            new(".NET", RuntimeInformation.FrameworkDescription, ""),
            new("processors", Numbers.Text(Environment.ProcessorCount), ""),
            new("memory", Numbers.Bytes(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes), ""),
        };
        findings.AddRange(Torch());
        findings.Add(new("products", Gemm.Product, Gemm.Product.StartsWith("FusionGen", StringComparison.Ordinal) && !Gemm.Product.Contains("512-bit", StringComparison.Ordinal) ? "OpenBLAS's are faster on this processor: on Debian, apt-get install libopenblas0-openmp" : ""));
        findings.Add(Codec("JPEG", "libturbojpeg.so.0", "libturbojpeg0"));
        findings.Add(Codec("PNG", "libpng16.so.16", "libpng16-16"));

        foreach (var finding in findings)
        {
            invocation.Terminal.Line($"{finding.What,-10}  {finding.Found}");
            if (finding.Remedy.Length > 0)
                invocation.Terminal.Line($"{"",-10}  → {finding.Remedy}");
        }
        var missing = findings.Where(finding => finding.IsMissing).Select(finding => finding.What).ToList();
        invocation.Terminal.Line(missing.Count == 0 ? "everything needed is here" : $"missing: {string.Join(", ", missing)}");
        return missing.Count == 0 ? ExitCode.Ok : ExitCode.Data;
    }

    private static IEnumerable<Finding> Torch()
    {
        string version;
        try
        {
            // The product makes libtorch load its BLAS.
            using var two = ones(2, 2);
            using var product = two.mm(two);
            version = __version__;
        }
#pragma warning disable CA1031 // Whatever keeps libtorch from loading is what the user asks about.
        catch (Exception error)
#pragma warning restore CA1031
        {
            var cause = error.GetBaseException().Message.Split('\n')[0];
            return [new("libtorch", cause, "on Debian: apt-get install libtorch-dev libopenblas0-openmp, then build again; or set LIBTORCH to a libtorch", IsMissing: true)];
        }
        var loaded = LoadedLibraries();
        var gpus = cuda.is_available() ? cuda.device_count() : 0;
        return
        [
            new("libtorch", $"{version}{Where(loaded, "libtorch_cpu")}", ""),
            Blas(loaded),
            new("threads", $"{get_num_threads()} for an operation", "--threads, or FUSIONGEN_THREADS"),
            new("GPU", gpus == 0 ? "none that this libtorch can use" : $"{gpus} CUDA device{(gpus == 1 ? "" : "s")}", gpus == 0 ? "for one, set LIBTORCH to a CUDA build of libtorch (a Python wheel of torch holds one)" : "--device cuda"),
        ];
    }

    /// <summary>OpenBLAS's pthread build fights libtorch's own threads: two to three times slower than its OpenMP build.</summary>
    private static Finding Blas(IReadOnlyList<string> loaded)
    {
        var path = loaded.FirstOrDefault(library => Path.GetFileName(library) is var name && (name.Contains("blas", StringComparison.Ordinal) || name.Contains("mkl", StringComparison.Ordinal)));
        if (path is null)
            return new Finding("BLAS", "inside libtorch", "");
        return path.Contains("openblas-pthread", StringComparison.Ordinal)
            ? new Finding("BLAS", path, "2–3× slower under libtorch than its OpenMP build: apt-get install libopenblas0-openmp, and choose it by update-alternatives")
            : new Finding("BLAS", path, "");
    }

    private static Finding Codec(string name, string library, string package)
    {
        if (!NativeLibrary.TryLoad(library, out var handle))
            return new Finding(name, $"{library} not found", $"on Debian: apt-get install {package}", IsMissing: true);
        NativeLibrary.Free(handle);
        return new Finding(name, library, "");
    }

    private static string Where(IReadOnlyList<string> loaded, string name) =>
        loaded.FirstOrDefault(library => Path.GetFileName(library).StartsWith(name, StringComparison.Ordinal)) is { } path ? $", {path}" : "";

    /// <summary>Native libraries of this process, links resolved; empty where the system does not tell.</summary>
    private static List<string> LoadedLibraries()
    {
        const string Maps = "/proc/self/maps";
        return !File.Exists(Maps)
            ? []
            : [.. File.ReadLines(Maps).Select(line => line.IndexOf('/', StringComparison.Ordinal) is >= 0 and var at ? line[at..] : "").Where(path => path.Contains(".so", StringComparison.Ordinal)).Distinct(StringComparer.Ordinal)];
    }

    private sealed record Finding(string What, string Found, string Remedy, bool IsMissing = false);
}
