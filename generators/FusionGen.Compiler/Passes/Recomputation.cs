using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>What the backward pass computes again instead of having it kept, from what is kept anyway; each level with those before it.</summary>
public enum Recomputation
{
    /// <summary>Nothing but attention's probabilities where they would take more room than an MLP's hidden rows: the fastest.</summary>
    None,

    /// <summary>Attention's probabilities.</summary>
    Probabilities,

    /// <summary>Normalised rows.</summary>
    Norms,

    /// <summary>Activations.</summary>
    Activations,
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
        for (var more = Recomputation.Probabilities; more <= Recomputation.Activations && bytes > 0 && StaticPlan.Of(step).PeakBytes(batch, passes) > bytes; more++)
            step = Differentiation.Of(Rewriter.Run(network).Network, more);
        return step;
    }

    /// <summary>
    /// Whether attention's exponentials are kept, H·(T + P) numbers a token: one of seven products of a forward and backward pass less. Where there
    /// are more keys than four times a head's width, they would be more than the 4d hidden numbers that a block's MLP keeps.
    /// </summary>
    internal static bool KeepsProbabilities(this Recomputation recomputation, int keys, int headWidth) => recomputation < Recomputation.Probabilities && keys <= 4 * headWidth;

    /// <summary>Whether a value is computed again.</summary>
    internal static bool Covers(this Recomputation recomputation, Value value) => value.Shape.IsPerSample && value.Op switch
    {
        LayerNormOp => recomputation >= Recomputation.Norms,
        UnaryOp => recomputation >= Recomputation.Activations,
        _ => false,
    };
}
