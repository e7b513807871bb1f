using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using FusionGen.Compiler.Passes;
using FusionGen.Kernels;
using static TorchSharp.torch;

namespace FusionGen.Static;

/// <summary>
/// Runs a static program on batches. A batch is cut into slices; workers take slices through the whole program, each in its own memory and
/// with single-threaded products, without meeting; sums over images are added up slice by slice, so the result depends on the batch alone
/// and not on how many workers there are or how they were timed.
/// </summary>
internal sealed class StaticEngine : IDisposable
{
    private readonly StaticProgram program;
    private readonly int classes;
    private readonly StaticOperands operands;
    private readonly StaticMemory shared;
    private readonly Worker[] workers;
    private StaticMemory partials;
    private readonly Lock gate = new();
    private readonly List<Thread> threads = [];
    private readonly SemaphoreSlim start = new(0);
    private readonly SemaphoreSlim done = new(0);
    private float[] logits = [];
    private float[] seed = [];
    private double[] losses = [];
    private volatile bool isDisposed;

    // The run in progress.
    private int batch;
    private int slice;
    private int slices;
    private int imageLength;
    private nint pixels;
    private int[] labels = [];
    private int next;
    private int pending;
    private ExceptionDispatchInfo? failure;

    /// <summary>Prepares to run a program of a network.</summary>
    /// <param name="program">The program.</param>
    /// <param name="network">Whose parameters it reads.</param>
    /// <param name="layers">Layers that may have a mixture.</param>
    /// <param name="workers">Threads; 0 for as many as libtorch is told to use.</param>
    public StaticEngine(StaticProgram program, FusionNetwork network, int layers, int workers = 0)
    {
        this.program = program;
        this.classes = network.Plan.Classes;
        this.operands = new StaticOperands(network.Specs.Count, layers);
        this.shared = new StaticMemory(program.SharedElements);
        this.partials = new StaticMemory(0);
        this.workers = new Worker[workers > 0 ? workers : get_num_threads()];
        for (var i = 0; i < this.workers.Length; i++)
            this.workers[i] = new Worker(program.ScratchElements);
    }

    /// <summary>How many threads take slices.</summary>
    public int Workers => this.workers.Length;

    /// <summary>Bytes of all memory it has taken.</summary>
    public long Bytes => sizeof(float) * ((long)this.shared.Elements + this.partials.Elements + this.workers.Sum(worker => worker.Elements));

    /// <summary>What it runs.</summary>
    public StaticProgram Program => this.program;

    /// <summary>Logits (B, classes) of the last run.</summary>
    public ReadOnlySpan<float> Logits => this.logits;

    /// <summary>Runs the forward pass.</summary>
    /// <returns>Logits (B, classes).</returns>
    public Tensor Forward(Tensor images, IReadOnlyList<Tensor> values, Mixture? mixture)
    {
        // Apps predict from many threads: the logits are copied before the next run overwrites them.
        lock (this.gate)
        {
            this.Run(images, [], values, mixture);
            return tensor(this.logits, [images.shape[0], this.classes]);
        }
    }

    /// <summary>Runs a training step's passes.</summary>
    /// <returns>Mean cross-entropy.</returns>
    public double Gradients(Tensor images, int[] labels, IReadOnlyList<Tensor> values, Mixture? mixture) => this.Run(images, labels, values, mixture);

    /// <summary>A gradient of the last run.</summary>
    public ReadOnlySpan<float> this[StaticGradient gradient] => gradient.Place.Arena == StaticArena.Partial
        ? this.partials.Span.Slice(gradient.Place.Offset, gradient.Place.Length)
        : this.shared.Span.Slice(gradient.Place.Offset, gradient.Place.Length);

    /// <inheritdoc/>
    public void Dispose()
    {
        this.isDisposed = true;
        this.start.Release(this.threads.Count + 1);
        foreach (var thread in this.threads)
            thread.Join();
        this.start.Dispose();
        this.done.Dispose();
        this.shared.Dispose();
        this.partials.Dispose();
        foreach (var worker in this.workers)
            worker.Dispose();
    }

    private double Run(Tensor images, int[] labels, IReadOnlyList<Tensor> values, Mixture? mixture)
    {
        lock (this.gate)
        {
            using var input = images.contiguous();
            this.Prepare((int)images.shape[0], (int)(input.numel() / images.shape[0]), Address(input), labels);
            this.Read(values, mixture);
            this.program.RunShared(this.Frame(0, 0, this.workers[0], default, default));
            this.RunSlices();
            return labels.Length == 0 ? 0 : this.Finish();
        }
    }

