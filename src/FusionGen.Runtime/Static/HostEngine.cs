using System.Runtime.ExceptionServices;
using FusionGen.Compiler.Passes;
using FusionGen.Kernels;
using static TorchSharp.torch;

namespace FusionGen.Static;

/// <summary>
/// On the CPU. A batch is cut into slices; workers take slices through the whole program, each in its own memory and
/// with single-threaded products, without meeting; sums over images are added up slice by slice, so the result depends on the batch alone
/// and not on how many workers there are or how they were timed. Workers without a slice help those who have one, as a <see cref="Team"/>.
/// </summary>
internal sealed class HostEngine : StaticEngine
{
    private readonly float[] losses;
    // Of each seat that a worker takes in a run: what calls need for themselves, and the values of the slice that it leads, if it does.
    private readonly StaticMemory[] scratch;
    private readonly StaticMemory[] samples;
    private readonly List<Half> halves = [];
    private readonly Lock gate = new();
    private readonly List<Helper> helpers = [];
    // Of each seat whose worker leads.
    private readonly List<Team> teams = [];
    private readonly Func<bool> isOver;
    private readonly SemaphoreSlim start = new(0);
    private readonly SemaphoreSlim done = new(0);
    private FrozenImages? frozen;
    private volatile bool isDisposed;

    // The run in progress.
    private int running;
    private int slices;
    private int unfinished;
    private int seats;
    private int next;
    private int pending;
    private volatile ExceptionDispatchInfo? failure;

    /// <summary>Prepares to run a program of a network.</summary>
    /// <param name="program">The program.</param>
    /// <param name="network">Whose parameters it reads.</param>
    /// <param name="workers">Threads; 0 for as many as libtorch is told to use.</param>
    public HostEngine(StaticProgram program, FusionNetwork network, int workers = 0)
        : base(program, network)
    {
        this.losses = [.. network.Plan.Losses.Select(weight => (float)weight)];
        this.Workers = workers > 0 ? workers : get_num_threads();
        this.scratch = [.. Enumerable.Range(0, this.Workers).Select(_ => new StaticMemory(program.ScratchElements))];
        this.samples = [.. this.scratch.Select(_ => new StaticMemory(0))];
        this.isOver = () => Volatile.Read(ref this.unfinished) == 0 || this.failure is not null;
    }

    /// <summary>How many threads take slices.</summary>
    public override int Workers { get; }

    /// <inheritdoc/>
    public override FrozenImages? Frozen => this.frozen;

    /// <inheritdoc/>
    public override long Bytes => sizeof(float) * (this.halves.Sum(half => half.Elements) + this.scratch.Concat(this.samples).Sum(memory => (long)memory.Elements));

    /// <inheritdoc/>
    public override void KeepFrozen(long bytes) => this.frozen = bytes > 0 && this.Program.Frozen is { } entry ? new FrozenImages(this.Program, entry, bytes) : null;

