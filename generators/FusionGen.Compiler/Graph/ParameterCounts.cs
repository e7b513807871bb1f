namespace FusionGen.Compiler.Graph;

/// <summary>Elements of a network's parameters.</summary>
/// <param name="Frozen">Of frozen ones.</param>
/// <param name="Tuned">Of tuned ones, without the head.</param>
/// <param name="Head">Of the head.</param>
/// <param name="All">Of all, α and fixed ones among them.</param>
public readonly record struct ParameterCounts(long Frozen, long Tuned, long Head, long All)
{
    /// <summary>What training changes: tuned ones and the head.</summary>
    public long Trained => this.Tuned + this.Head;

    /// <summary>All but the head's.</summary>
    public long WithoutHead => this.All - this.Head;

    /// <summary>Tuned share, head included, of all parameters (VPT's convention, METHOD §2).</summary>
    public double TunedShare => this.Trained / (double)(this.Frozen + this.Trained);
}
