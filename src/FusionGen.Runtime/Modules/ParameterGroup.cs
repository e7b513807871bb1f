using System.Runtime.InteropServices;
using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen;

/// <summary>Parameters that move together: views of one tensor, one after another in table order.</summary>
internal sealed class ParameterGroup : IDisposable
{
    private readonly Dictionary<int, int> offsets = [];

    /// <summary>Makes room for the parameters of some roles; zeros.</summary>
    public ParameterGroup(IReadOnlyList<TensorSpec> specs, Func<TensorSpec, bool> belongs, ScalarType dtype, Device device)
    {
        this.Indices = [.. Enumerable.Range(0, specs.Count).Where(i => belongs(specs[i]))];
        foreach (var i in this.Indices)
        {
            this.offsets.Add(i, this.Elements);
            this.Elements += checked((int)specs[i].Count);
        }
        this.Values = zeros(this.Elements, dtype: dtype, device: device).DetachFromDisposeScope();
    }

    /// <summary>Positions in the network's table, ascending.</summary>
    public int[] Indices { get; }

    /// <summary>Numbers of all of them.</summary>
    public int Elements { get; }

    /// <summary>All of them, (elements).</summary>
    public Tensor Values { get; }

    /// <summary>All of them, where they lie in memory as float32.</summary>
    public Span<float> Span => MemoryMarshal.Cast<byte, float>(this.Values.bytes);

    /// <summary>Whether the parameter at that position of the table is one of them.</summary>
    public bool Holds(int index) => this.offsets.ContainsKey(index);

    /// <summary>Where the parameter at that position of the table starts.</summary>
    public int OffsetOf(int index) => this.offsets[index];

    /// <summary>The parameter of a spec, as a tensor of its own over the same numbers.</summary>
    public Tensor View(int index, TensorSpec spec)
    {
        using var part = this.Values.narrow(0, this.offsets[index], spec.Count);
        using var shaped = part.view([.. spec.Shape]);
        return shaped.detach();
    }

    /// <summary>All of them as an optimizer sees them.</summary>
    /// <param name="network">Whose they are.</param>
    /// <param name="decays">Whether weight decay applies to the parameter of a name; to all if null.</param>
    /// <param name="rate">What the learning rate of the parameter of a name is multiplied by; 1 if null.</param>
    public IReadOnlyList<OptimizedParameter> Parameters(FusionNetwork network, Func<string, bool>? decays = null, Func<string, double>? rate = null) =>
        [.. this.Indices.Select(i => (network.Specs[i].Name, Value: network.Table[i])).Select(one => new OptimizedParameter(one.Name, one.Value, decays?.Invoke(one.Name) ?? true, rate?.Invoke(one.Name) ?? 1))];

    /// <inheritdoc/>
    public void Dispose() => this.Values.Dispose();
}
