using FusionGen.Kernels;
using FusionGen.Static;
using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Search;

/// <summary>Steps of α by the static program, in closed form beyond it: no tensors, nothing allocated. By itself, first order (<see cref="FirstOrder"/>).</summary>
internal class StaticArchitectureSteps(Supernet network, StaticEngine engine, Optimizer lower, SearchSettings settings) : ArchitectureSteps(network, lower, settings)
{
    private double objective;
    private double loss;

    /// <summary>The pass of the upper level.</summary>
    protected StaticPass Pass { get; } = engine.NewPass();

    /// <summary>α's gradient.</summary>
    protected float[] Gradient { get; } = new float[network.Alphas.Elements];

    public sealed override void Step(Batch train, Batch validation)
    {
        this.Network.AtOwn(this.Pass);
        this.Differentiate(train, validation);
        if (this.Trace is { } before)
            this.Optimizer.Show("architecture.gradient", this.Gradient, before);
        var norm = Kernels.Optimizers.Clip(this.Gradient, this.Settings.Clip);
        Meter.Check(this.objective);
        Meter.Check(norm);
        this.Optimizer.Step(this.Network.Alphas.Span, this.Gradient);
        this.Figures.Add(validation.Size, this.objective, this.loss, norm, this.Pass.Mixture.NegativeEntropy, this.Pass.Mixture.Cost);
        if (this.Trace is { } after)
            this.Show(after, norm);
    }

    /// <summary>Leaves the gradient at the network's own parameters.</summary>
    protected virtual void Differentiate(Batch train, Batch validation) => this.Evaluate(validation);

    /// <summary>Takes objective and gradient where the pass is.</summary>
    protected void Evaluate(Batch validation)
    {
        this.Pass.On(validation).Run();
        this.loss = this.Pass.Loss;
        this.objective = this.loss + (this.Settings.Entropy * this.Pass.Mixture.NegativeEntropy) + (this.Settings.Cost * this.Pass.Mixture.Cost);
        this.Pass.Mixture.Gradient(this.Gradient, this.Settings.Entropy, this.Settings.Cost);
    }

    private void Show(Action<string, Tensor> trace, double norm)
    {
        using var scope = NewDisposeScope();
        this.Optimizer.Show("architecture.clipped", this.Gradient, trace);
        trace("architecture.norm", tensor(norm));
    }
}

/// <summary>Second order by differences (<see cref="SecondOrderDifferences"/>).</summary>
internal abstract class StaticDifferencesSteps(Supernet network, StaticEngine engine, Optimizer lower, SearchSettings settings)
    : StaticArchitectureSteps(network, engine, lower, settings)
{
    private readonly float[] other = new float[network.Alphas.Elements];

    /// <summary>Weights other than the network's own, where the pass is.</summary>
    protected StaticMemory Shifted { get; } = new(network.Weights.Elements);

    /// <summary>Takes objective and gradient at w′ = w − ξ∇w L_train(w, α), and leaves ∇w′ L_val as the pass's.</summary>
    /// <returns>Its norm.</returns>
    protected double EvaluateStepped(Batch validation)
    {
        this.Network.Weights.Span.CopyTo(this.Shifted.Span);
        this.Lower.VirtualStep(this.Shifted.Span, this.Pass.WeightGradient);
        this.Pass.AtWeights(this.Shifted.Span);
        this.Evaluate(validation);
        return Kernels.Optimizers.Clip(this.Pass.WeightGradient, limit: 0);
    }

    /// <summary>Leaves w + radius·∇w′ L_val.</summary>
    protected void Shift(StaticMemory target, double radius)
    {
        this.Network.Weights.Span.CopyTo(target.Span);
        Elementwise.Scale(this.Pass.WeightGradient, (float)radius, target.Span, accumulate: true);
    }

    /// <summary>Adds so many times a pass's gradient of α to this.</summary>
    protected void Add(StaticPass pass, double factor)
    {
        pass.Mixture.Gradient(this.other);
        Elementwise.Scale(this.other, (float)factor, this.Gradient, accumulate: true);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            this.Shifted.Dispose();
        base.Dispose(disposing);
    }
}

