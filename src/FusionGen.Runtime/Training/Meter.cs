using System.Globalization;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace FusionGen.Training;

/// <summary>
/// Sums figures over an epoch. On an accelerator they stay there for a while, so that reading them does not stop it at every step;
/// a figure that is no longer a number ends the run when it is read.
/// </summary>
public sealed class Meter : IDisposable
{
    private const int StepsBetweenReadings = 20;

    private readonly int stride;
    private readonly double[] sums;
    private readonly double[] last;
    private readonly List<(Tensor Figures, int Samples)> pending = [];

    /// <summary>A meter of so many figures per step, computed on a device.</summary>
    internal Meter(int figures, Device device)
    {
        this.sums = new double[figures + 1];
        this.stride = device.type == DeviceType.CPU ? 1 : StepsBetweenReadings;
        this.last = new double[figures];
    }

    /// <summary>The figures of the last step that was read; on the CPU, of the last step.</summary>
    public IReadOnlyList<double> Last => this.last;

    /// <summary>Weighted sums, then the sum of the weights: what a checkpoint keeps.</summary>
    internal double[] Sums
    {
        get
        {
            this.Flush();
            return [.. this.sums];
        }
        set => value.CopyTo(this.sums, 0);
    }

    /// <summary>
    /// Ends the run if a scalar is not finite, before it does harm. Only where reading costs nothing:
    /// figures on an accelerator are checked when the meter reads them.
    /// </summary>
    /// <exception cref="DivergedException">One is not finite.</exception>
    internal static void Check(params ReadOnlySpan<Tensor> scalars)
    {
        foreach (var scalar in scalars)
        {
            if (scalar.device_type != DeviceType.CPU)
                return;
            using var detached = scalar.detach();
            using var wide = detached.to(ScalarType.Float64);
            Check(wide.item<double>());
        }
    }

    /// <summary>Adds the figures of a step, scalars, weighted by its samples.</summary>
    /// <exception cref="DivergedException">A figure of this or an earlier step is not finite.</exception>
    internal void Add(int samples, params ReadOnlySpan<Tensor> figures)
    {
        using (no_grad())
        using (NewDisposeScope())
        {
            var values = new List<Tensor>(figures.Length);
            foreach (var figure in figures)
                values.Add(figure.detach().to(ScalarType.Float64));
            this.pending.Add((stack(values).DetachFromDisposeScope(), samples));
        }
        if (this.pending.Count >= this.stride)
            this.Flush();
    }

    /// <summary>Mean of a figure since the last reset; null if nothing was added.</summary>
    public double? Mean(int figure)
    {
        this.Flush();
        return this.sums[^1] == 0 ? null : this.sums[figure] / this.sums[^1];
    }

    /// <summary>Forgets the sums.</summary>
    public void Reset()
    {
        this.Flush();
        this.sums.AsSpan().Clear();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (figures, _) in this.pending)
            figures.Dispose();
        this.pending.Clear();
    }

    /// <summary>Adds the figures of a step, weighted by its samples.</summary>
    /// <exception cref="DivergedException">One is not finite.</exception>
    internal void Add(int samples, params ReadOnlySpan<double> figures)
    {
        figures.CopyTo(this.last);
        for (var i = 0; i < figures.Length; i++)
        {
            Check(figures[i]);
            this.sums[i] += figures[i] * samples;
        }
        this.sums[^1] += samples;
    }

    /// <summary>Ends the run if a number is not finite.</summary>
    internal static void Check(double value)
    {
        if (!double.IsFinite(value))
            throw new DivergedException(value);
    }

    private void Flush()
    {
        foreach (var (figures, samples) in this.pending)
        {
            using var local = figures.cpu();
            this.Add(samples, MemoryMarshal.Cast<byte, double>(local.bytes));
        }
        this.Dispose();
    }
}

/// <summary>A figure stopped being a number.</summary>
internal sealed class DivergedException(double value)
    : FusionException(string.Create(CultureInfo.InvariantCulture, $"a loss or gradient became {value}"), ExitCode.Diverged);
