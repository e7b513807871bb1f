using System.Globalization;
using FusionGen.Compiler.Spec;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Cli.Parity;

/// <summary>Tensors of published code by its own names: a reference case's, or a checkpoint's that the authors' code has tuned.</summary>
internal interface IReferenceState
{
    /// <summary>The file.</summary>
    string Path { get; }

    /// <summary>Names of the state's tensors, sorted.</summary>
    IReadOnlyList<string> State { get; }

    /// <summary>Shape of a tensor of the state.</summary>
    IReadOnlyList<long> ShapeOf(string name);

    /// <summary>A tensor of the state.</summary>
    Tensor ReadState(string name);
}

/// <summary>A checkpoint that the authors' code has tuned, in any format that weights are read in.</summary>
internal sealed class TunedCheckpoint(WeightFile file) : IReferenceState
{
    private const string Banks = "fusion_banks.";

    /// <inheritdoc/>
    public string Path => file.Path;

    /// <inheritdoc/>
    public IReadOnlyList<string> State { get; } = [.. file.Entries.Select(entry => entry.Name).Order(StringComparer.Ordinal)];

    /// <inheritdoc/>
    public IReadOnlyList<long> ShapeOf(string name) => file.Entry(name).Shape;

    /// <inheritdoc/>
    public Tensor ReadState(string name)
    {
        var entry = file.Entry(name);
        var values = new float[entry.Count];
        file.Read(entry, 0, values);
        return tensor(values, [.. entry.Shape]);
    }

    /// <summary>Where its tensors are in the model of a policy.</summary>
    /// <exception cref="FusionException">What is tuned in that layout has no operator here.</exception>
    public ReferenceLayout Layout(string name, SpecDocument spec, PolicyDocument policy) => name switch
    {
        "vpt" => new VptLayout(spec),
        "vapt" => new VaptLayout(spec),
        "e2vpt" => new E2VptLayout(spec),
        "pfd" => new PfdLayout(this.Path, spec, policy, this.BankKeys(spec.Layers.Count), []),
        _ => throw new FusionException($"{this.Path}: what a checkpoint of layout {name} has tuned cannot be imported, only its backbone; vpt, vapt, e2vpt and pfd can", ExitCode.Data),
    };

    /// <summary>The bank of each layer: its number where layers have banks of their own, the only key where they share one.</summary>
    private string[] BankKeys(int layers)
    {
        var keys = this.State.Where(name => name.StartsWith(Banks, StringComparison.Ordinal)).Select(name => name.Split('.')[1]).Distinct(StringComparer.Ordinal).ToList();
        return keys switch
        {
            [] => [.. Enumerable.Repeat("", layers)],
            [var only] when !int.TryParse(only, out _) => [.. Enumerable.Repeat(only, layers)],
            _ when keys.TrueForAll(key => int.TryParse(key, out var layer) && layer < layers) => [.. Enumerable.Range(0, layers).Select(layer => layer.ToString(CultureInfo.InvariantCulture))],
            _ => throw new FusionException($"{this.Path}: has banks [{string.Join(", ", keys)}], and no word of which layer uses which; one for all layers or one for each can be imported", ExitCode.Data),
        };
    }
}
