using FusionGen.Static;
using static TorchSharp.torch;

namespace FusionGen.Training;

/// <summary>
/// Steps of what a network tunes: the cross-entropy of a batch, its gradient, clipped, and the optimizer's move; α stays. The network's engine
/// makes them: the static program on flat memory, or the eager modules under autograd. Figures are the mean cross-entropy and the share of images classified
/// rightly; traced are <c>weights.logits</c>, <c>weights.norm</c> (before clipping) and <c>weights.gradient.NAME</c> (after clipping).
/// </summary>
public abstract class WeightSteps : ParameterSteps
{
    private protected WeightSteps(FusionNetwork network, Optimizer optimizer, double clip)
        : base(optimizer, new Meter(2, network.Location)) => (this.Network, this.Clip) = (network, clip);

    private protected FusionNetwork Network { get; }

    private protected double Clip { get; }

    /// <summary>Steps of a network from its present parameters; it must outlive this object.</summary>
    /// <param name="network">Moved by the steps.</param>
    /// <param name="settings">The optimizer.</param>
    /// <param name="clip">Largest norm of the gradient; 0 for no limit.</param>
    /// <param name="decays">Whether weight decay applies to the parameter of a name; to all if null.</param>
    public static WeightSteps Of(FusionNetwork network, OptimizerSettings settings, double clip = 0, Func<string, bool>? decays = null)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(settings);
        var optimizer = Optimizer.Create(Optimizer.AsPublished(settings), network.Weights.Parameters(network, decays, name => Optimizer.Rate(settings, name)));
        return network.Training is { } engine ? new StaticWeightSteps(network, engine, optimizer, clip) : new EagerWeightSteps(network, optimizer, clip);
    }

    /// <summary>One step.</summary>
    /// <exception cref="FusionException">The loss is not a number; nothing has moved.</exception>
    public abstract void Step(Batch batch);
}

/// <summary>By the static program: no tensors, nothing allocated.</summary>
internal sealed class StaticWeightSteps(FusionNetwork network, StaticEngine engine, Optimizer optimizer, double clip) : WeightSteps(network, optimizer, clip)
{
    private readonly StaticPass pass = engine.NewPass();

    public override void Step(Batch batch)
    {
        this.Network.AtOwn(this.pass).On(batch).Run();
        Meter.Check(this.pass.Loss);
        var norm = Kernels.Optimizers.Clip(this.pass.WeightGradient, this.Clip);
        this.Optimizer.Step(this.Network.Weights.Span, this.pass.WeightGradient);
        this.Figures.Add(batch.Size, this.pass.Loss, this.pass.Correct / (double)batch.Size);
        if (this.Trace is { } trace)
            this.Show(trace, norm);
    }

    private void Show(Action<string, Tensor> trace, double norm)
    {
        using var scope = NewDisposeScope();
        trace("weights.logits", tensor(this.pass.Logits.ToArray(), this.Network.LogitsShape(this.pass.Batch)));
        trace("weights.norm", tensor(norm));
        this.Optimizer.Show("weights.gradient", this.pass.WeightGradient, trace);
    }
}

/// <summary>By the eager modules and autograd: any device, any type.</summary>
internal sealed class EagerWeightSteps(FusionNetwork network, Optimizer optimizer, double clip) : WeightSteps(network, optimizer, clip)
{
    private readonly IReadOnlyList<Tensor> table = network.TableFor(TensorRole.Tuned, TensorRole.Head);

    public override void Step(Batch batch)
    {
        using var scope = NewDisposeScope();
        var logits = this.Network.Forward(batch.Images, this.table);
        var loss = this.Network.Loss(logits, batch.Labels);
        Meter.Check(loss);
        var gradients = Gradients.Of(loss, [.. this.Optimizer.Parameters.Select(parameter => parameter.Value)]);
        var norm = this.Clip > 0 || this.Trace is not null ? Gradients.Clip(gradients, this.Clip) : null;
        this.Optimizer.Step(gradients);
        if (this.Trace is { } trace)
        {
            trace("weights.logits", logits);
            trace("weights.norm", norm!);
            this.Optimizer.Show("weights.gradient", gradients, trace);
        }
        using var guard = no_grad();
        this.Figures.Add(batch.Size, loss, FusionNetwork.Prediction(logits).argmax(1).eq(batch.Labels).sum() / (double)batch.Size);
    }
}
