using System.CommandLine;
using System.Runtime.InteropServices;
using FusionGen.Cli.Output;
using FusionGen.Kernels;
using static TorchSharp.torch;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen doctor</c>.</summary>
internal sealed class DoctorCommand : ToolCommand
{
    private readonly Option<bool> missing;

    public DoctorCommand()
        : base(
            "doctor",
            "Says what this machine offers and what more would add: libtorch and its BLAS, threads, GPUs, matrix products, image codecs.",
            "fusiongen doctor",
            "fusiongen doctor --missing") =>
        this.missing = this.Takes(new Option<bool>("--missing") { Description = "Only what is missing, what it would add and how to get it." });

    public override ExitCode Run(Invocation invocation)
    {
        List<Finding> findings =
        [
            new("system", $"{RuntimeInformation.OSDescription}, {RuntimeInformation.ProcessArchitecture}"),
            new(".NET", RuntimeInformation.FrameworkDescription),
            new("processors", Numbers.Text(Environment.ProcessorCount)),
            new("memory", Numbers.Bytes(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes)),
            new("threads", $"{get_num_threads()}; --threads or FUSIONGEN_THREADS sets them"),
            .. Torch(),
            new("products", Gemm.Product, !Gemm.IsFast && Gemm.Product.StartsWith("FusionGen", StringComparison.Ordinal) ? "OpenBLAS's may be faster on this processor: on Debian, apt-get install libopenblas0-openmp" : ""),
            Codec("JPEG", "libturbojpeg.so.0", "libturbojpeg0"),
            Codec("PNG", "libpng16.so.16", "libpng16-16"),
        ];
        var onlyMissing = invocation.Get(this.missing);
        foreach (var finding in findings.Where(finding => !onlyMissing || finding.Gain.Length > 0))
        {
            invocation.Terminal.Line($"{finding.What,-10}  {finding.Found}");
            if (finding.Gain.Length > 0)
                invocation.Terminal.Line($"{"",-10}  → {finding.Gain}");
        }
        if (!onlyMissing || findings.All(finding => finding.Gain.Length == 0))
            invocation.Terminal.Line(findings.All(finding => finding.Gain.Length == 0) ? "nothing is missing" : "searching, training and predicting work as they are; → says what more would add");
        return ExitCode.Ok;
    }

    private static IEnumerable<Finding> Torch()
    {
        try
        {
            InitializeDeviceType(TorchSharp.DeviceType.CPU);
        }
        catch (NotSupportedException error)
        {
            return [new("libtorch", "not used", $"adds --engine eager, exact second order, pretrain, parity and GPUs. {error.Message}")];
        }
        // The product makes libtorch load its BLAS.
        using var two = ones(2, 2);
        using var product = two.mm(two);
        var loaded = LoadedLibraries();
        var gpus = cuda.is_available() ? cuda.device_count() : 0;
        return
        [
            new("libtorch", $"{__version__}{Where(loaded, "libtorch_cpu")}"),
            Blas(loaded),
            gpus == 0
                ? new("GPU", "none that this libtorch can use", "for one, set LIBTORCH to a CUDA build of libtorch (a Python wheel of torch holds one)")
                : new("GPU", $"{gpus} CUDA device{(gpus == 1 ? "" : "s")}: --device cuda; its work is {(Static.Accelerator.Records(device(TorchSharp.DeviceType.CUDA, 0)) ? "recorded and played back" : "not recorded (CUDA graphs): the shim was built without CUDA's headers")}"),
        ];
    }

    /// <summary>OpenBLAS's pthread build fights libtorch's own threads: two to three times slower than its OpenMP build.</summary>
    private static Finding Blas(IReadOnlyList<string> loaded)
    {
        var path = loaded.FirstOrDefault(library => Path.GetFileName(library) is var name && (name.Contains("blas", StringComparison.Ordinal) || name.Contains("mkl", StringComparison.Ordinal)));
        if (path is null)
            return new Finding("BLAS", "inside libtorch");
        return path.Contains("openblas-pthread", StringComparison.Ordinal)
            ? new Finding("BLAS", path, "2–3× slower under libtorch than its OpenMP build: apt-get install libopenblas0-openmp, and choose it by update-alternatives")
            : new Finding("BLAS", path);
    }

    private static Finding Codec(string name, string library, string package)
    {
        if (!NativeLibrary.TryLoad(library, out var handle))
            return new Finding(name, $"{library} not found", $"adds {name} images to folder: and csv: data and to predict: on Debian, apt-get install {package}");
        NativeLibrary.Free(handle);
        return new Finding(name, library);
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

    /// <summary>What there is of something; what more of it would add, if anything.</summary>
    private sealed record Finding(string What, string Found, string Gain = "");
}
