using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>
/// An exact rewrite (METHOD §6): asked of every value of a graph, in topological order, whether something that costs less may stand in its
/// place. One file each; which run when is said in <see cref="Pipeline"/>.
/// </summary>
public abstract class Pass
{
    /// <summary>What to call it.</summary>
    public abstract string Name { get; }

    /// <summary>What it does, in a sentence.</summary>
    public abstract string Doc { get; }

    /// <summary>What has to be there for it to act.</summary>
    public abstract string Needs { get; }

    /// <summary>What to put in a value's place; null to leave it. The value's inputs have been rewritten already.</summary>
    internal abstract Value? Rewrite(Rewriter rewriter, Value value);
}
