namespace FusionGen;

/// <summary>
/// Where a parameter starts. Values come from a generator of our own, seeded by the run's seed and the parameter's name:
/// the same on every provider, device and library version, and untouched by parameters added elsewhere.
/// </summary>
public abstract record Initializer
{
    private Initializer()
    {
    }

    /// <summary>All zero.</summary>
    public static Initializer Zero { get; } = new Filled(0);

    /// <summary>All one.</summary>
    public static Initializer One { get; } = new Filled(1);

    /// <summary>All equal.</summary>
    public static Initializer Constant(double value) => new Filled(value);

    /// <summary>Normal.</summary>
    public static Initializer Normal(double deviation, double mean = 0) => new Gaussian(deviation, double.PositiveInfinity, mean);

    /// <summary>Normal with mean 0, redrawn beyond two deviations.</summary>
    public static Initializer TruncatedNormal(double deviation) => new Gaussian(deviation, 2, 0);

    /// <summary>Uniform within ± <paramref name="bound"/>.</summary>
    public static Initializer Uniform(double bound) => new Even(bound);

    /// <summary>
    /// Logits of the concat operator, (prompts + tokens) × tokens: prompt rows normal with deviation 0.01,
    /// <paramref name="strength"/> on the diagonal of the image rows, zero elsewhere.
    /// </summary>
    public static Initializer Identity(int prompts, double strength) => new Diagonal(prompts, strength);

    /// <summary>The values of a parameter, row-major.</summary>
    public abstract void Fill(Span<float> values, IReadOnlyList<long> shape, SplitMix random);

    private sealed record Filled(double Value) : Initializer
    {
        public override void Fill(Span<float> values, IReadOnlyList<long> shape, SplitMix random) => values.Fill((float)this.Value);
    }

    private sealed record Gaussian(double Deviation, double Cut, double Mean) : Initializer
    {
        public override void Fill(Span<float> values, IReadOnlyList<long> shape, SplitMix random)
        {
            foreach (ref var value in values)
            {
                double draw;
                do
                {
                    draw = random.NextGaussian();
                }
                while (Math.Abs(draw) > this.Cut);
                value = (float)((draw * this.Deviation) + this.Mean);
            }
        }
    }

    private sealed record Even(double Bound) : Initializer
    {
        public override void Fill(Span<float> values, IReadOnlyList<long> shape, SplitMix random)
        {
            foreach (ref var value in values)
                value = (float)(((random.NextDouble() * 2) - 1) * this.Bound);
        }
    }

    private sealed record Diagonal(int Prompts, double Strength) : Initializer
    {
        public override void Fill(Span<float> values, IReadOnlyList<long> shape, SplitMix random)
        {
            var tokens = (int)shape[1];
            values.Clear();
            foreach (ref var value in values[..(this.Prompts * tokens)])
                value = (float)(random.NextGaussian() * 0.01);
            for (var token = 0; token < tokens; token++)
                values[((this.Prompts + token) * tokens) + token] = (float)this.Strength;
        }
    }
}
