using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Static;

/// <summary>
/// A pass of a network's static program: at which parameters and mixture, on which images; afterwards its logits and, with labels, its loss
/// and gradients. Whoever made it owns it and what it holds; only its run is the engine's.
/// </summary>
internal sealed unsafe class StaticPass
{
    private readonly StaticEngine engine;
    private readonly FusionNetwork network;
    private readonly float[] weightGradient;
    private float[] logits = [];
    private float[] features = [];
    private int[] labels = [];
    private float* images;
    private int imageLength;
    private Tensor? source;

    internal StaticPass(StaticEngine engine, FusionNetwork network)
    {
        (this.engine, this.network) = (engine, network);
        this.Mixture = new StaticMixture(network as Supernet);
        this.Operands = new StaticOperands(network.Table, this.Mixture);
        this.weightGradient = new float[engine.Program.Gradients.Count > 0 ? network.Weights.Elements : 0];
    }

    /// <summary>What the program reads.</summary>
    public StaticOperands Operands { get; }

    /// <summary>π, and its gradient.</summary>
    public StaticMixture Mixture { get; }

    /// <summary>Images.</summary>
    public int Batch { get; private set; }

    /// <summary>Whether there are labels, and so a loss and gradients.</summary>
    public bool IsLabelled { get; private set; }

    /// <summary>Mean cross-entropy.</summary>
    public double Loss { get; private set; }

    /// <summary>Images whose right class has the (first) largest logit.</summary>
    public int Correct { get; private set; }

    /// <summary>Where in the forward pass the images already are, or are to be kept; null for neither.</summary>
    public StaticSnapshot? Snapshot { get; set; }

    /// <summary>(B, classes).</summary>
    public ReadOnlySpan<float> Logits => this.LogitsOf(0, this.Batch);

    /// <summary>(B, width); empty where the program leaves none.</summary>
    public ReadOnlySpan<float> Features => this.FeaturesOf(0, this.Batch);

    /// <summary>∂ loss / ∂ everything tuned, in the order of <see cref="FusionNetwork.Weights"/>.</summary>
    public Span<float> WeightGradient => this.weightGradient;

    /// <summary>Reads the tuned parameters of the network.</summary>
    public StaticPass AtOwnWeights() => this.AtWeights(this.network.Weights.Span);

    /// <summary>Reads other tuned parameters, in the order of <see cref="FusionNetwork.Weights"/>; memory that the collector does not move.</summary>
    public StaticPass AtWeights(Span<float> weights)
    {
        var start = (float*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(weights));
        foreach (var i in this.network.Weights.Indices)
            this.Operands.Parameters[i] = (nint)(start + this.network.Weights.OffsetOf(i));
        return this;
    }

    /// <summary>Reads images (B, 3, S, S), contiguous, that stay where they are until the run is over.</summary>
    public StaticPass On(float* pixels, int batch)
    {
        this.images = pixels;
        (this.Batch, this.IsLabelled) = (batch, false);
        this.imageLength = 3 * this.network.Plan.ImageSize * this.network.Plan.ImageSize;
        this.logits = Room(this.logits, batch * this.engine.Program.Logits.Length);
        this.features = Room(this.features, batch * this.engine.Program.Features.Length);
        return this;
    }

    /// <summary>Reads images and labels.</summary>
    public StaticPass On(Batch batch)
    {
        var given = MemoryMarshal.Cast<byte, long>(batch.Labels.bytes);
        this.On(batch.Images, given.Length);
        this.IsLabelled = true;
        this.labels = Room(this.labels, given.Length);
        for (var i = 0; i < given.Length; i++)
            this.labels[i] = (int)given[i];
        return this;
    }

    /// <summary>Reads images of a tensor, contiguous.</summary>
    public StaticPass On(Tensor images, int batch)
    {
        this.source = images;
        return this.On((float*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(images.bytes)), batch);
    }

    /// <summary>Runs it, with another of the same program if there is one.</summary>
    public StaticPass Run(StaticPass? other = null)
    {
        this.engine.Run(this, other);
        // Until here nobody else may have held it.
        this.source = null;
        return this;
    }

    internal ReadOnlySpan<float> Images(int first, int count) => new(this.images + ((long)first * this.imageLength), count * this.imageLength);

    internal ReadOnlySpan<int> Labels(int first, int count) => this.labels.AsSpan(first, count);

    internal Span<float> LogitsOf(int first, int count) => this.logits.AsSpan(first * this.engine.Program.Logits.Length, count * this.engine.Program.Logits.Length);

    internal Span<float> FeaturesOf(int first, int count) => this.features.AsSpan(first * this.engine.Program.Features.Length, count * this.engine.Program.Features.Length);

    internal void Take(double loss, int correct) => (this.Loss, this.Correct) = (loss, correct);

    internal void Take(StaticGradient gradient, ReadOnlySpan<float> values) =>
        values.CopyTo(gradient.Parameter >= 0 ? this.weightGradient.AsSpan(this.network.Weights.OffsetOf(gradient.Parameter)) : this.Mixture.GradientOf(gradient.Layer, gradient.IsLog));

    private static T[] Room<T>(T[] array, int length) => array.Length >= length ? array : new T[length];
}
