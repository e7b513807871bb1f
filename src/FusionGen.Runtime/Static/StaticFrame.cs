using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace FusionGen.Static;

/// <summary>
/// What a static program sees of memory while it runs on some images: places by offset and length, as the compiler planned them. What is
/// per image lies in blocks of <see cref="B"/> images each.
/// </summary>
public readonly ref struct StaticFrame
{
    private readonly StaticOperands operands;
    private readonly Span<float> shared;
    private readonly Span<float> partial;
    private readonly Span<float> sample;

    internal StaticFrame(
        int first, int images, StaticOperands operands, Span<float> shared, Span<float> partial, Span<float> sample, Span<float> scratch, ReadOnlySpan<float> input, Span<float> seed)
    {
        this.First = first;
        this.B = images;
        this.operands = operands;
        this.shared = shared;
        this.partial = partial;
        this.sample = sample;
        this.Scratch = scratch;
        this.Images = input;
        this.Seed = seed;
    }

    /// <summary>What can be done with the memory.</summary>
    public StaticOps Ops => this.operands.Ops;

    /// <summary>Place in the batch of this run's first image.</summary>
    public int First { get; }

    /// <summary>Images of this run.</summary>
    public int B { get; }

    /// <summary>Whether the mixture is a vertex: what acts only after discretisation acts.</summary>
    public bool IsDiscrete => this.operands.Mixture.IsDiscrete;

    /// <summary>What dropout draws from; null where nothing is dropped.</summary>
    public DropoutStep? Dropout => this.operands.Dropout;

    /// <summary>Normalised images (B, 3, side, side).</summary>
    public ReadOnlySpan<float> Images { get; }

    /// <summary>Gradient of the loss with respect to the logits (B, classes).</summary>
    public Span<float> Seed { get; }

    /// <summary>Memory that nothing outlives a call in.</summary>
    public Span<float> Scratch { get; }

    /// <summary>One of the images alone, in the same memory, without its gradient.</summary>
    internal StaticFrame Image(int index)
    {
        var length = this.Images.Length / this.B;
        return new StaticFrame(this.First + index, 1, this.operands, this.shared, this.partial, this.sample, this.Scratch, this.Images.Slice(index * length, length), default);
    }

    /// <summary>A place that is per image: offset and length of one image's share.</summary>
    public Span<float> Sample(int offset, int length) => this.sample.Slice(offset * this.B, length * this.B);

    /// <summary>A place of what is computed once a step.</summary>
    public Span<float> Shared(int offset, int length) => this.shared.Slice(offset, length);

    /// <summary>A place of this run's sums over images; once all are added up, of the totals.</summary>
    public Span<float> Partial(int offset, int length) => this.partial.Slice(offset, length);

    /// <summary>A place of any of them.</summary>
    internal Span<float> At(in StaticPlace place) => place.Arena switch
    {
        StaticArena.Shared => this.Shared(place.Offset, place.Length),
        StaticArena.Partial => this.Partial(place.Offset, place.Length),
        _ => this.Sample(place.Offset, place.Length),
    };

    /// <summary>A parameter, by its position in the network's table.</summary>
    public unsafe ReadOnlySpan<float> Parameter(int index) => new((void*)this.operands.Parameters[index], this.operands.Counts[index]);

    /// <summary>π of a layer.</summary>
    public ReadOnlySpan<float> Weights(int layer) => this.operands.Weights(layer);

    /// <summary>Whether a candidate of a layer has a share at all.</summary>
    public bool Has(int layer, int candidate) => this.operands.Mixture.Weights(layer)[candidate] != 0;

    /// <summary>ln π of a layer.</summary>
    public ReadOnlySpan<float> LogWeights(int layer) => this.operands.LogWeights(layer);
}

/// <summary>Parameters and mixtures that a pass reads, and what reads them: here, in the machine's memory.</summary>
internal class StaticOperands
{
    /// <summary>A network's own parameters.</summary>
    public unsafe StaticOperands(IReadOnlyList<Tensor> table, StaticMixture mixture)
    {
        this.Mixture = mixture;
        this.Parameters = [.. table.Select(parameter => (nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(parameter.bytes)))];
        this.Counts = [.. table.Select(parameter => (int)parameter.numel())];
    }

    /// <summary>The same operands elsewhere.</summary>
    protected StaticOperands(nint[] parameters, int[] counts, StaticMixture mixture) => (this.Parameters, this.Counts, this.Mixture) = (parameters, counts, mixture);

    /// <summary>The operations.</summary>
    public virtual StaticOps Ops => HostOps.Instance;

    /// <summary>Where each lies.</summary>
    public nint[] Parameters { get; }

    /// <summary>Numbers of each.</summary>
    public int[] Counts { get; }

    /// <summary>What dropout draws from; null where nothing is dropped.</summary>
    public DropoutStep? Dropout { get; set; }

    /// <summary>The mixture.</summary>
    public StaticMixture Mixture { get; }

    /// <summary>π of a layer, as operations take it.</summary>
    public virtual ReadOnlySpan<float> Weights(int layer) => this.Mixture.Weights(layer);

    /// <summary>ln π of a layer, as operations take it.</summary>
    public virtual ReadOnlySpan<float> LogWeights(int layer) => this.Mixture.LogWeights(layer);
}

/// <summary>Memory outside the collector's heap, on a cache line's border; zeros at first.</summary>
internal sealed unsafe class StaticMemory : IDisposable
{
    private static long taken;
    private void* start;

    public StaticMemory(long elements)
    {
        this.Elements = InOneSpan(elements);
        Interlocked.Increment(ref taken);
        this.start = NativeMemory.AlignedAlloc((nuint)Math.Max(1, elements) * sizeof(float), 64);
        this.Span.Clear();
    }

    ~StaticMemory() => this.Free();

    /// <summary>A number of numbers that one span holds.</summary>
    /// <exception cref="FusionException">There are more.</exception>
    public static int InOneSpan(long elements) => elements <= int.MaxValue
        ? (int)elements
        : throw new FusionException(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"a static program's arena of {elements} numbers is larger than one span; use smaller batches"), ExitCode.Spec);

    /// <summary>How many were ever taken: what does not grow from step to step.</summary>
    public static long Taken => Interlocked.Read(ref taken);

    public int Elements { get; }

    public Span<float> Span
    {
        get
        {
            ObjectDisposedException.ThrowIf(this.start is null, this);
            return new Span<float>(this.start, this.Elements);
        }
    }

    /// <summary>This memory if it is large enough; else another, and this one is given back.</summary>
    public StaticMemory OrLarger(long elements)
    {
        if (this.Elements >= elements)
            return this;
        this.Dispose();
        return new StaticMemory(elements);
    }

    public void Dispose()
    {
        this.Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(this.start);
        this.start = null;
    }
}
