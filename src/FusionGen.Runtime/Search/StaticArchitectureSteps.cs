using FusionGen.Kernels;
using FusionGen.Static;
using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Search;

/// <summary>
/// Steps of α by the static program, first order or by central differences (<see cref="FirstOrder"/>, <see cref="SecondOrderDifferences"/>): no tensors,
/// nothing allocated. The two passes at w ± R∇w′ differ in the tuned parameters alone and run as one over twice the images.
/// </summary>
internal sealed class StaticArchitectureSteps : ArchitectureSteps
{
    private readonly StaticPass pass;
    private readonly StaticPass? minus;
    private readonly float[] gradient;
    private readonly float[] other;
    private readonly StaticMemory stepped;
    private readonly StaticMemory opposite;

    public StaticArchitectureSteps(Supernet network, StaticEngine engine, Optimizer lower, SearchSettings settings)
        : base(network, lower, settings)
    {
        var isUnrolled = settings.Order != SearchOrder.First;
        this.pass = engine.NewPass();
        this.minus = isUnrolled ? engine.NewPass() : null;
        this.gradient = new float[network.Alphas.Elements];
        this.other = new float[isUnrolled ? network.Alphas.Elements : 0];
        this.stepped = new StaticMemory(isUnrolled ? network.Weights.Elements : 0);
        this.opposite = new StaticMemory(isUnrolled ? network.Weights.Elements : 0);
    }

    public override void Step(Batch train, Batch validation)
    {
        this.Network.AtOwn(this.pass);
        if (this.minus is not null)
            this.TakeVirtualStep(train);
        this.pass.On(validation).Run();
        var (settings, mixture, loss) = (this.Settings, this.pass.Mixture, this.pass.Loss);
        var objective = loss + (settings.Entropy * mixture.NegativeEntropy) + (settings.Cost * mixture.Cost);
        mixture.Gradient(this.gradient, settings.Entropy, settings.Cost);
        if (this.minus is not null)
            this.AddUnrolled(train, this.minus);
        if (this.Trace is { } before)
            this.Optimizer.Show("architecture.gradient", this.gradient, before);
        var norm = Kernels.Optimizers.Clip(this.gradient, settings.Clip);
        Meter.Check(objective);
        Meter.Check(norm);
        this.Optimizer.Step(this.Network.Alphas.Span, this.gradient);
        this.Figures.Add(validation.Size, objective, loss, norm, mixture.NegativeEntropy, mixture.Cost);
        if (this.Trace is { } after)
            this.Show(after, norm);
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

    /// <summary>Puts the pass at w′ = w − ξ∇w L_train(w, α).</summary>
    private void TakeVirtualStep(Batch train)
    {
        this.pass.On(train).Run();
        this.Network.Weights.Span.CopyTo(this.stepped.Span);
        this.Lower.VirtualStep(this.stepped.Span, this.pass.WeightGradient);
        this.pass.AtWeights(this.stepped.Span);
    }

    /// <summary>Subtracts ξ·(∇α L_train(w + R∇w′, α) − ∇α L_train(w − R∇w′, α))/2R.</summary>
    private void AddUnrolled(Batch train, StaticPass minus)
    {
        var weights = this.Network.Weights.Span;
        var direction = this.pass.WeightGradient;
        var norm = Kernels.Optimizers.Clip(direction, limit: 0);
        var radius = (float)(SecondOrderDifferences.Radius / norm);
        weights.CopyTo(this.stepped.Span);
        weights.CopyTo(this.opposite.Span);
        Elementwise.Scale(direction, radius, this.stepped.Span, accumulate: true);
        Elementwise.Scale(direction, -radius, this.opposite.Span, accumulate: true);
        this.Network.AtOwn(minus).AtWeights(this.opposite.Span).On(train);
        this.pass.On(train).Run(minus);
        this.pass.Mixture.Gradient(this.other);
        var scale = (float)(-this.Lower.LearningRate * norm / (2 * SecondOrderDifferences.Radius));
        Elementwise.Scale(this.other, scale, this.gradient, accumulate: true);
        minus.Mixture.Gradient(this.other);
        Elementwise.Scale(this.other, -scale, this.gradient, accumulate: true);
    }

    private void Show(Action<string, Tensor> trace, double norm)
    {
        using var scope = NewDisposeScope();
        this.Optimizer.Show("architecture.clipped", this.gradient, trace);
        trace("architecture.norm", tensor(norm));
    }
}
