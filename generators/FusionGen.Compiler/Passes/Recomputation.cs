using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>What the backward pass computes again instead of having it kept: values of one cheap pass over others that are kept anyway.</summary>
public enum Recomputation
{
    /// <summary>Nothing: the fastest.</summary>
    None,

    /// <summary>Normalised rows.</summary>
    Norms,

    /// <summary>Normalised rows and activations.</summary>
    NormsAndActivations,
}

/// <summary>Chooses how much is computed again.</summary>
public static class Recomputations
{
    /// <summary>The least recomputation at which a step's memory fits; the most where none does.</summary>
    /// <param name="network">The network.</param>
    /// <param name="batch">Images of a step.</param>
    /// <param name="passes">Passes that run at once.</param>
    /// <param name="bytes">Bytes that the step may take; 0 for any number.</param>
    public static Differentiation Within(Network network, int batch, int passes, long bytes)
    {
        var step = Differentiation.Of(network);
        for (var more = Recomputation.Norms; more <= Recomputation.NormsAndActivations && bytes > 0 && StaticPlan.Of(step).PeakBytes(batch, passes) > bytes; more++)
            step = Differentiation.Of(Rewriter.Run(network).Network, more);
        return step;
    }

    /// <summary>Whether a value is computed again.</summary>
    internal static bool Covers(this Recomputation recomputation, Value value) => value.Shape.IsPerSample && value.Op switch
    {
        LayerNormOp => recomputation >= Recomputation.Norms,
        UnaryOp => recomputation >= Recomputation.NormsAndActivations,
        _ => false,
    };
}