/// <summary>By central ones: the two passes at w ± R∇w′ differ in the tuned parameters alone and run as one over twice the images.</summary>
internal sealed class StaticCentralSteps(Supernet network, StaticEngine engine, Optimizer lower, SearchSettings settings)
    : StaticDifferencesSteps(network, engine, lower, settings)
{
    private readonly StaticPass minus = engine.NewPass();
    private readonly StaticMemory opposite = new(network.Weights.Elements);

    protected override void Differentiate(Batch train, Batch validation)
    {
        this.Pass.On(train).Run();
        var norm = this.EvaluateStepped(validation);
        this.Shift(this.Shifted, SecondOrderDifferences.Radius / norm);
        this.Shift(this.opposite, -SecondOrderDifferences.Radius / norm);
        this.Pass.On(train).Run(this.Network.AtOwn(this.minus).AtWeights(this.opposite.Span).On(train));
        var scale = -this.Lower.LearningRate * norm / (2 * SecondOrderDifferences.Radius);
        this.Add(this.Pass, scale);
        this.Add(this.minus, -scale);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            this.opposite.Dispose();
        base.Dispose(disposing);
    }
}

/// <summary>By a forward one: the pass of the inner step leaves α's gradient at w.</summary>
internal sealed class StaticForwardSteps(Supernet network, StaticEngine engine, Optimizer lower, SearchSettings settings)
    : StaticDifferencesSteps(network, engine, lower, settings)
{
    private readonly float[] atStart = new float[network.Alphas.Elements];

    protected override void Differentiate(Batch train, Batch validation)
    {
        this.Pass.On(train).Run().Mixture.Gradient(this.atStart);
        var norm = this.EvaluateStepped(validation);
        this.Shift(this.Shifted, SecondOrderDifferences.ForwardRadius / norm);
        this.Pass.On(train).Run();
        var scale = -this.Lower.LearningRate * norm / SecondOrderDifferences.ForwardRadius;
        this.Add(this.Pass, scale);
        Elementwise.Scale(this.atStart, (float)-scale, this.Gradient, accumulate: true);
    }
}

/// <summary>Second order exact: what is differentiated twice is so by autograd (<see cref="SecondOrderExact"/>), the upper level's pass by the static program.</summary>
internal sealed class StaticExactSteps(Supernet network, StaticEngine engine, Optimizer lower, SearchSettings settings)
    : StaticArchitectureSteps(network, engine, lower, settings)
{
    private readonly BilevelProblem problem = new(network, settings);
    private readonly StaticMemory stepped = new(network.Weights.Elements);

    protected override void Differentiate(Batch train, Batch validation)
    {
        using var scope = NewDisposeScope();
        var unrolled = SecondOrderExact.Step(this.problem, this.Lower, train);
        for (var i = 0; i < unrolled.Length; i++)
            unrolled[i].detach().contiguous().data<float>().CopyTo(this.Of(this.stepped.Span, i));
        this.Pass.AtWeights(this.stepped.Span);
        this.Evaluate(validation);

        Tensor[] directions = [.. unrolled.Select((weight, i) => tensor(this.Of(this.Pass.WeightGradient, i).ToArray(), weight.shape))];
        var products = autograd.grad(unrolled, [.. this.problem.Alphas], directions, allow_unused: true);
        var offset = 0;
        foreach (var (alpha, product) in this.problem.Alphas.Zip(products))
        {
            var target = this.Gradient.AsSpan(offset, (int)alpha.numel());
            if (product is { IsInvalid: false })
                Elementwise.Accumulate(product.contiguous().data<float>().ToArray(), target);
            offset += target.Length;
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            this.stepped.Dispose();
            this.problem.Dispose();
        }
        base.Dispose(disposing);
    }

    /// <summary>A weight's share of all weights.</summary>
    private Span<float> Of(Span<float> all, int weight)
    {
        var index = this.Network.Weights.Indices[weight];
        return all.Slice(this.Network.Weights.OffsetOf(index), (int)this.Network.Specs[index].Count);
    }
}
