using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FusionGen.Kernels;

/// <summary>Normalisation of rows, y = (x − mean)·rstd·gamma + beta, and its gradients. The width of a row is that of the buffers over the number of rows.</summary>
public static class LayerNorm
{
    /// <summary>Normalises every row.</summary>
    /// <param name="rows">How many rows.</param>
    /// <param name="x">(rows, d).</param>
    /// <param name="gamma">(d), or empty for 1.</param>
    /// <param name="beta">(d), or empty for 0.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="y">(rows, d); may be x.</param>
    /// <param name="mean">(rows): each row's mean.</param>
    /// <param name="rstd">(rows): each row's 1/√(variance + epsilon).</param>
    public static void Forward(
        int rows, ReadOnlySpan<float> x, ReadOnlySpan<float> gamma, ReadOnlySpan<float> beta, float epsilon, Span<float> y, Span<float> mean, Span<float> rstd)
    {
        var width = Width(rows, y);
        Check.Length(x, y.Length);
        Check.LengthOrEmpty(gamma, width);
        Check.LengthOrEmpty(beta, width);
        Check.Length(mean, rows);
        Check.Length(rstd, rows);
        Simd.Run(new ForwardLoop { Width = width, X = x, Gamma = gamma, Beta = beta, Epsilon = epsilon, Y = y, Mean = mean, Rstd = rstd });
    }

    /// <summary>The gradient of x.</summary>
    /// <param name="rows">How many rows.</param>
    /// <param name="x">What the forward pass was given; or, with no means, the normalised rows x̂ = (x − mean)·rstd.</param>
    /// <param name="mean">From the forward pass; empty if x̂ was given for x.</param>
    /// <param name="rstd">From the forward pass.</param>
    /// <param name="gamma">As in the forward pass.</param>
    /// <param name="dY">Gradient of y.</param>
    /// <param name="dX">Gradient of x; may be dY.</param>
    /// <param name="accumulate">Whether to add to dX.</param>
    public static void Backward(
        int rows,
        ReadOnlySpan<float> x,
        ReadOnlySpan<float> mean,
        ReadOnlySpan<float> rstd,
        ReadOnlySpan<float> gamma,
        ReadOnlySpan<float> dY,
        Span<float> dX,
        bool accumulate = false)
    {
        var width = Width(rows, dX);
        Check.Length(x, dX.Length);
        Check.Length(dY, dX.Length);
        Check.LengthOrEmpty(mean, rows);
        Check.Length(rstd, rows);
        Check.LengthOrEmpty(gamma, width);
        Simd.Run(new BackwardLoop { Width = width, X = x, Mean = mean, Rstd = rstd, Gamma = gamma, DY = dY, DX = dX, Accumulate = accumulate });
    }

    /// <summary>Adds the gradients of gamma and beta to what is there.</summary>
    /// <param name="rows">How many rows.</param>
    /// <param name="x">As in <see cref="Backward"/>.</param>
    /// <param name="mean">As in <see cref="Backward"/>.</param>
    /// <param name="rstd">From the forward pass.</param>
    /// <param name="dY">Gradient of y.</param>
    /// <param name="dGamma">(d), or empty if it is not wanted.</param>
    /// <param name="dBeta">(d), or empty if it is not wanted.</param>
    public static void BackwardParameters(
        int rows,
        ReadOnlySpan<float> x,
        ReadOnlySpan<float> mean,
        ReadOnlySpan<float> rstd,
        ReadOnlySpan<float> dY,
        Span<float> dGamma,
        Span<float> dBeta)
    {
        var width = Width(rows, dY);
        Check.Length(x, dY.Length);
        Check.LengthOrEmpty(mean, rows);
        Check.Length(rstd, rows);
        Check.LengthOrEmpty(dGamma, width);
        Check.LengthOrEmpty(dBeta, width);
        if (!dGamma.IsEmpty)
            Simd.Run(new GammaLoop { Width = width, X = x, Mean = mean, Rstd = rstd, DY = dY, DGamma = dGamma });
        if (!dBeta.IsEmpty)
            Elementwise.SumInto(dY, dBeta);
    }

