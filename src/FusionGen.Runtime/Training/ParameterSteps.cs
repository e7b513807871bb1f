using static TorchSharp.torch;

namespace FusionGen.Training;

/// <summary>Steps of some of a network's parameters: what moves them, what is summed of them over an epoch, who watches.</summary>
public abstract class ParameterSteps : IDisposable
{
    private protected ParameterSteps(Optimizer optimizer, Meter figures) => (this.Optimizer, this.Figures) = (optimizer, figures);

    /// <summary>What moves the parameters.</summary>
    public Optimizer Optimizer { get; }

    /// <summary>Figures of every step, taken before it.</summary>
    public Meter Figures { get; }

    /// <summary>Sees tensors on their way, by name, without owning them.</summary>
    public Action<string, Tensor>? Trace { get; set; }

    /// <inheritdoc/>
    public void Dispose()
    {
        this.Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees optimizer and figures.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (!disposing)
            return;
        this.Optimizer.Dispose();
        this.Figures.Dispose();
    }
}
