using FusionGen.Compiler.Passes;

namespace FusionGen.Static;

/// <summary>Which memory a place is in.</summary>
public enum StaticArena
{
    /// <summary>What is computed once a step.</summary>
    Shared,

    /// <summary>Sums over images.</summary>
    Partial,

    /// <summary>What is per image.</summary>
    Sample,
}

/// <summary>A place in planned memory.</summary>
/// <param name="Arena">Which memory.</param>
/// <param name="Offset">First number, of one image's share where it is per image.</param>
/// <param name="Length">Numbers, of one image where it is per image.</param>
public readonly record struct StaticPlace(StaticArena Arena, int Offset, int Length);

/// <summary>A gradient that a training program leaves behind.</summary>
/// <param name="Parameter">Position in the network's table; -1 for a mixture's.</param>
/// <param name="Layer">Layer of the mixture; -1 for a parameter's.</param>
/// <param name="IsLog">Whether it is ln π's.</param>
/// <param name="Place">Where it is.</param>
public sealed record StaticGradient(int Parameter, int Layer, bool IsLog, StaticPlace Place)
{
    /// <summary>Of parameters.</summary>
    /// <param name="arena">Where they all are.</param>
    /// <param name="table">Of each its position in the network's table, the first number's and how many there are.</param>
    public static IEnumerable<StaticGradient> OfParameters(StaticArena arena, params int[] table) =>
        table.Chunk(3).Select(row => new StaticGradient(row[0], -1, false, new(arena, row[1], row[2])));

    /// <summary>Of π, or of ln π.</summary>
    /// <param name="arena">Where they all are.</param>
    /// <param name="isLog">Whether they are ln π's.</param>
    /// <param name="table">Of each its layer, the first number's place and how many there are.</param>
    public static IEnumerable<StaticGradient> OfMixtures(StaticArena arena, bool isLog, params int[] table) =>
        table.Chunk(3).Select(row => new StaticGradient(-1, row[0], isLog, new(arena, row[1], row[2])));
}

/// <summary>A place in a forward pass before which nothing depends on a layer's mixture, or on anything tuned.</summary>
/// <param name="Layer">The layer; -1 for anything tuned.</param>
/// <param name="Call">The first call that may.</param>
/// <param name="Live">What the calls from there on read of what those before left of images.</param>
public sealed record StaticEntry(int Layer, int Call, IReadOnlyList<StaticPlace> Live);

/// <summary>
/// A network's forward pass, or its whole training step, as straight-line calls on memory that was planned when it was compiled. Generated;
/// <see cref="StaticEngine"/> runs it.
/// </summary>
public abstract class StaticProgram
{
    /// <summary>Called by generated code.</summary>
    /// <param name="shared">Numbers computed once a step.</param>
    /// <param name="partial">Numbers that are sums over images.</param>
    /// <param name="sample">Numbers of an image, at the moment when most are alive.</param>
    /// <param name="scratch">Numbers that a call needs for itself.</param>
    /// <param name="logits">Where the logits are.</param>
    /// <param name="features">Where what the head reads is; nowhere in a training step.</param>
    /// <param name="gradients">Where the gradients are; none for a forward pass.</param>
    protected StaticProgram(long shared, long partial, long sample, long scratch, StaticPlace logits, StaticPlace features, IReadOnlyList<StaticGradient> gradients)
    {
        this.SharedElements = shared;
        this.PartialElements = partial;
        this.SampleElements = sample;
        this.ScratchElements = scratch;
        this.Logits = logits;
        this.Features = features;
        this.Gradients = gradients;
    }

    /// <summary>Numbers computed once a step.</summary>
    public long SharedElements { get; }

    /// <summary>Numbers that are sums over images, for every slice of a batch.</summary>
    public long PartialElements { get; }

    /// <summary>Numbers of an image, at the moment when most are alive.</summary>
    public long SampleElements { get; }

    /// <summary>Numbers that a call needs for itself, for every worker.</summary>
    public long ScratchElements { get; }

    /// <summary>Where the logits (B, classes) are.</summary>
    public StaticPlace Logits { get; }

    /// <summary>Where what the head reads, (B, width), is after a forward pass; of no length in a training step.</summary>
    public StaticPlace Features { get; }

    /// <summary>Where the gradients are.</summary>
    public IReadOnlyList<StaticGradient> Gradients { get; }

    /// <summary>Where a forward pass may start, layer by layer; none where it may not.</summary>
    public virtual IReadOnlyList<StaticEntry> Entries => [];

    /// <summary>Where a training step may start with what depends on an image and on frozen weights alone; null where nothing does.</summary>
    public virtual StaticEntry? Frozen => null;

    /// <summary>Whether there is a gradient of a parameter.</summary>
    public bool Differentiates(int parameter) => this.Gradients.Any(gradient => gradient.Parameter == parameter);

    /// <summary>Bytes that a run takes at a batch, a number of workers and of passes at once, parameters and images aside: known before anything runs.</summary>
    public long PeakBytes(int batch, int workers, int passes = 1) =>
        StaticPlan.PeakBytes(this.SharedElements, this.PartialElements, this.SampleElements, this.ScratchElements, batch, workers, passes);

    /// <summary>The same of a program's four sizes, with a worker for every slice of the batch: the most it can be.</summary>
    public static long PeakBytes(long shared, long partial, long sample, long scratch, int batch, int passes) =>
        StaticPlan.PeakBytes(shared, partial, sample, scratch, batch, passes * StaticPlan.SlicesOf(batch), passes);

    /// <summary>Takes in what <see cref="RunShared"/> reads, so that it runs only when that has changed.</summary>
    /// <returns>False where it changes every step and is not worth asking.</returns>
    protected internal virtual bool ReadShared(in StaticFrame f, ref SharedDigest digest) => false;

    /// <summary>What the parameters that <see cref="RunShared"/> reads are known again by; null where it is not worth asking.</summary>
    internal ulong? SharedOf(in StaticFrame f)
    {
        var digest = default(SharedDigest);
        return this.ReadShared(f, ref digest) ? digest.Value : null;
    }

    /// <summary>Computes what depends on parameters only.</summary>
    protected internal abstract void RunShared(in StaticFrame f);

    /// <summary>From images to logits.</summary>
    /// <param name="f">Memory.</param>
    /// <param name="from">The first call, one of <see cref="Entries"/> or <see cref="Frozen"/>, or 0.</param>
    /// <param name="to">The call before which to stop, one of <see cref="Entries"/> or <see cref="Frozen"/>, or the largest number.</param>
    protected internal abstract void RunForward(in StaticFrame f, int from, int to);

    /// <summary>From the logits' gradient to sums over images.</summary>
    protected internal abstract void RunBackward(in StaticFrame f);

    /// <summary>From sums over images to gradients.</summary>
    protected internal abstract void RunFinish(in StaticFrame f);
}
