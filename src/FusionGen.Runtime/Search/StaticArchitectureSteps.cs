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

/// <summary>
/// Second order by central differences (<see cref="SecondOrderDifferences"/>): the two passes at w ± R∇w′ differ in the tuned parameters alone and
/// run as one over twice the images.
/// </summary>
internal sealed class StaticDifferencesSteps(Supernet network, StaticEngine engine, Optimizer lower, SearchSettings settings)
    : StaticArchitectureSteps(network, engine, lower, settings)
{
    private readonly StaticPass minus = engine.NewPass();
    private readonly float[] other = new float[network.Alphas.Elements];
    private readonly StaticMemory stepped = new(network.Weights.Elements);
    private readonly StaticMemory opposite = new(network.Weights.Elements);

    protected override void Differentiate(Batch train, Batch validation)
    {
        // w′ = w − ξ∇w L_train(w, α).
        var weights = this.Network.Weights.Span;
        weights.CopyTo(this.stepped.Span);
        this.Lower.VirtualStep(this.stepped.Span, this.Pass.On(train).Run().WeightGradient);
        this.Pass.AtWeights(this.stepped.Span);
        this.Evaluate(validation);

        var direction = this.Pass.WeightGradient;
        var norm = Kernels.Optimizers.Clip(direction, limit: 0);
        var radius = (float)(SecondOrderDifferences.Radius / norm);
        weights.CopyTo(this.stepped.Span);
        weights.CopyTo(this.opposite.Span);
        Elementwise.Scale(direction, radius, this.stepped.Span, accumulate: true);
        Elementwise.Scale(direction, -radius, this.opposite.Span, accumulate: true);
        this.Pass.On(train).Run(this.Network.AtOwn(this.minus).AtWeights(this.opposite.Span).On(train));

        var scale = (float)(-this.Lower.LearningRate * norm / (2 * SecondOrderDifferences.Radius));
        this.Pass.Mixture.Gradient(this.other);
        Elementwise.Scale(this.other, scale, this.Gradient, accumulate: true);
        this.minus.Mixture.Gradient(this.other);
        Elementwise.Scale(this.other, -scale, this.Gradient, accumulate: true);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            this.stepped.Dispose();
            this.opposite.Dispose();
        }
        base.Dispose(disposing);
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
