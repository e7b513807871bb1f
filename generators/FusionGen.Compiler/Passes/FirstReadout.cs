using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>A prediction reads the first of several streams; what only the others' losses need is gone.</summary>
public sealed class FirstReadout : Pass
{
    /// <inheritdoc/>
    public override string Name => "first readout";

    /// <inheritdoc/>
    public override string Doc => "a prediction reads the image's stream alone";

    /// <inheritdoc/>
    public override string Needs => "a second stream of tokens";

    /// <inheritdoc/>
    internal override Value? Rewrite(Rewriter rewriter, Value value) =>
        value.Op is ReadoutsOp && value.Inputs.Count > 1 ? rewriter.Graph.Readouts([1], value.Inputs[0]) : null;
}
