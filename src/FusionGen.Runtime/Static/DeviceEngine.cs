using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace FusionGen.Static;

/// <summary>
/// On a device of libtorch: the whole batch at once through the program, on memory planned for it there. Parameters and mixtures stay on the host, as do optimizers; a run takes them and the images to the
/// device and brings back logits, loss and gradients, in one block each. A run that recurs is recorded on the device, if that can (<see cref="DeviceGraph"/>), and played back from then on.
/// </summary>
internal sealed class DeviceEngine : StaticEngine
{
    /// <summary>Recordings kept: steps, their shorter last batch, and what a program passes over where candidates have no share make different ones.</summary>
    private const int MostRecordings = 4;

    private readonly Accelerator accelerator;
    private readonly DeviceMemory memory;
    private readonly DeviceOps ops;
    private readonly DeviceBlock?[] frozen;
    private readonly DeviceBlock tuned;
    private readonly DeviceBlock mixture;
    private readonly DeviceBlock shared;
    private readonly DeviceBlock partial;
    private readonly Tensor losses;
    // Of computations by their keys; null for one that came once.
    private readonly Dictionary<ulong, DeviceGraph?> recordings = [];
    private readonly Lock gate = new();
    private Batches? batches;
    private ulong? frozenOf;
    private ulong? sharedOf;
    private bool records;