    /// <inheritdoc/>
    public override void Run(StaticPass pass, StaticPass? other = null)
    {
        // Who runs a pass alone reads it; the memory of a run is everybody's.
        lock (this.gate)
        {
            this.running = 0;
            this.slices = 0;
            this.Prepare(pass);
            if (other is not null)
                this.Prepare(other);
            this.RunSlices();
            for (var i = 0; i < this.running; i++)
                this.Finish(this.halves[i]);
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        this.isDisposed = true;
        this.start.Release(this.helpers.Count + 1);
        foreach (var helper in this.helpers)
            helper.Thread.Join();
        this.start.Dispose();
        this.done.Dispose();
        foreach (var half in this.halves)
            half.Dispose();
        foreach (var memory in this.scratch.Concat(this.samples))
            memory.Dispose();
    }

    private void Prepare(StaticPass pass)
    {
        if (this.running == this.halves.Count)
            this.halves.Add(new Half(this.Program));
        var half = this.halves[this.running++];
        half.Begin(pass, this.slices);
        this.slices += half.Slices;
        for (var i = 0; i < this.Leaders; i++)
            this.samples[i] = this.samples[i].OrLarger(half.Slice * this.Program.SampleElements);
        var frame = this.Frame(half);
        var parameters = this.Program.SharedOf(frame);
        if (parameters is not null && parameters == half.SharedOf)
            return;
        // Until it is there, what is shared is nobody's.
        half.SharedOf = null;
        this.Program.RunShared(frame);
        half.SharedOf = parameters;
        this.SharedRuns++;
    }

    /// <summary>Workers who have slices of their own.</summary>
    private int Leaders => Math.Min(this.Workers, this.slices);

    /// <summary>Whether the others help them: what a library multiplies may not depend on who was done first.</summary>
    private bool IsShared => Gemm.IsSplitExact || this.Workers / this.slices > 1;

    /// <summary>Every slice through forward and, with labels, backward pass; this thread is a worker too.</summary>
    private void RunSlices()
    {
        this.seats = -1;
        this.next = -1;
        this.failure = null;
        this.unfinished = this.slices;
        this.Gather();
        var helpers = this.Workers - 1;
        while (this.helpers.Count < helpers)
            this.helpers.Add(new Helper(this));
        this.pending = helpers;
        if (helpers > 0)
            this.Wake(helpers);
        this.Work();
        if (helpers > 0)
            this.done.Wait();
        this.failure?.Throw();
    }

    private void Gather()
    {
        while (this.teams.Count < this.Leaders)
            this.teams.Add(new Team());
        // At a batch's end there are fewer who lead.
        foreach (var team in this.teams)
            team.Gather(Math.Max(2, this.Workers / this.slices), isAlwaysCut: !Gemm.IsSplitExact);
    }

    private void Wake(int helpers)
    {
        var here = Processors.Current;
        foreach (var helper in this.helpers)
            Processors.KeepOff(helper.Id, here);
        this.start.Release(helpers);
    }

    private void Serve(int thread)
    {
        while (true)
        {
            this.start.Wait();
            if (this.isDisposed)
                return;
            Processors.Free(thread);
            this.Work();
            if (Interlocked.Decrement(ref this.pending) == 0)
                this.done.Release();
        }
    }

    private void Work()
    {
        try
        {
            // Any of the threads may be the one that wakes, so they have nothing of their own.
            var seat = Interlocked.Increment(ref this.seats);
            if (seat < this.Leaders)
                this.Lead(seat);
            if (this.IsShared)
                Team.Help(this.teams, this.isOver, this.scratch[seat].Span);
        }
        catch (Exception error)
        {
            Interlocked.CompareExchange(ref this.failure, ExceptionDispatchInfo.Capture(error), null);
        }
    }

    /// <summary>Takes slices as long as there are any.</summary>
    private void Lead(int seat)
    {
        if (this.IsShared)
            this.teams[seat].Lead();
        try
        {
            for (var at = Interlocked.Increment(ref this.next); at < this.slices && this.failure is null; at = Interlocked.Increment(ref this.next))
            {
                this.RunSlice(at, this.samples[seat].Span, this.scratch[seat].Span);
                Interlocked.Decrement(ref this.unfinished);
            }
        }
        finally
        {
            Team.Leave();
        }
    }

    private void RunSlice(int at, Span<float> sample, Span<float> scratch)
    {
        var half = this.halves[0];
        for (var i = 1; i < this.running && at >= this.halves[i].FirstSlice; i++)
            half = this.halves[i];
        at -= half.FirstSlice;
        var pass = half.Pass;
        var first = at * half.Slice;
        var count = Math.Min(half.Slice, pass.Batch - first);
        var seed = half.Seed(first, count);
        var frame = new StaticFrame(first, count, pass.Operands, half.Shared, half.Partial(at), sample, scratch, pass.Images(first, count), seed);
        if (pass.Snapshot is { } snapshot)
            snapshot.Run(this.Program, frame, at);
        else if (this.frozen is { } images)
            images.Run(frame);
        else
            this.Program.RunForward(frame, 0, int.MaxValue);
        var logits = pass.LogitsOf(first, count);
        frame.At(this.Program.Logits).CopyTo(logits);
        if (this.Program.Features.Length > 0)
            frame.At(this.Program.Features).CopyTo(pass.FeaturesOf(first, count));
        if (!pass.IsLabelled)
            return;
        (half.Losses[at], half.Correct[at]) = CrossEntropy.Forward(logits, pass.Labels(first, count), this.losses, seed, 1f / pass.Batch);
        this.Program.RunBackward(frame);
    }

    /// <summary>Adds up the slices' sums, in their order, computes what depends on the totals and hands the pass its results.</summary>
    private void Finish(Half half)
    {
        if (!half.Pass.IsLabelled)
            return;
        var total = half.Partial(0);
        var (loss, correct) = (half.Losses[0], half.Correct[0]);
        for (var i = 1; i < half.Slices; i++)
        {
            Elementwise.Accumulate(half.Partial(i), total);
            loss += half.Losses[i];
            correct += half.Correct[i];
        }
        var frame = this.Frame(half);
        this.Program.RunFinish(frame);
        half.Pass.Take(loss / half.Pass.Batch, correct);
        for (var i = 0; i < this.Program.Gradients.Count; i++)
            half.Pass.Take(this.Program.Gradients[i], frame.At(this.Program.Gradients[i].Place));
    }

    /// <summary>What is done once a step, before or after the images, sees of memory.</summary>
    private StaticFrame Frame(Half half) => new(0, 0, half.Pass.Operands, half.Shared, half.Partial(0), default, this.scratch[0].Span, default, default);

    /// <summary>A thread that takes part in runs that others begin.</summary>
    private sealed class Helper
    {
        private volatile int id;

        public Helper(HostEngine engine)
        {
            this.Thread = new Thread(() =>
            {
                this.id = Processors.Thread;
                engine.Serve(this.id);
            })
            { IsBackground = true, Name = "static engine" };
            this.Thread.Start();
        }

        public Thread Thread { get; }

        /// <summary>0 until it runs.</summary>
        public int Id => this.id;
    }

    /// <summary>The memory of one of the passes that run at once.</summary>
    private sealed class Half(StaticProgram program) : IDisposable
    {
        private readonly StaticMemory shared = new(program.SharedElements);
        private StaticMemory partials = new(0);
        private float[] seed = [];
        private int classes;

        public StaticPass Pass { get; private set; } = null!;

        public int FirstSlice { get; private set; }

        public int Slice { get; private set; }

        public int Slices { get; private set; }

        public double[] Losses { get; private set; } = [];

        public int[] Correct { get; private set; } = [];

        public Span<float> Shared => this.shared.Span;

        public long Elements => (long)this.shared.Elements + this.partials.Elements;

        /// <summary>The parameters whose shared values are there already; null for none.</summary>
        public ulong? SharedOf { get; set; }

        public Span<float> Partial(int slice) => this.partials.Span.Slice(slice * (int)program.PartialElements, (int)program.PartialElements);

        /// <summary>Room for the gradient of some images' logits; none where no gradient is asked for.</summary>
        public Span<float> Seed(int first, int count) => this.Pass.IsLabelled ? this.seed.AsSpan(first * this.classes, count * this.classes) : default;

        public void Begin(StaticPass pass, int firstSlice)
        {
            (this.Pass, this.FirstSlice) = (pass, firstSlice);
            this.Slice = StaticPlan.SliceOf(pass.Batch);
            this.Slices = StaticPlan.SlicesOf(pass.Batch);
            this.classes = (int)program.Logits.Length;
            if (pass.IsLabelled && this.seed.Length < pass.Batch * this.classes)
                this.seed = new float[pass.Batch * this.classes];
            if (this.Losses.Length < this.Slices)
                (this.Losses, this.Correct) = (new double[this.Slices], new int[this.Slices]);
            this.partials = this.partials.OrLarger(this.Slices * program.PartialElements);
        }

        public void Dispose()
        {
            this.shared.Dispose();
            this.partials.Dispose();
        }
    }
}
