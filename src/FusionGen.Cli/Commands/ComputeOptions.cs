using System.CommandLine;
using FusionGen.Static;
using TorchSharp;
using static TorchSharp.torch;

namespace FusionGen.Cli.Commands;

/// <summary>Where and by whom networks are computed.</summary>
/// <param name="Device">Where they live.</param>
/// <param name="Engine">Who computes them.</param>
/// <param name="Accelerator">Where their static programs run, if not where they live.</param>
internal sealed record Compute(Device Device, Engine Engine, Accelerator? Accelerator)
{
    /// <summary>Has a network computed so.</summary>
    public void Apply(FusionNetwork network)
    {
        network.Engine = this.Engine;
        network.Accelerator = this.Accelerator;
    }

    /// <summary>Waits for what is still being computed.</summary>
    public void Synchronize()
    {
        if (this.Device.type == DeviceType.CUDA)
            cuda.synchronize(this.Device);
    }

    /// <summary>The device's name, and the precision where it is not float32.</summary>
    public string Place => (this.Accelerator?.Device ?? this.Device) + (this.Accelerator is { Precision: not ScalarType.Float32 } other ? $" in {other.Precision.ToString().ToLowerInvariant()}" : "");
}

/// <summary>Options that say where and by whom to compute.</summary>
internal sealed class ComputeOptions
{
    private readonly Option<string> device;
    private readonly Option<Engine?> engine;
    private readonly Option<string?> precision;
    private readonly Option<int> threads;

    /// <summary>Adds them to a command.</summary>
    public ComputeOptions(ToolCommand command)
    {
        this.device = command.Takes(new Option<string>("--device") { Description = "Where to compute: cpu, cuda or cuda:1.", HelpName = "device", DefaultValueFactory = _ => "cpu" });
        this.threads = command.Takes(new Option<int>("--threads")
        {
            Description = "Threads: workers of the static engine, or what an operation of libtorch may use; 0 for one per processor.",
            HelpName = "number",
            DefaultValueFactory = _ => 0,
        });
        this.engine = command.Takes(new Option<Engine?>("--engine")
        {
            Description = "Who computes: the compiled static program, as by default on the CPU, or eager modules on libtorch, as by default on GPUs and always for exact second order.",
            HelpName = "static|eager",
        });
        this.precision = command.Takes(new Option<string?>("--precision")
        {
            Description = "Of the static engine on a GPU: float32 as by default, or bfloat16 for frozen weights, activations and products; what is tuned stays float32.",
            HelpName = "type",
        });
    }

    /// <summary>What a command line says.</summary>
    /// <param name="invocation">The command line.</param>
    /// <param name="order">How the spec wants to search: exact second order is computed by eager modules too.</param>
    /// <exception cref="FusionException">There is no such device, or it does not compute so.</exception>
    public Compute Of(Invocation invocation, SearchOrder order)
    {
        UseThreads(invocation.Get(this.threads));
        var device = DeviceOf(invocation.Get(this.device));
        var engine = invocation.Get(this.engine) ?? (device.type == DeviceType.CPU ? Engine.Static : Engine.Eager);
        // What eager modules may meet is libtorch's from the first tensor on; where there is none, they say so themselves.
        if (engine == Engine.Eager || order == SearchOrder.SecondExact)
            _ = LibTorch.IsPresent;
        var isAccelerated = engine == Engine.Static && device.type != DeviceType.CPU;
        var precision = invocation.Get(this.precision) switch
        {
            null or "float32" => ScalarType.Float32,
            "bfloat16" when isAccelerated => ScalarType.BFloat16,
            "bfloat16" => throw new FusionException("--precision: bfloat16 is for the static engine on a GPU, '--engine static --device cuda'", ExitCode.Spec),
            var other => throw new FusionException($"--precision: '{other}' is neither float32 nor bfloat16", ExitCode.Spec),
        };
        return isAccelerated ? new Compute(CPU, engine, new Accelerator(device, precision)) : new Compute(device, engine, null);
    }

    private static Device DeviceOf(string name)
    {
        var parts = name.Split(':');
        var index = 0;
        if (parts.Length > 2 || parts[0] is not ("cpu" or "cuda") || (parts.Length == 2 && !int.TryParse(parts[1], out index)))
            throw new FusionException($"--device: '{name}' is none of cpu, cuda, cuda:1", ExitCode.Spec);
        if (parts[0] == "cpu")
            return CPU;
        LibTorch.Require($"--device {name}");
        if (!cuda.is_available() || index >= cuda.device_count())
            throw new FusionException($"--device: this libtorch sees {(cuda.is_available() ? cuda.device_count() : 0)} CUDA devices, so there is no '{name}'; 'fusiongen doctor' says what is missing", ExitCode.Spec);
        return device(DeviceType.CUDA, index);
    }

    private static void UseThreads(int threads)
    {
        if (threads < 0)
            throw new FusionException($"--threads: {threads} is no number of threads", ExitCode.Spec);
        if (threads > 0)
            set_num_threads(threads);
    }
}