    private static int Width(int rows, ReadOnlySpan<float> buffer)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        if (buffer.IsEmpty || buffer.Length % rows != 0)
            throw new ArgumentException($"{buffer.Length} floats are not {rows} rows", nameof(rows));
        return buffer.Length / rows;
    }

    // (x − z)².
    private readonly struct SquareFrom : IFunction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Of<V>(V x, V y, V z)
            where V : struct, ILane<V> => (x - z) * (x - z);
    }

    private ref struct ForwardLoop : ILoop
    {
        public int Width;
        public float Epsilon;
        public ReadOnlySpan<float> X;
        public ReadOnlySpan<float> Gamma;
        public ReadOnlySpan<float> Beta;
        public Span<float> Y;
        public Span<float> Mean;
        public Span<float> Rstd;

        public readonly void Run<V>()
            where V : struct, ILane<V>
        {
            ref var gamma = ref MemoryMarshal.GetReference(this.Gamma);
            ref var beta = ref MemoryMarshal.GetReference(this.Beta);
            var (hasGamma, hasBeta) = (!this.Gamma.IsEmpty, !this.Beta.IsEmpty);
            for (var row = 0; row < this.Mean.Length; row++)
            {
                ref var x = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.X), (nint)row * this.Width);
                ref var y = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.Y), (nint)row * this.Width);
                // The variance in a second pass over the row, which is still in the cache: E[x²] − E[x]² would cancel.
                var mean = Loops.RowSum(default(Elementwise.First), ref x, ref x, V.Of(0), this.Width) / this.Width;
                var variance = Loops.RowSum(default(SquareFrom), ref x, ref x, V.Of(mean), this.Width) / this.Width;
                var rstd = 1 / MathF.Sqrt(variance + this.Epsilon);
                this.Mean[row] = mean;
                this.Rstd[row] = rstd;
                for (nint i = 0; i < this.Width; i += V.Count)
                {
                    var left = this.Width - i;
                    var value = (Simd.Load<V>(ref Unsafe.Add(ref x, i), left) - V.Of(mean)) * V.Of(rstd);
                    if (hasGamma)
                        value *= Simd.Load<V>(ref Unsafe.Add(ref gamma, i), left);
                    if (hasBeta)
                        value += Simd.Load<V>(ref Unsafe.Add(ref beta, i), left);
                    Simd.Store(value, ref Unsafe.Add(ref y, i), left);
                }
            }
        }
    }

    private ref struct BackwardLoop : ILoop
    {
        public int Width;
        public bool Accumulate;
        public ReadOnlySpan<float> X;
        public ReadOnlySpan<float> Mean;
        public ReadOnlySpan<float> Rstd;
        public ReadOnlySpan<float> Gamma;
        public ReadOnlySpan<float> DY;
        public Span<float> DX;

        // dX = rstd·(g − mean(g) − x̂·mean(g·x̂)) with g = dY·gamma.
        public readonly void Run<V>()
            where V : struct, ILane<V>
        {
            ref var gamma = ref MemoryMarshal.GetReference(this.Gamma);
            var hasGamma = !this.Gamma.IsEmpty;
            for (var row = 0; row < this.Rstd.Length; row++)
            {
                ref var x = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.X), (nint)row * this.Width);
                ref var dY = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.DY), (nint)row * this.Width);
                ref var dX = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.DX), (nint)row * this.Width);
                var mean = V.Of(this.Mean.IsEmpty ? 0 : this.Mean[row]);
                var scale = V.Of(this.Mean.IsEmpty ? 1 : this.Rstd[row]);
                var sum = V.Of(0);
                var product = V.Of(0);
                for (nint i = 0; i < this.Width; i += V.Count)
                {
                    var left = this.Width - i;
                    var g = Simd.Load<V>(ref Unsafe.Add(ref dY, i), left);
                    if (hasGamma)
                        g *= Simd.Load<V>(ref Unsafe.Add(ref gamma, i), left);
                    // Beyond the row's end g is 0, so nothing is added there.
                    sum += g;
                    product = V.MultiplyAdd(g, (Simd.Load<V>(ref Unsafe.Add(ref x, i), left) - mean) * scale, product);
                }
                var meanG = V.Of(sum.Sum() / this.Width);
                var meanProduct = V.Of(product.Sum() / this.Width);
                var rstd = V.Of(this.Rstd[row]);
                for (nint i = 0; i < this.Width; i += V.Count)
                {
                    var left = this.Width - i;
                    var g = Simd.Load<V>(ref Unsafe.Add(ref dY, i), left);
                    if (hasGamma)
                        g *= Simd.Load<V>(ref Unsafe.Add(ref gamma, i), left);
                    var normalised = (Simd.Load<V>(ref Unsafe.Add(ref x, i), left) - mean) * scale;
                    var value = rstd * (g - meanG - (normalised * meanProduct));
                    ref var place = ref Unsafe.Add(ref dX, i);
                    if (this.Accumulate)
                        value += Simd.Load<V>(ref place, left);
                    Simd.Store(value, ref place, left);
                }
            }
        }
    }

    private ref struct GammaLoop : ILoop
    {
        public int Width;
        public ReadOnlySpan<float> X;
        public ReadOnlySpan<float> Mean;
        public ReadOnlySpan<float> Rstd;
        public ReadOnlySpan<float> DY;
        public Span<float> DGamma;

        public readonly void Run<V>()
            where V : struct, ILane<V>
        {
            ref var dGamma = ref MemoryMarshal.GetReference(this.DGamma);
            for (var row = 0; row < this.Rstd.Length; row++)
            {
                ref var x = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.X), (nint)row * this.Width);
                ref var dY = ref Unsafe.Add(ref MemoryMarshal.GetReference(this.DY), (nint)row * this.Width);
                var mean = V.Of(this.Mean.IsEmpty ? 0 : this.Mean[row]);
                var scale = V.Of(this.Mean.IsEmpty ? 1 : this.Rstd[row]);
                for (nint i = 0; i < this.Width; i += V.Count)
                {
                    var left = this.Width - i;
                    var normalised = (Simd.Load<V>(ref Unsafe.Add(ref x, i), left) - mean) * scale;
                    ref var place = ref Unsafe.Add(ref dGamma, i);
                    Simd.Store(V.MultiplyAdd(Simd.Load<V>(ref Unsafe.Add(ref dY, i), left), normalised, Simd.Load<V>(ref place, left)), ref place, left);
                }
            }
        }
    }
}
