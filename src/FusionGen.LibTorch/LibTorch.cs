using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Runtime.InteropServices;

namespace TorchSharp;

/// <summary>
/// The libtorch behind the shim, or its absence: then tensors are managed ones (<see cref="ManagedTensor"/>), and whatever they cannot do says that
/// it needs libtorch. <c>FUSIONGEN_TORCH=none</c> does without one that is there; an application whose configuration sets <c>FusionGen.LibTorch.OnDemand</c>
/// does until something asks for it by <see cref="Load"/>, and saves the 150 MB and the time that loading it takes.
/// </summary>
internal static partial class LibTorch
{
    private const string Variable = "FUSIONGEN_TORCH";

    private const string OnDemand = "FusionGen.LibTorch.OnDemand";

    private static readonly Lazy<string?> absence = new(Absence);
    private static volatile bool isAwaited = AppContext.TryGetSwitch(OnDemand, out var isOnDemand) && isOnDemand;
    private static bool isHidden;

    /// <summary>Whether new tensors are libtorch's.</summary>
    public static bool IsPresent => !isAwaited && !isHidden && absence.Value is null;

    /// <summary>Threads to use if nobody says otherwise.</summary>
    public static int DefaultThreads =>
        int.TryParse(Environment.GetEnvironmentVariable("FUSIONGEN_THREADS"), NumberStyles.None, CultureInfo.InvariantCulture, out var wanted) && wanted > 0
            ? wanted
            : Environment.ProcessorCount;

    /// <summary>Why there is none, and how to get one.</summary>
    public static string Remedy =>
        $"There is none here: {absence.Value ?? "hidden"}. " +
        "On Debian: apt-get install libtorch-dev libopenblas0-openmp cmake g++, then build again. Elsewhere: name a torch folder, that of a Python wheel say, in LIBTORCH and build again.";

    /// <summary>The exception of a message. Tests that run into it put another one here, by which they end as ignored.</summary>
    public static Func<string, Exception> Error { get; set; } = message => new NotSupportedException(message);

    /// <summary>The error of doing something without libtorch.</summary>
    public static Exception Needed(string what) => Error($"{what} needs libtorch. {Remedy}");

    /// <summary>Loads it if that has waited for somebody to ask; whether it is there.</summary>
    /// <exception cref="InvalidOperationException">Tensors have been made without it.</exception>
    public static bool Load()
    {
        if (isAwaited && !isHidden)
        {
            if (absence.Value is null && ManagedTensor.LiveHandles > 0)
                throw new InvalidOperationException($"libtorch is loaded on demand ({OnDemand}), and there are tensors made without it: ask for it before the first one");
            isAwaited = false;
        }
        return IsPresent;
    }

    /// <summary>Throws where there is no libtorch.</summary>
    public static void Require(string what)
    {
        if (!IsPresent)
            throw Needed(what);
    }

    /// <summary>Makes new tensors managed ones until disposed; for tests, which compare the two.</summary>
    public static IDisposable Hide() => new Hiding();

    private static string? Absence()
    {
        if (string.Equals(Environment.GetEnvironmentVariable(Variable), "none", StringComparison.OrdinalIgnoreCase))
            return $"{Variable} is none";
        // OpenMP's workers wait for each other by spinning, for milliseconds at a time. That gains nothing where every thread has a core
        // and costs most of the machine where one has not: spin about as long as waking a sleeping thread takes. The OpenMP runtime
        // reads this when it is loaded, which the next call does; values that the user set stay.
        if (OperatingSystem.IsLinux() && Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is null)
            _ = SetEnvironment("GOMP_SPINCOUNT", "1000", overwrite: 0);
        try
        {
            NativeLibrary.Load(Native.Library, typeof(LibTorch).Assembly, searchPath: null);
        }
        catch (Exception error) when (error is DllNotFoundException or BadImageFormatException)
        {
            return FirstCause(error.Message);
        }
        Native.KeepLargeBlocks();
        Native.Check(Native.SetThreads(ManagedModes.Threads));
        return null;
    }

    /// <summary>The loader lists every name it tried; a library that was there but lacks one of its own is what the user can mend.</summary>
    private static string FirstCause(string message)
    {
        var lines = message.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var broken = lines.FirstOrDefault(line => line.Contains("cannot open shared object file", StringComparison.Ordinal) && !line.Contains(Native.Library, StringComparison.Ordinal))
            ?? lines.FirstOrDefault(line => line.Contains("symbol", StringComparison.Ordinal));
        return broken ?? "the shim was not built: no libtorch, CMake or C++ compiler was there";
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    [SuppressMessage("Security", "CA5392", Justification = "The C library is loaded already.")]
    private static partial int SetEnvironment(string name, string value, int overwrite);

    private sealed class Hiding : IDisposable
    {
        private readonly bool before = isHidden;

        public Hiding() => isHidden = true;

        public void Dispose() => isHidden = this.before;
    }
}