    /// <summary>Prepares to run a program of a network.</summary>
    public DeviceEngine(StaticProgram program, FusionNetwork network, Accelerator accelerator)
        : base(program, network)
    {
        this.accelerator = accelerator;
        this.records = DeviceGraph.IsPossible(accelerator.Device);
        this.memory = new DeviceMemory(accelerator.Device);
        this.ops = new DeviceOps(this.memory, accelerator.Precision);
        this.frozen = [.. network.Specs.Select((spec, i) => network.Weights.Holds(i) || network.Alphas.Holds(i) ? null : this.memory.Take(spec.Count, accelerator.Precision))];
        this.tuned = this.memory.Take(network.Weights.Elements, ScalarType.Float32);
        this.mixture = this.memory.Take(2 * network.Alphas.Elements, ScalarType.Float32);
        this.shared = this.memory.Take(program.SharedElements, ScalarType.Float32);
        this.partial = this.memory.Take(program.PartialElements, ScalarType.Float32);
        using var weights = tensor(network.Plan.Losses.Select(weight => (float)weight).ToArray());
        this.losses = weights.to(accelerator.Device, copy: true).DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public override long Bytes => this.memory.Bytes;

    /// <summary>Runs that are played back.</summary>
    public int Recordings => this.recordings.Values.Count(graph => graph is not null);

    /// <inheritdoc/>
    public override void Run(StaticPass pass, StaticPass? other = null)
    {
        lock (this.gate)
        {
            this.Compute(pass);
            if (other is not null)
                this.Compute(other);
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        this.Forget();
        this.batches?.Release();
        this.ops.Dispose();
        this.losses.Dispose();
        this.memory.Dispose();
    }

    private void Compute(StaticPass pass)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var batch = this.RoomFor(pass.Batch);
        var operands = this.Take(pass);
        batch.Images.Take(pass.Images(0, pass.Batch));
        if (pass.IsLabelled)
            batch.TakeLabels(pass.Labels(0, pass.Batch));
        var frame = new StaticFrame(
            0, pass.Batch, operands, this.shared.Span, this.partial.Span, batch.Sample.Span, default, batch.Images.Span[..pass.Images(0, pass.Batch).Length], batch.Seed.Span[..(pass.Batch * this.Program.Logits.Length)]);
        // On the host, where the numbers are.
        var parameters = this.Program.SharedOf(new StaticFrame(0, 0, pass.Operands, default, default, default, default, default, default));
        var needsShared = parameters is null || parameters != this.sharedOf;
        // Until it is there, what is shared is nobody's.
        this.sharedOf = needsShared ? null : parameters;
        this.Play(pass, needsShared, batch, frame);
        this.sharedOf = parameters;
        this.SharedRuns += needsShared ? 1 : 0;
        this.Give(pass, batch);
    }

    /// <summary>Computes, or plays back what the same computation was recorded as: the second time one comes it is recorded, for the first prepares libtorch for it.</summary>
    private void Play(StaticPass pass, bool needsShared, Batches batch, StaticFrame frame)
    {
        if (!this.records || pass.Operands.Dropout is not null)
        {
            this.Execute(pass, needsShared, batch, frame);
            return;
        }
        var key = KeyOf(pass, needsShared);
        if (!this.recordings.TryGetValue(key, out var graph))
        {
            if (this.recordings.Count < MostRecordings)
                this.recordings.Add(key, null);
            this.Execute(pass, needsShared, batch, frame);
            return;
        }
        if (graph is null)
        {
            graph = DeviceGraph.Begin(this.accelerator.Device);
            var isWhole = false;
            try
            {
                this.Execute(pass, needsShared, batch, frame);
                isWhole = true;
            }
            catch (ExternalException)
            {
                // What this libtorch cannot record it can do.
            }
            if (!graph.End() || !isWhole)
            {
                graph.Dispose();
                this.records = false;
                this.Execute(pass, needsShared, batch, frame);
                return;
            }
            this.recordings[key] = graph;
        }
        graph.Replay();
    }

    private void Execute(StaticPass pass, bool needsShared, Batches batch, StaticFrame frame)
    {
        if (needsShared)
            this.Program.RunShared(frame);
        this.Program.RunForward(frame, 0, int.MaxValue);
        var logits = this.memory.Of(frame.At(this.Program.Logits));
        batch.Put(logits, 2);
        var next = 2 + logits.numel();
        if (this.Program.Features.Length > 0)
        {
            var features = this.memory.Of(frame.At(this.Program.Features));
            batch.Put(features, next);
            next += features.numel();
        }
        if (!pass.IsLabelled)
            return;
        this.Loss(logits, pass.Batch, batch, frame);
        this.Program.RunBackward(frame);
        this.Program.RunFinish(frame);
        foreach (var gradient in this.Program.Gradients)
        {
            var numbers = this.memory.Of(frame.At(gradient.Place));
            batch.Put(numbers, next);
            next += numbers.numel();
        }
    }

    /// <summary>Weighed cross-entropy of the streams, mean over the images; how many images the first stream gets right; the gradient of the logits.</summary>
    private void Loss(Tensor logits, int images, Batches batch, in StaticFrame frame)
    {
        var streams = this.Network.Plan.Losses.Count;
        var scores = logits.to(ScalarType.Float32).view(images, streams, -1);
        var logShares = scores.log_softmax(-1);
        var labels = batch.Labels.narrow(0, 0, images).view(images, 1, 1);
        var right = arange(scores.shape[2], dtype: ScalarType.Int64, device: this.accelerator.Device).view(1, 1, -1).eq(labels).to(ScalarType.Float32);
        var weights = this.losses.view(1, streams, 1);
        batch.Put((logShares * right * weights).sum() * (-1.0 / images), 0);
        batch.Put(scores.select(1, 0).argmax(-1).eq(labels.view(images)).sum(), 1);
        this.memory.Of(frame.Seed).copy_(((logShares.exp() - right) * weights * (1.0 / images)).reshape(-1));
    }

    private void Give(StaticPass pass, Batches batch)
    {
        using var host = batch.Results.cpu();
        ReadOnlySpan<float> results = MemoryMarshal.Cast<byte, float>(host.bytes);
        var left = results[2..];
        var logits = pass.LogitsOf(0, pass.Batch);
        left[..logits.Length].CopyTo(logits);
        left = left[logits.Length..];
        var features = pass.FeaturesOf(0, pass.Batch);
        left[..features.Length].CopyTo(features);
        left = left[features.Length..];
        if (!pass.IsLabelled)
            return;
        pass.Take(results[0], (int)results[1]);
        foreach (var gradient in this.Program.Gradients)
        {
            pass.Take(gradient, left[..gradient.Place.Length]);
            left = left[gradient.Place.Length..];
        }
    }

    /// <summary>Takes a pass's parameters and mixture to the device; frozen ones if they have changed.</summary>
    private unsafe DeviceOperands Take(StaticPass pass)
    {
        var (host, network) = (pass.Operands, this.Network);
        var addresses = new nint[host.Parameters.Length];
        var digest = default(SharedDigest);
        for (var i = 0; i < addresses.Length; i++)
        {
            if (this.frozen[i] is not { } block)
                continue;
            addresses[i] = block.Address;
            digest.Sample(Of(i));
        }
        if (this.frozenOf != digest.Value)
        {
            this.frozenOf = null;
            for (var i = 0; i < addresses.Length; i++)
                this.frozen[i]?.Take(Of(i), keepStaging: false);
            this.frozenOf = digest.Value;
        }
        if (network.Weights.Indices is [var first, ..])
        {
            this.tuned.Take(new ReadOnlySpan<float>((float*)host.Parameters[first] - network.Weights.OffsetOf(first), this.tuned.Elements));
            foreach (var i in network.Weights.Indices)
                addresses[i] = this.tuned.Address + (sizeof(float) * network.Weights.OffsetOf(i));
        }
        var shares = new float[this.mixture.Elements];
        var operands = new DeviceOperands(host, addresses, this.ops, this.mixture);
        operands.Write(shares);
        this.mixture.Take(shares);
        return operands;

        ReadOnlySpan<float> Of(int i) => new((void*)host.Parameters[i], host.Counts[i]);
    }

    /// <summary>What makes a computation another one: its sizes, and which candidates it passes over.</summary>
    private static ulong KeyOf(StaticPass pass, bool needsShared)
    {
        var digest = default(SharedDigest);
        digest.Add([pass.Batch, pass.IsLabelled ? 1 : 0, needsShared ? 1 : 0, pass.Mixture.IsDiscrete ? 1 : 0]);
        for (var layer = 0; layer < pass.Mixture.Layers; layer++)
        {
            foreach (var share in pass.Mixture.Has(layer) ? pass.Mixture.Weights(layer) : default)
                digest.Add([share == 0 ? 0 : 1]);
        }
        return digest.Value;
    }

    private Batches RoomFor(int batch)
    {
        if (this.batches?.Capacity >= batch)
            return this.batches;
        this.Forget();
        this.batches?.Release();
        return this.batches = new Batches(this.memory, this.Program, this.Network.Plan, this.accelerator, batch);
    }

    /// <summary>Recordings hold addresses: they go with the memory.</summary>
    private void Forget()
    {
        foreach (var graph in this.recordings.Values)
            graph?.Dispose();
        this.recordings.Clear();
    }

    /// <summary>Memory for as many images.</summary>
    private sealed class Batches
    {
        private readonly DeviceMemory memory;
        private readonly Tensor labelsStaging;

        public Batches(DeviceMemory memory, StaticProgram program, NetworkPlan plan, Accelerator accelerator, int capacity)
        {
            this.memory = memory;
            this.Capacity = capacity;
            this.Sample = memory.Take(program.SampleElements * capacity, accelerator.Precision);
            this.Images = memory.Take(3L * plan.ImageSize * plan.ImageSize * capacity, accelerator.Precision);
            this.Seed = memory.Take((long)program.Logits.Length * capacity, ScalarType.Float32);
            this.Labels = zeros(capacity, dtype: ScalarType.Int64, device: accelerator.Device).DetachFromDisposeScope();
            this.labelsStaging = zeros(capacity, dtype: ScalarType.Int64).DetachFromDisposeScope();
            this.Results = zeros(2 + ((long)(program.Logits.Length + program.Features.Length) * capacity) + program.Gradients.Sum(gradient => (long)gradient.Place.Length), dtype: ScalarType.Float32, device: accelerator.Device)
                .DetachFromDisposeScope();
        }

        public int Capacity { get; }

        public DeviceBlock Sample { get; }

        public DeviceBlock Images { get; }

        /// <summary>The gradient of the logits.</summary>
        public DeviceBlock Seed { get; }

        public Tensor Labels { get; }

        /// <summary>The loss, the hits, logits, features, gradients.</summary>
        public Tensor Results { get; }

        public void TakeLabels(ReadOnlySpan<int> labels)
        {
            var staging = MemoryMarshal.Cast<byte, long>(this.labelsStaging.bytes);
            for (var i = 0; i < labels.Length; i++)
                staging[i] = labels[i];
            this.Labels.copy_(this.labelsStaging);
        }

        public void Put(Tensor numbers, long at) => this.Results.narrow(0, at, numbers.numel()).copy_(numbers.reshape(-1));

        public void Release()
        {
            this.memory.Release(this.Sample);
            this.memory.Release(this.Images);
            this.memory.Release(this.Seed);
            this.Labels.Dispose();
            this.labelsStaging.Dispose();
            this.Results.Dispose();
        }
    }
}

/// <summary>A pass's operands on a device.</summary>
internal sealed unsafe class DeviceOperands : StaticOperands
{
    private readonly DeviceOps ops;
    private readonly DeviceBlock mixtures;
    private readonly int[] offsets;

