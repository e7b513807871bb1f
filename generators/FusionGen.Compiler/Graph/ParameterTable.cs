using System.Collections;

namespace FusionGen.Compiler.Graph;

/// <summary>The parameters of a network in the order in which programs number them.</summary>
public sealed class ParameterTable : IReadOnlyList<ParameterOp>
{
    private readonly ParameterOp[] all;
    private readonly Dictionary<string, int> indices;

    internal ParameterTable(ParameterOp[] all)
    {
        (this.all, this.indices) = (all, new Dictionary<string, int>(all.Length, StringComparer.Ordinal));
        foreach (var parameter in all)
            this.indices.Add(parameter.Name, this.indices.Count);
    }

    /// <inheritdoc/>
    public int Count => this.all.Length;

    /// <inheritdoc/>
    public ParameterOp this[int index] => this.all[index];

    /// <summary>Where one is.</summary>
    public int IndexOf(ParameterOp parameter) => this.indices[parameter.Name];

    /// <inheritdoc/>
    public IEnumerator<ParameterOp> GetEnumerator() => ((IEnumerable<ParameterOp>)this.all).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => this.GetEnumerator();
}