    private void Prepare(int batch, int length, nint pixels, int[] labels)
    {
        this.batch = batch;
        this.slice = StaticPlan.SliceOf(batch);
        this.slices = (batch + this.slice - 1) / this.slice;
        this.imageLength = length;
        this.pixels = pixels;
        this.labels = labels;
        if (this.logits.Length != batch * this.classes)
            (this.logits, this.seed) = (new float[batch * this.classes], new float[batch * this.classes]);
        if (this.losses.Length < this.slices)
            this.losses = new double[this.slices];
        if (this.partials.Elements < this.slices * this.program.PartialElements)
        {
            this.partials.Dispose();
            this.partials = new StaticMemory(this.slices * this.program.PartialElements);
        }
        foreach (var worker in this.workers)
            worker.Make(this.slice * this.program.SampleElements);
    }

    /// <summary>Every slice through forward and, with labels, backward pass; this thread is a worker too.</summary>
    private void RunSlices()
    {
        this.next = -1;
        this.failure = null;
        var helpers = Math.Min(this.workers.Length, this.slices) - 1;
        while (this.threads.Count < helpers)
        {
            var worker = this.workers[this.threads.Count + 1];
            var thread = new Thread(() => this.Serve(worker)) { IsBackground = true, Name = "static engine" };
            this.threads.Add(thread);
            thread.Start();
        }
        this.pending = helpers;
        if (helpers > 0)
            this.start.Release(helpers);
        this.Work(this.workers[0]);
        if (helpers > 0)
            this.done.Wait();
        this.failure?.Throw();
    }

    private void Serve(Worker worker)
    {
        while (true)
        {
            this.start.Wait();
            if (this.isDisposed)
                return;
            this.Work(worker);
            if (Interlocked.Decrement(ref this.pending) == 0)
                this.done.Release();
        }
    }

    private unsafe void Work(Worker worker)
    {
        try
        {
            for (var at = Interlocked.Increment(ref this.next); at < this.slices && this.failure is null; at = Interlocked.Increment(ref this.next))
            {
                var first = at * this.slice;
                var count = Math.Min(this.slice, this.batch - first);
                var own = this.logits.AsSpan(first * this.classes, count * this.classes);
                var gradient = this.seed.AsSpan(first * this.classes, count * this.classes);
                var frame = this.Frame(count, at, worker, new ReadOnlySpan<float>((float*)this.pixels + ((long)first * this.imageLength), count * this.imageLength), gradient);
                this.program.RunForward(frame);
                frame.Sample(this.program.Logits.Offset, this.program.Logits.Length).CopyTo(own);
                if (this.labels.Length == 0)
                    continue;
                this.losses[at] = CrossEntropy.Forward(own, this.labels.AsSpan(first, count), gradient, 1f / this.batch).Loss;
                this.program.RunBackward(frame);
            }
        }
        catch (Exception error)
        {
            Interlocked.CompareExchange(ref this.failure, ExceptionDispatchInfo.Capture(error), null);
        }
    }

    /// <summary>Adds up the slices' sums, in their order, and computes what depends on the totals.</summary>
    private double Finish()
    {
        var length = (int)this.program.PartialElements;
        var total = this.partials.Span[..length];
        var loss = this.losses[0];
        for (var i = 1; i < this.slices; i++)
        {
            StaticOps.Add(total, this.partials.Span.Slice(i * length, length), total);
            loss += this.losses[i];
        }
        this.program.RunFinish(this.Frame(0, 0, this.workers[0], default, default));
        return loss / this.batch;
    }

    private StaticFrame Frame(int images, int slice, Worker worker, ReadOnlySpan<float> input, Span<float> gradient) => new(
        images,
        this.operands,
        this.shared.Span,
        this.partials.Span.Slice(slice * (int)this.program.PartialElements, (int)this.program.PartialElements),
        worker.Sample,
        worker.Scratch,
        input,
        gradient);

    private void Read(IReadOnlyList<Tensor> values, Mixture? mixture)
    {
        for (var i = 0; i < values.Count; i++)
        {
            this.operands.Parameters[i] = Address(values[i]);
            this.operands.Counts[i] = (int)values[i].numel();
        }
        this.operands.IsDiscrete = mixture is { IsDiscrete: true };
        for (var layer = 0; layer < this.operands.Weights.Length; layer++)
        {
            this.operands.Weights[layer] = mixture?.Weights[layer]?.data<float>().ToArray();
            this.operands.LogWeights[layer] = mixture?.LogWeights[layer]?.data<float>().ToArray();
        }
    }

    private static unsafe nint Address(Tensor tensor) => (nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(tensor.bytes));

    private sealed class Worker(long scratch) : IDisposable
    {
        private readonly StaticMemory scratch = new(scratch);
        private StaticMemory sample = new(0);

        public Span<float> Sample => this.sample.Span;

        public Span<float> Scratch => this.scratch.Span;

        public long Elements => (long)this.sample.Elements + this.scratch.Elements;

        public void Make(long elements)
        {
            if (this.sample.Elements >= elements)
                return;
            this.sample.Dispose();
            this.sample = new StaticMemory(elements);
        }

        public void Dispose()
        {
            this.scratch.Dispose();
            this.sample.Dispose();
        }
    }
}