    /// <summary>Parameters at addresses of a device, and mixtures in a block.</summary>
    public DeviceOperands(StaticOperands host, nint[] parameters, DeviceOps ops, DeviceBlock mixtures)
        : base(parameters, host.Counts, host.Mixture)
    {
        (this.ops, this.mixtures, this.Dropout) = (ops, mixtures, host.Dropout);
        this.offsets = new int[host.Mixture.Layers];
        for (var layer = 1; layer < this.offsets.Length; layer++)
            this.offsets[layer] = this.offsets[layer - 1] + (2 * this.SizeOf(layer - 1));
    }

    /// <inheritdoc/>
    public override StaticOps Ops => this.ops;

    /// <inheritdoc/>
    public override ReadOnlySpan<float> Weights(int layer) => this.mixtures.Span.Slice(this.offsets[layer], this.SizeOf(layer));

    /// <inheritdoc/>
    public override ReadOnlySpan<float> LogWeights(int layer) => this.mixtures.Span.Slice(this.offsets[layer] + this.SizeOf(layer), this.SizeOf(layer));

    /// <summary>Writes the mixtures as the block is to hold them.</summary>
    public void Write(Span<float> shares)
    {
        for (var layer = 0; layer < this.offsets.Length; layer++)
        {
            if (!this.Mixture.Has(layer))
                continue;
            this.Mixture.Weights(layer).CopyTo(shares[this.offsets[layer]..]);
            this.Mixture.LogWeights(layer).CopyTo(shares[(this.offsets[layer] + this.SizeOf(layer))..]);
        }
    }

    private int SizeOf(int layer) => this.Mixture.Has(layer) ? this.Mixture.Weights(layer).Length : 0;
}
