using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Emit;

/// <summary>
/// A network compiled: its text without any name of a spec's, and its figures. Specs of one network that differ in names, recipes and data share it,
/// and an edit of those compiles no network.
/// </summary>
public sealed record CompiledNetwork
{
    /// <summary>Whether it is a supernet, whose mixture is searched.</summary>
    public required bool IsSupernet { get; init; }

    /// <inheritdoc cref="Network.Counts"/>
    public required ParameterCounts Counts { get; init; }

    /// <inheritdoc cref="Network.Macs"/>
    public required long Macs { get; init; }

    /// <inheritdoc cref="Network.ActivationBytes"/>
    public required long ActivationBytes { get; init; }

    /// <inheritdoc cref="Network.Losses"/>
    public required EquatableArray<double> Losses { get; init; }

    /// <summary>What a training step need not compute again; null where its first call is tuned already.</summary>
    public required FrozenPrefix? Frozen { get; init; }

    /// <summary>The static program of a training step.</summary>
    public required CompiledProgram Training { get; init; }

    /// <summary>The static program of a forward pass.</summary>
    public required CompiledProgram Inference { get; init; }

    /// <summary>The table of parameters, as an expression.</summary>
    public required Code Tensors { get; init; }

    /// <summary>Members of the class: parameters, and the graph as methods.</summary>
    public required Code Members { get; init; }

    /// <summary>Compiles one.</summary>
    internal static CompiledNetwork Of(Networks networks, Network network, bool isSupernet) => new()
    {
        IsSupernet = isSupernet,
        Counts = network.Counts,
        Macs = network.Macs,
        ActivationBytes = network.ActivationBytes,
        Losses = network.Losses.ToEquatableArray(),
        Frozen = networks.Plan(network, isTraining: true).Layout.Frozen,
        Training = CompiledProgram.Of(networks, network, isSupernet, isTraining: true),
        Inference = CompiledProgram.Of(networks, network, isSupernet, isTraining: false),
        Tensors = Text(code => NetworkCode.WriteSpecs(code, network), depth: 2),
        Members = Text(code => new NetworkCode(network, isSupernet).Write(code), depth: 2),
    };

    /// <summary>Text that goes into a file at a depth.</summary>
    internal static Code Text(Action<CodeWriter> write, int depth)
    {
        var code = new CodeWriter(depth);
        write(code);
        return code.ToCode();
    }
}

/// <summary>A static program compiled.</summary>
/// <param name="Shared">Numbers of what is computed once a step.</param>
/// <param name="Partial">Numbers of a worker's sums.</param>
/// <param name="Sample">Numbers of an image, at the moment when most are alive.</param>
/// <param name="Scratch">Numbers that a call needs for itself.</param>
/// <param name="Class">Its class but for the line with its name.</param>
public sealed record CompiledProgram(long Shared, long Partial, long Sample, long Scratch, Code Class)
{
    /// <summary>Compiles one.</summary>
    internal static CompiledProgram Of(Networks networks, Network network, bool isSupernet, bool isTraining)
    {
        var plan = networks.Plan(network, isTraining);
        return new CompiledProgram(
            plan.SharedElements, plan.PartialElements, plan.SampleElements, plan.ScratchElements,
            CompiledNetwork.Text(code => StaticCode.Write(code, networks, network, isSupernet, isTraining), depth: 1));
    }

    /// <inheritdoc cref="StaticPlan.PeakBytes(int, int)"/>
    public long PeakBytes(int batch, int passes) => StaticPlan.PeakBytes(this.Shared, this.Partial, this.Sample, this.Scratch, batch, passes * StaticPlan.SlicesOf(batch), passes);
}

/// <summary>The compiled networks of a spec.</summary>
/// <param name="Spec">The spec.</param>
/// <param name="Backbone">The bare backbone with its head.</param>
/// <param name="Supernet">Every candidate; null where there is no operator.</param>
/// <param name="Model">The chosen operators; null without a policy.</param>
public sealed record CompiledNetworks(SpecDocument Spec, CompiledNetwork Backbone, CompiledNetwork? Supernet, CompiledNetwork? Model)
{
    /// <summary>What a search trains; without operators, the backbone.</summary>
    public CompiledNetwork Main => this.Supernet ?? this.Backbone;

    /// <inheritdoc cref="Networks.BackboneParameters"/>
    public long BackboneParameters => this.Backbone.Counts.WithoutHead;

    /// <inheritdoc cref="StepMemory.ParameterBytes"/>
    public long ParameterBytes => StepMemory.ParameterBytes(this.Spec, this.Backbone.Counts, this.Supernet?.Counts, this.Model?.Counts);

    /// <summary>The networks that exist, by the suffix of their types.</summary>
    public IEnumerable<(string Name, CompiledNetwork Network)> All => Networks.Existing(this.Backbone, this.Supernet, this.Model);

    /// <summary>Bytes of a training step's program, at the spec's batch.</summary>
    public long StepBytes(CompiledNetwork network) => network.Training.PeakBytes(StepMemory.Batch(this.Spec), StepMemory.Passes(this.Spec, network.IsSupernet));
}
