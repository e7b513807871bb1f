using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Emit;

/// <summary>What the settings of a spec say of a step's memory, beside its static program.</summary>
public static class StepMemory
{
    /// <summary>Images of a search's step; of a training step where there is nothing to search.</summary>
    public static int Batch(SpecDocument spec) => spec.HasOperators ? spec.Search.Batch : spec.Train.Batch;

    /// <summary>Passes of a training step that run at once: both sides of a central difference.</summary>
    public static int Passes(SpecDocument spec, bool isSupernet) => isSupernet && spec.Search.Order == SearchOrder.SecondFd ? 2 : 1;

    /// <summary>
    /// Bytes of the parameters and all that goes with the tuned ones of the largest network, in float32: a gradient and two moments; of a supernet
    /// the gradient of another level, by differences shifted values, and by central ones those and a gradient on the other side.
    /// </summary>
    public static long ParameterBytes(SpecDocument spec, ParameterCounts backbone, ParameterCounts? supernet, ParameterCounts? model)
    {
        var copies = spec.Search.Order switch
        {
            SearchOrder.SecondFd => 8,
            SearchOrder.SecondForward => 6,
            _ => 5,
        };
        var most = Math.Max(4 * backbone.Trained, Math.Max(copies * (supernet?.Trained ?? 0), 4 * (model?.Trained ?? 0)));
        return sizeof(float) * (backbone.WithoutHead + most);
    }
}
