using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>
/// Once a policy is fixed, only the largest entries of a column of a mix count (METHOD §6.2, concat): a product with such a matrix is a few scaled
/// rows added to each. While a search runs the mix is soft, and the program multiplies as ever.
/// </summary>
public sealed class SkipZeros : Pass
{
    /// <inheritdoc/>
    public override string Name => "skip zeros of a mix";

    /// <inheritdoc/>
    public override string Doc => "a discretised concat adds a few rows to each token instead of multiplying by all";

    /// <inheritdoc/>
    public override string Needs => "a concat operator that keeps the top rows";

    /// <inheritdoc/>
    internal override Value? Rewrite(Rewriter rewriter, Value value)
    {
        if (value.Op is not MatMulOp { TransposeA: true, TransposeB: false } || value.Inputs[0].Shape.IsPerSample || !value.Shape.IsPerSample || Top(value.Inputs[0]) is not { } top)
            return null;
        return top == 0 ? rewriter.Refuse(this, "all rows count") : rewriter.Graph.Add(new MixOp(false, rewriter.IsSoft ? 0 : top), value.Inputs[0], value.Inputs[1]);
    }

    /// <summary>How many entries of a column are not zero, by how the matrix is made; null where that is not known.</summary>
    private static int? Top(Value matrix) => matrix.Op switch
    {
        SoftmaxOp { Axis: 0 } softmax => softmax.Top,
        SliceOp or MulOp when matrix.Inputs.Skip(1).All(factor => factor.Shape.Rank == 0) => Top(matrix.Inputs[0]),
        _ => null,
    };
}
