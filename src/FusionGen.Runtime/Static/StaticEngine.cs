using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace FusionGen.Static;

/// <summary>
/// Runs a static program on batches. A batch is cut into slices; workers take slices through the whole program, each in its own memory and
/// with single-threaded products, without meeting; sums over images are added up slice by slice, so the result depends on the batch alone
/// and not on how many workers there are or how they were timed.
/// </summary>
internal sealed class StaticEngine : IDisposable
{
    private const int MostSlices = 8;
    private const int LargestSlice = 16;
    private readonly StaticProgram program;
    private readonly int classes;
    private readonly StaticOperands operands;
    private readonly StaticMemory shared;
    private readonly Worker[] workers;
    private StaticMemory partials;
    private float[] logits = [];
    private float[] seed = [];

    /// <summary>Prepares to run a program of a network.</summary>
    /// <param name="program">The program.</param>
    /// <param name="network">Whose parameters it reads.</param>
    /// <param name="layers">Layers that may have a mixture.</param>
    /// <param name="workers">Threads; 0 for one per processor.</param>
    public StaticEngine(StaticProgram program, FusionNetwork network, int layers, int workers = 0)
    {
        this.program = program;
        this.classes = network.Plan.Classes;
        this.operands = new StaticOperands(network.Specs.Count, layers);
        this.shared = new StaticMemory(program.SharedElements);
        this.partials = new StaticMemory(0);
        this.workers = new Worker[workers > 0 ? workers : Environment.ProcessorCount];
        for (var i = 0; i < this.workers.Length; i++)
            this.workers[i] = new Worker(program.ScratchElements);
    }

    /// <summary>What it runs.</summary>
    public StaticProgram Program => this.program;

    /// <summary>Logits (B, classes) of the last run.</summary>
    public ReadOnlySpan<float> Logits => this.logits;

    /// <summary>Runs the forward pass.</summary>
    /// <returns>Logits (B, classes).</returns>
    public Tensor Forward(Tensor images, IReadOnlyList<Tensor> values, Mixture? mixture)
    {
        this.Run(images, default, values, mixture);
        return tensor(this.logits, [images.shape[0], this.classes]);
    }

    /// <summary>Runs a training step's passes.</summary>
    /// <returns>Mean cross-entropy.</returns>
    public double Gradients(Tensor images, ReadOnlySpan<long> labels, IReadOnlyList<Tensor> values, Mixture? mixture) => this.Run(images, labels, values, mixture);

    /// <summary>A gradient of the last run.</summary>
    public ReadOnlySpan<float> this[StaticGradient gradient] => gradient.Place.Arena == StaticArena.Partial
        ? this.partials.Span.Slice(gradient.Place.Offset, gradient.Place.Length)
        : this.shared.Span.Slice(gradient.Place.Offset, gradient.Place.Length);

    /// <inheritdoc/>
    public void Dispose()
    {
        this.shared.Dispose();
        this.partials.Dispose();
        foreach (var worker in this.workers)
            worker.Dispose();
    }

    private double Run(Tensor images, ReadOnlySpan<long> labels, IReadOnlyList<Tensor> values, Mixture? mixture)
    {
        var batch = (int)images.shape[0];
        var isTraining = labels.Length > 0;
        var slice = Math.Clamp((batch + MostSlices - 1) / MostSlices, 1, LargestSlice);
        var slices = (batch + slice - 1) / slice;
        this.Read(values, mixture);
        if (this.logits.Length != batch * this.classes)
            (this.logits, this.seed) = (new float[batch * this.classes], new float[batch * this.classes]);
        if (this.partials.Elements < slices * this.program.PartialElements)
        {
            this.partials.Dispose();
            this.partials = new StaticMemory(slices * this.program.PartialElements);
        }
        foreach (var worker in this.workers)
            worker.Make(slice * this.program.SampleElements);
        this.program.RunShared(this.Frame(0, 0, this.workers[0], default, default));

        using var input = images.contiguous();
        var losses = new double[slices];
        var (pixels, length) = (Address(input), (int)(input.numel() / batch));
        var wanted = labels.ToArray();
        var next = -1;
        ExceptionDispatchInfo? failure = null;
        var threads = new Thread[Math.Min(this.workers.Length, slices) - 1];
        for (var i = 0; i < threads.Length; i++)
        {
            var worker = this.workers[i + 1];
            threads[i] = new Thread(() => Work(worker)) { IsBackground = true, Name = "static engine" };
            threads[i].Start();
        }
        Work(this.workers[0]);
        foreach (var thread in threads)
            thread.Join();
        failure?.Throw();

        if (!isTraining)
            return 0;
        var partial = (int)this.program.PartialElements;
        var total = this.partials.Span[..partial];
        for (var i = 1; i < slices; i++)
            StaticOps.Add(total, this.partials.Span.Slice(i * partial, partial), total);
        this.program.RunFinish(this.Frame(0, 0, this.workers[0], default, default));
        return losses.Sum() / batch;

        unsafe void Work(Worker worker)
        {
            try
            {
                for (var at = Interlocked.Increment(ref next); at < slices && failure is null; at = Interlocked.Increment(ref next))
                {
                    var (first, count) = (at * slice, Math.Min(slice, batch - (at * slice)));
                    var own = this.logits.AsSpan(first * this.classes, count * this.classes);
                    var gradient = this.seed.AsSpan(first * this.classes, count * this.classes);
                    var frame = this.Frame(count, at, worker, new ReadOnlySpan<float>((float*)pixels + ((long)first * length), count * length), gradient);
                    this.program.RunForward(frame);
                    frame.Sample(this.program.Logits.Offset, this.program.Logits.Length).CopyTo(own);
                    if (!isTraining)
                        continue;
                    losses[at] = StaticOps.CrossEntropy(own, wanted.AsSpan(first, count), gradient, 1f / batch);
                    this.program.RunBackward(frame);
                }
            }
            catch (Exception error)
            {
                Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(error), null);
            }
        }
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
