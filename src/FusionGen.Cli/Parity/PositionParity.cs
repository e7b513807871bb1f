using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Cli.Parity;

/// <summary>Follows a reference's position embeddings from one grid to another by every published rule.</summary>
internal static class PositionParity
{
    /// <summary>The references' own float32 noise is up to 4e-7.</summary>
    private const double Tolerance = 1e-6;

    private static readonly Dictionary<string, string> Rules = new(StringComparer.Ordinal)
    {
        ["vpt_zoom_order1"] = "vpt",
        ["timm_npz_bilinear_noantialias"] = "timm-npz",
        ["timm_bicubic_antialias"] = "timm",
        ["mae_bicubic"] = "mae",
        ["mae_sincos_grid4"] = "sin-cos",
    };

    /// <summary>Whether a case is of that kind.</summary>
    public static bool Concerns(ReferenceCase reference) => reference.Text("method") == "posembed_resample";

    /// <summary>Resamples every input by every rule that has an output, and compares.</summary>
    /// <exception cref="FusionException">An output is by a rule that is not known here.</exception>
    public static ParityResult Run(ReferenceCase reference)
    {
        var differences = new List<Difference>();
        foreach (var name in reference.Names("output_f64/"))
        {
            using var scope = NewDisposeScope();
            var parts = name.Split('/');
            if (!Rules.TryGetValue(parts[^1], out var rule))
                throw new FusionException($"{reference.Path}: {name} is by a rule that is not known here", ExitCode.Data);
            var wanted = reference.Read($"output_f64/{name}");
            // What is computed anew has no input.
            using var input = parts.Length > 1 ? reference.Read($"input/{parts[0]}") : zeros(1, 2, wanted.shape[2]);
            var ours = new float[wanted.NumberOfElements];
            PositionRule.Of(rule).Apply(input.data<float>().ToArray(), Side(input), ours, Side(wanted), (int)wanted.shape[2]);
            differences.Add(Difference.Of(name, [(tensor(ours), wanted)], _ => Tolerance));
        }
        return new ParityResult(differences, []);
    }

    private static int Side(Tensor embedding) => (int)Math.Sqrt(embedding.shape[1] - 1);
}
