namespace FusionGen.Static;

/// <summary>Runs passes of a static program.</summary>
internal abstract class StaticEngine(StaticProgram program, FusionNetwork network) : IDisposable
{
    /// <summary>What it runs.</summary>
    public StaticProgram Program => program;

    /// <summary>How many slices of a batch are on their way at once.</summary>
    public virtual int Workers => 1;

    /// <summary>Bytes of all memory it has taken.</summary>
    public abstract long Bytes { get; }

    /// <summary>How often what depends on parameters only was computed.</summary>
    public int SharedRuns { get; protected set; }

    /// <summary>What steps keep of images; null where they compute everything. It holds for one set of frozen weights.</summary>
    public virtual FrozenImages? Frozen => null;

    /// <summary>Its network.</summary>
    protected FusionNetwork Network => network;

    /// <summary>An engine where a network computes.</summary>
    public static StaticEngine Of(StaticProgram program, FusionNetwork network) =>
        network.Accelerator is { } accelerator ? new DeviceEngine(program, network, accelerator) : new HostEngine(program, network);

    /// <summary>A pass at the network's own parameters.</summary>
    public StaticPass NewPass() => new(this, network);

    /// <summary>From now on steps keep what they compute of images before anything tuned, where there is such a thing; 0 bytes keep nothing.</summary>
    public virtual void KeepFrozen(long bytes)
    {
    }

    /// <summary>Runs a pass, or two at once; each has its results when this returns.</summary>
    public abstract void Run(StaticPass pass, StaticPass? other = null);

    /// <inheritdoc/>
    public abstract void Dispose();
}
