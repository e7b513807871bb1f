using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>Outside of training every factor of dropout is 1, so prompts are the same for all images again (METHOD §6.1, S2).</summary>
public sealed class NoDropout : Pass
{
    /// <inheritdoc/>
    public override string Name => "no dropout";

    /// <inheritdoc/>
    public override string Doc => "nothing is dropped outside of training";

    /// <inheritdoc/>
    public override string Needs => "dropout";

    /// <inheritdoc/>
    internal override Value? Rewrite(Rewriter rewriter, Value value) => value.Op is MulOp && IsMask(value.Inputs[1]) ? value.Inputs[0] : null;

    private static bool IsMask(Value value) => value.Op is DropoutMaskOp || (value.Op is BroadcastToOp or ReshapeOp && IsMask(value.Inputs[0]));
}
