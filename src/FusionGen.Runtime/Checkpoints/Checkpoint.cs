using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Checkpoints;

/// <summary>
/// The state of a run between two steps: tensors and a JSON document in one safetensors file, so that both are replaced at once.
/// A checkpoint belongs to one run, named by a fingerprint of everything that decides its result.
/// </summary>
internal sealed class Checkpoint : IDisposable
{
    private const string Format = "fusiongen.checkpoint";
    private const string Version = "1";

    private readonly SafeTensors file;

    private Checkpoint(SafeTensors file) => this.file = file;

    /// <summary>Replaces a checkpoint.</summary>
    /// <param name="path">The file.</param>
    /// <param name="fingerprint">Names the run.</param>
    /// <param name="state">The document.</param>
    /// <param name="type">How the document is written.</param>
    /// <param name="tensors">The tensors.</param>
    public static void Write(string path, string fingerprint, object state, JsonTypeInfo type, IEnumerable<KeyValuePair<string, Tensor>> tensors)
    {
        using var scope = NewDisposeScope();
        SafeTensors.Write(path, tensors, new Dictionary<string, string>(StringComparer.Ordinal)
        {
            [Format] = Version,
            ["fingerprint"] = fingerprint,
            ["state"] = JsonSerializer.Serialize(state, type),
        });
    }

    /// <summary>Opens the checkpoint of a run; null where there is no file.</summary>
    /// <exception cref="FusionException">It is damaged, of another version, or of another run.</exception>
    public static Checkpoint? Open(string path, string fingerprint)
    {
        if (!File.Exists(path))
            return null;
        var checkpoint = new Checkpoint(SafeTensors.Open(path));
        try
        {
            if (checkpoint.Text(Format) != Version)
                throw new FusionException($"{path}: not a checkpoint of this version; delete it to start anew", ExitCode.Data);
            var written = checkpoint.Text("fingerprint");
            if (written != fingerprint)
                throw new FusionException($"{path}: belongs to another run ({Difference(written, fingerprint)}); delete it or choose another folder", ExitCode.Spec);
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>The document.</summary>
    public object State(JsonTypeInfo type)
    {
        try
        {
            return JsonSerializer.Deserialize(this.Text("state"), type) ?? throw new JsonException("null");
        }
        catch (JsonException error)
        {
            throw new FusionException($"{this.file.Path}: its state is not valid: {error.Message}", ExitCode.Data, error);
        }
    }

    /// <summary>Reads a tensor.</summary>
    public Tensor Read(string name) => this.file.Read(name);

    /// <summary>Whether there is a tensor of that name.</summary>
    public bool Has(string name) => this.file.Has(name);

    /// <summary>Copies a saved tensor over another of the same shape.</summary>
    public void ReadInto(string name, Tensor target)
    {
        using var guard = no_grad();
        using var saved = this.Read(name);
        if (!saved.shape.AsSpan().SequenceEqual(target.shape))
            throw new FusionException($"{this.file.Path}: tensor '{name}' has shape ({string.Join(", ", saved.shape)}), the network wants ({string.Join(", ", target.shape)})", ExitCode.Data);
        target.copy_(saved);
    }

    /// <inheritdoc/>
    public void Dispose() => this.file.Dispose();

    /// <summary>Fingerprints are lines of <c>key=value</c>; says which differ.</summary>
    private static string Difference(string written, string present)
    {
        var (old, now) = (written.Split('\n'), present.Split('\n'));
        var differing = now.Except(old, StringComparer.Ordinal).Select(line => line.Split('=')[0]).ToList();
        return differing.Count == 0 ? "it has more settings" : $"other {string.Join(", ", differing)}";
    }

    private string Text(string key) => this.file.Metadata.TryGetValue(key, out var value) ? value : "";
}
