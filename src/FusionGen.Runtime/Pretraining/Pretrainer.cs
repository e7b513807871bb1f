using System.Diagnostics;
using System.Globalization;
using System.Runtime.ExceptionServices;
using FusionGen.Training;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Pretraining;

/// <summary>
/// Trains every parameter of a network to tell the factors of <see cref="FractalImages"/>: one cross-entropy each, added. Data-parallel by slice: threads that never
/// wait for one another within a step take slices of the batch forward and backward, each with one library thread, which at these sizes is
/// faster than all threads on one slice; and because slices, not threads, fix the order of every sum, so they fix the result.
/// </summary>
public sealed class Pretrainer
{
    /// <summary>Held-out images start here: far beyond any step.</summary>
    private const long HeldOutFrom = 1L << 40;

    private readonly FusionNetwork network;
    private readonly FractalImages images;
    private readonly PretrainSettings settings;
    private readonly int workers;
    private readonly List<OptimizedParameter> parameters = [];

    /// <summary>Prepares to train a network of which every parameter is tuned.</summary>
    /// <param name="network">Its classes and image size are those of the images drawn.</param>
    /// <param name="settings">Settings.</param>
    /// <param name="workers">Threads; 0 for as many as the machine has.</param>
    public Pretrainer(FusionNetwork network, PretrainSettings settings, int workers = 0)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentOutOfRangeException.ThrowIfNegative(workers);
        LibTorch.Require("pretraining");
        this.network = network;
        // Threads of this class call the network side by side, each with its own autograd graph.
        network.Engine = Static.Engine.Eager;
        this.settings = settings;
        this.workers = workers == 0 ? Environment.ProcessorCount : workers;
        this.images = new FractalImages(network.Plan.Classes, settings.Seed, network.Plan.ImageSize);
        foreach (var (spec, value) in network.Specs.Zip(network.Table))
        {
            if (!spec.IsTuned)
                throw new FusionException($"{network.Plan.Model}: '{spec.Name}' is {spec.Role}; pretraining needs a spec with 'tune: all'", ExitCode.Spec);
            // Decay is for what multiplies; biases, gains and positions have no scale to shrink to.
            this.parameters.Add(new(spec.Name, value, spec.Shape.Count(size => size > 1) >= 2 && !spec.Name.EndsWith("pos_embed", StringComparison.Ordinal)));
        }
    }

    /// <summary>Weights of a network with fewer blocks to grow from (<see cref="Growth"/>); null for a start from nothing.</summary>
    public string? Shallower { get; init; }

    /// <summary>Trains to the end, or on from where a checkpoint stopped.</summary>
    /// <param name="checkpoint">File that holds weights and optimizer every so many steps.</param>
    /// <param name="report">Called after every step.</param>
    /// <param name="stop">Asks for a checkpoint and an early end.</param>
    /// <exception cref="FusionException">Stopped, diverged, or the checkpoint is of other settings.</exception>
    public PretrainResult Run(string checkpoint, Action<PretrainProgress>? report = null, CancellationToken stop = default)
    {
        var threads = get_num_threads();
        // Optimizer steps are small: threads of the library's own would cost more than they bring, above all on a busy machine.
        set_num_threads(1);
        try
        {
            return this.Train(checkpoint, report, stop);
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    /// <summary>Accuracies on held-out images.</summary>
    public FactorAccuracies Evaluate()
    {
        var slices = (this.settings.HeldOut + this.settings.Slice - 1) / this.settings.Slice;
        var correct = new int[slices][];
        this.InParallel(slices, slice =>
        {
            using var guard = no_grad();
            using var scope = NewDisposeScope();
            var start = slice * this.settings.Slice;
            var (inputs, labels) = this.Draw(HeldOutFrom + start, Math.Min(this.settings.Slice, this.settings.HeldOut - start), variety: 1);
            correct[slice] = this.Correct(this.network.forward(inputs), labels);
        });
        return new(this.images.Factors, correct, this.settings.HeldOut);
    }

    private PretrainResult Train(string checkpoint, Action<PretrainProgress>? report, CancellationToken stop)
    {
        using var optimizer = Optimizer.Create(this.settings.Optimizer, this.parameters);
        var (first, before) = this.Resume(checkpoint, optimizer);
        var clock = Stopwatch.StartNew();
        for (var step = first; step < this.settings.Steps; step++)
        {
            optimizer.LearningRate = this.LearningRate(step);
            var (loss, accuracies) = this.Step(step, optimizer);
            if (!double.IsFinite(loss))
                throw new FusionException(Invariant($"pretraining diverged at step {step} (loss {loss}); lower the learning rate of {optimizer.LearningRate:G3}"), ExitCode.Diverged);
            var done = step + 1;
            var rate = (done - first) * this.settings.Batch / clock.Elapsed.TotalSeconds;
            report?.Invoke(new(done, this.settings.Steps, loss, accuracies, rate, TimeSpan.FromSeconds((this.settings.Steps - done) * (double)this.settings.Batch / rate)));
            if (done % this.settings.CheckpointEvery == 0 || done == this.settings.Steps || stop.IsCancellationRequested)
                this.Save(checkpoint, optimizer, done, before + clock.Elapsed);
            if (stop.IsCancellationRequested && done < this.settings.Steps)
                throw new FusionException(Invariant($"stopped after step {done}; the same command continues from {checkpoint}"), ExitCode.Checkpointed);
        }
        return new(this.Evaluate(), before + clock.Elapsed);
    }

    private double LearningRate(int step)
    {
        var (peak, warmup) = (this.settings.Optimizer.LearningRate, this.settings.Warmup);
        return step < warmup
            ? peak * (step + 1) / warmup
            : peak * 0.5 * (1 + Math.Cos(Math.PI * (step - warmup) / Math.Max(1, this.settings.Steps - warmup)));
    }

    /// <summary>One step; loss and accuracy are of the weights before it.</summary>
    private (double Loss, FactorAccuracies Accuracies) Step(int step, Optimizer optimizer)
    {
        var (batch, size) = (this.settings.Batch, this.settings.Slice);
        var variety = this.settings.Course == 0 ? 1 : Math.Min(1, step / (float)this.settings.Course);
        var results = new (double Loss, int[] Correct, IReadOnlyList<Tensor?> Gradients)[(batch + size - 1) / size];
        this.InParallel(results.Length, slice =>
        {
            using var scope = NewDisposeScope();
            var start = slice * size;
            var (inputs, labels) = this.Draw(((long)step * batch) + start, Math.Min(size, batch - start), variety);
            var logits = this.network.forward(inputs);
            var loss = this.Loss(logits, labels) / batch;
            var gradients = Gradients.Of(loss, this.network.Table);
            foreach (var gradient in gradients)
                gradient?.DetachFromDisposeScope();
            results[slice] = (loss.item<float>(), this.Correct(logits, labels), gradients);
        });

        using var guard = no_grad();
        var sum = results[0].Gradients;
        foreach (var (_, _, gradients) in results.Skip(1))
        {
            for (var i = 0; i < sum.Count; i++)
            {
                sum[i]?.add_(gradients[i]!);
                gradients[i]?.Dispose();
            }
        }
        using (Gradients.Clip(sum, this.settings.Clip))
            optimizer.Step(sum);
        foreach (var gradient in sum)
            gradient?.Dispose();
        return (results.Sum(result => result.Loss), new(this.images.Factors, results.Select(result => result.Correct), batch));
    }

    /// <summary>Images (count, 3, S, S), normalised, and their labels (factors, count).</summary>
    private (Tensor Images, Tensor Labels) Draw(long start, int count, float variety)
    {
        var side = this.images.Size;
        var pixels = new byte[side * side * 3];
        var channels = new float[count * pixels.Length];
        var values = new int[this.images.Factors.Count];
        var labels = new long[values.Length * count];
        for (var i = 0; i < count; i++)
        {
            this.images.Render(start + i, pixels, values, variety);
            this.settings.Normalization.Apply(pixels, channels.AsSpan(i * pixels.Length, pixels.Length));
            for (var factor = 0; factor < values.Length; factor++)
                labels[(factor * count) + i] = values[factor];
        }
        return (tensor(channels, [count, 3, side, side]), tensor(labels, [values.Length, count]));
    }

    /// <summary>The sum over images and factors.</summary>
    private Tensor Loss(Tensor logits, Tensor labels) => this.images.Factors
        .Select((factor, i) => nn.functional.cross_entropy(logits.narrow(1, factor.First, factor.Count), labels[i], reduction: nn.Reduction.Sum))
        .Aggregate((sum, loss) => sum + loss);

    /// <summary>Right images of each factor.</summary>
    private int[] Correct(Tensor logits, Tensor labels)
    {
        using var scope = NewDisposeScope();
        return [.. this.images.Factors.Select((factor, i) => (int)logits.narrow(1, factor.First, factor.Count).argmax(1).eq(labels[i]).sum().item<long>())];
    }

    /// <summary>Threads of our own, because the library's thread count is theirs: pool threads would carry it into other work.</summary>
    private void InParallel(int count, Action<int> body)
    {
        var next = -1;
        ExceptionDispatchInfo? failure = null;
        var threads = new Thread[Math.Min(this.workers, count)];
        for (var i = 0; i < threads.Length; i++)
        {
            threads[i] = new Thread(Work) { IsBackground = true, Name = "pretraining" };
            threads[i].Start();
        }
        foreach (var thread in threads)
            thread.Join();
        failure?.Throw();

        void Work()
        {
            try
            {
                set_num_threads(1);
                for (var slice = Interlocked.Increment(ref next); slice < count && failure is null; slice = Interlocked.Increment(ref next))
                    body(slice);
            }
            catch (Exception error)
            {
                Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(error), null);
            }
        }
    }

    private (int Step, TimeSpan Elapsed) Resume(string checkpoint, Optimizer optimizer)
    {
        if (!File.Exists(checkpoint))
        {
            this.network.Initialize(this.settings.Seed);
            if (this.Shallower is { } shallower)
                Growth.Deepen(this.network, shallower);
            return (0, TimeSpan.Zero);
        }
        using var saved = SafeTensors.Open(checkpoint);
        if (!saved.Metadata.TryGetValue("settings", out var settings) || settings != this.Fingerprint())
            throw new FusionException($"{checkpoint}: is of other settings ({settings ?? "none"}, wanted {this.Fingerprint()}); remove it or repeat its command", ExitCode.Data);
        using var guard = no_grad();
        foreach (var (name, value, _, _) in this.parameters)
        {
            using var read = saved.Read($"weights.{name}");
            value.copy_(read);
        }
        optimizer.Load("optimizer", saved.Read);
        return (
            int.Parse(saved.Metadata["step"], CultureInfo.InvariantCulture),
            TimeSpan.FromSeconds(double.Parse(saved.Metadata["seconds"], CultureInfo.InvariantCulture)));
    }

    private void Save(string checkpoint, Optimizer optimizer, int step, TimeSpan elapsed)
    {
        var state = optimizer.State("optimizer").ToList();
        SafeTensors.Write(
            checkpoint,
            [.. this.parameters.Select(parameter => KeyValuePair.Create($"weights.{parameter.Name}", (Tensor)parameter.Value)), .. state],
            new Dictionary<string, string>
            {
                ["settings"] = this.Fingerprint(),
                ["step"] = step.ToString(CultureInfo.InvariantCulture),
                ["seconds"] = elapsed.TotalSeconds.ToString("F0", CultureInfo.InvariantCulture),
            });
        state.Single(pair => pair.Key == "optimizer.steps").Value.Dispose();
    }

    /// <summary>What must be equal for two runs to be one.</summary>
    private string Fingerprint() => Invariant(
        $"{this.network.Plan.SpecHash} {this.settings with { CheckpointEvery = 0, HeldOut = 0 }}");

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);
}
