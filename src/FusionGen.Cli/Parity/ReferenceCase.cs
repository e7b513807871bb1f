using System.Text.Json;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Cli.Parity;

/// <summary>
/// A reference case: what published code computed, with everything needed to compute it again. A safetensors file with <c>state/NAME</c>,
/// <c>input/…</c>, <c>output/…</c>, <c>grad/NAME</c> and, where it trains, <c>step{i}/…</c>; settings are JSON in its metadata under <c>case</c>.
/// </summary>
internal sealed class ReferenceCase : IReferenceState, IDisposable
{
    private const string StatePrefix = "state/";
    private const string GradientPrefix = "grad/";
    private readonly SafeTensors file;
    private readonly JsonDocument settings;

    private ReferenceCase(SafeTensors file, JsonDocument settings)
    {
        this.file = file;
        this.settings = settings;
    }

    /// <summary>The file.</summary>
    public string Path => this.file.Path;

    /// <summary>Names of the state's tensors, sorted.</summary>
    public IReadOnlyList<string> State => this.Names(StatePrefix);

    /// <summary>Names of the tensors that have a gradient, sorted.</summary>
    public IReadOnlyList<string> Gradients => this.Names(GradientPrefix);

    /// <summary>Opens a case.</summary>
    /// <exception cref="FusionException">The file is damaged or no reference case.</exception>
    public static ReferenceCase Open(string path)
    {
        var file = SafeTensors.Open(path);
        try
        {
            if (!file.Metadata.TryGetValue("case", out var text))
                throw new FusionException($"{path}: no reference case: its metadata has no 'case'", ExitCode.Data);
            return new ReferenceCase(file, JsonDocument.Parse(text));
        }
        catch (JsonException error)
        {
            file.Dispose();
            throw new FusionException($"{path}: its metadata 'case' is not JSON: {error.Message}", ExitCode.Data, error);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Names of the tensors behind a prefix, without it, sorted.</summary>
    public IReadOnlyList<string> Names(string prefix) =>
        [.. this.file.Entries.Where(entry => entry.Name.StartsWith(prefix, StringComparison.Ordinal)).Select(entry => entry.Name[prefix.Length..]).Order(StringComparer.Ordinal)];

    /// <summary>Whether there is a tensor of that full name.</summary>
    public bool Has(string name) => this.file.Has(name);

    /// <summary>A tensor by its full name.</summary>
    public Tensor Read(string name) => this.file.Read(name);

    /// <summary>A tensor of the state.</summary>
    public Tensor ReadState(string name) => this.file.Read(StatePrefix + name);

    /// <summary>A gradient.</summary>
    public Tensor ReadGradient(string name) => this.file.Read(GradientPrefix + name);

    /// <summary>Shape of a tensor of the state.</summary>
    public IReadOnlyList<long> ShapeOf(string name) => this.file.Entry(StatePrefix + name).Shape;

    /// <summary>A number of the settings.</summary>
    public int Integer(string key) => this.Get(key).TryGetInt32(out var value) ? value : throw this.Malformed(key, "a whole number");

    /// <summary>A number of the settings.</summary>
    public double Number(string key) => this.Get(key) is { ValueKind: JsonValueKind.Number } value ? value.GetDouble() : throw this.Malformed(key, "a number");

    /// <summary>A number of the settings; NaN where it is null.</summary>
    public double NumberOrNull(string key) => this.Get(key).ValueKind == JsonValueKind.Null ? double.NaN : this.Number(key);

    /// <summary>A yes or no of the settings.</summary>
    public bool Flag(string key) => this.Get(key) is { ValueKind: JsonValueKind.True or JsonValueKind.False } value ? value.GetBoolean() : throw this.Malformed(key, "true or false");

    /// <summary>A yes or no of the settings; where it is missing, what the published code takes.</summary>
    public bool Flag(string key, bool missing) => this.Find(key) is null ? missing : this.Flag(key);

    /// <summary>A number of the settings; where it is missing, what the published code takes.</summary>
    public int Integer(string key, int missing) => this.Find(key) is null ? missing : this.Integer(key);

    /// <summary>A text of the settings; empty where it is missing or null.</summary>
    public string Text(string key) => this.Find(key) is { } value && value.ValueKind == JsonValueKind.String ? value.GetString()! : "";

    /// <summary>A list of texts of the settings; empty where it is missing or null.</summary>
    public IReadOnlyList<string> Texts(string key) => this.Find(key) is { } value && value.ValueKind == JsonValueKind.Array
        ? [.. value.EnumerateArray().Select(item => item.GetString() ?? throw this.Malformed(key, "a list of texts"))]
        : [];

    /// <summary>A list of numbers of the settings; empty where it is missing or null.</summary>
    public IReadOnlyList<double> Numbers(string key) => this.Find(key) is { } value && value.ValueKind == JsonValueKind.Array
        ? [.. value.EnumerateArray().Select(item => item.GetDouble())]
        : [];

    /// <summary>The gradient that the reference itself knows worst, and how far its float32 is from its float64, relative to its largest entry.</summary>
    public (string Name, double Relative) GradientNoise() => this.settings.RootElement.TryGetProperty("f32_vs_f64", out var noise)
        && noise.TryGetProperty("grad_worst_name", out var name) && noise.TryGetProperty("grad_worst_rel_to_max", out var relative)
        ? (name.GetString() ?? "", relative.GetDouble())
        : ("", 0);

    /// <inheritdoc/>
    public void Dispose()
    {
        this.file.Dispose();
        this.settings.Dispose();
    }

    private JsonElement Get(string key) => this.Find(key) ?? throw new FusionException($"{this.Path}: its settings have no '{key}'", ExitCode.Data);

    /// <summary>A setting, by its path: <c>prompt.DEEP</c> is the key DEEP of the map prompt.</summary>
    private JsonElement? Find(string key)
    {
        var found = this.settings.RootElement;
        foreach (var part in key.Split('.'))
        {
            if (found.ValueKind != JsonValueKind.Object || !found.TryGetProperty(part, out found))
                return null;
        }
        return found;
    }

    private FusionException Malformed(string key, string wanted) => new($"{this.Path}: its setting '{key}' must be {wanted}, not {this.Get(key)}", ExitCode.Data);
}
