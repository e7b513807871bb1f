using FusionGen.Cli.Compilation;
using FusionGen.Static;
using FusionGen.Training;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Cli.Parity;

/// <summary>How far one of our tensors is from the reference's.</summary>
/// <param name="Name">The reference's name.</param>
/// <param name="Absolute">Largest absolute difference.</param>
/// <param name="Relative">The same, relative to the reference's largest entry.</param>
/// <param name="Tolerance">Largest absolute difference allowed.</param>
internal sealed record Difference(string Name, double Absolute, double Relative, double Tolerance)
{
    /// <summary>Whether it is within tolerance; not a number is not.</summary>
    public bool Holds => this.Absolute <= this.Tolerance;

    /// <summary>Compares pairs of tensors that make up one reference tensor.</summary>
    /// <param name="name">The reference's name.</param>
    /// <param name="pairs">Ours and the reference's, of equal shape.</param>
    /// <param name="tolerance">Absolute tolerance, from the reference's largest entry.</param>
    public static Difference Of(string name, IEnumerable<(Tensor Ours, Tensor Reference)> pairs, Func<double, double> tolerance)
    {
        var (absolute, largest) = (0.0, 0.0);
        foreach (var (ours, reference) in pairs)
        {
            using var scope = NewDisposeScope();
            var wanted = reference.to(ScalarType.Float64);
            // Math.Max passes NaN on, so a NaN anywhere fails the comparison.
            absolute = Math.Max(absolute, (ours.detach().cpu().to(ScalarType.Float64).reshape(wanted.shape) - wanted).abs().max().item<double>());
            largest = Math.Max(largest, wanted.abs().max().item<double>());
        }
        return new Difference(name, absolute, largest == 0 ? absolute : absolute / largest, tolerance(largest));
    }
}

/// <summary>What a comparison came to.</summary>
/// <param name="Differences">Every quantity that the reference holds.</param>
/// <param name="Notes">What was left out, and why.</param>
internal sealed record ParityResult(IReadOnlyList<Difference> Differences, IReadOnlyList<string> Notes)
{
    /// <summary>Whether everything is within tolerance.</summary>
    public bool Holds => this.Differences.All(difference => difference.Holds);
}

/// <summary>Runs a reference case through a compiled spec and compares logits, loss and every gradient; or a training's every step.</summary>
internal static class ParityCheck
{
    /// <summary>Against the reference's float64, in float32: its own float32 noise is up to 7e-6.</summary>
    private const double LogitsSingle = 3e-5;
    private const double LossSingle = 1e-5;

    /// <summary>Against the reference's float64, in float64.</summary>
    private const double LogitsDouble = 1e-10;

    /// <summary>Against the reference's float32 gradients, relative to the largest entry of each.</summary>
    private const double GradientSingle = 1e-4;
    private const double GradientDouble = 3e-5;

    /// <summary>A gradient that the reference's own float32 knows worse than that is allowed this multiple of its noise.</summary>
    private const double Noise = 8;

    /// <summary>Refuses cases of another kind than parity follows.</summary>
    /// <exception cref="FusionException">It is of none of them.</exception>
    public static void Require(ReferenceCase reference)
    {
        if (!IsTraining(reference) && !reference.Has("input/images"))
            throw new FusionException($"{reference.Path}: is a case of '{reference.Text("method")}'; parity follows forward and backward passes (input/images), SGD trainings (lr_per_step), searches, operators alone (input/u) and position embeddings", ExitCode.Data);
    }

    /// <summary>Runs the comparison.</summary>
    /// <param name="reference">The case.</param>
    /// <param name="layoutName">Whose names it has.</param>
    /// <param name="compiled">Our network.</param>
    /// <param name="dtype">Its type.</param>
    /// <param name="engine">Who computes.</param>
    /// <param name="weights">A file to take the backbone from instead of the case's state; null for the one that the case names, or for none.</param>
    /// <exception cref="FusionException">The reference does not map totally onto the network.</exception>
    public static ParityResult Run(ReferenceCase reference, string layoutName, CompiledSpec compiled, ScalarType dtype, Engine engine, string? weights)
    {
        var layout = ReferenceLayout.All[layoutName](reference, compiled.Spec, compiled.Policy);
        using var network = Create(reference, compiled, dtype);
        network.Engine = engine;
        var map = ParameterMap.Of(reference, layout, network);
        map.Load(reference, network);
        var notes = map.Ignored.GroupBy(ignored => ignored.Reason, ignored => ignored.Name)
            .Select(group => $"{group.First()}{(group.Count() == 1 ? "" : $" and {group.Count() - 1} more")}: {group.Key}").ToList();
        if (reference.Text("npz_file") is { Length: > 0 } named)
            weights ??= Path.Combine(Path.GetDirectoryName(reference.Path) ?? "", named);
        if (weights is not null)
        {
            var loaded = BackboneWeights.Load(network, weights);
            notes.AddRange([$"the state's backbone: it was read from {weights} instead", .. loaded.Notes]);
        }
        var differences = IsTraining(reference)
            ? ParityTrajectory.Run(reference, network, map, dtype)
            : Forward(reference, layout, network, map, dtype, notes);
        return new ParityResult(differences, notes);
    }

    /// <summary>A step of the network by the engine it is set to.</summary>
    internal static NetworkStep Step(FusionNetwork network, Tensor images, Tensor labels)
    {
        var step = NetworkStep.Of(network, new Batch(images, labels));
        return step.IsStatic == (network.Engine == Engine.Static) ? step : throw new FusionException($"{network.Plan.Model}: the static engine does not train it", ExitCode.Internal);
    }

    private static bool IsTraining(ReferenceCase reference) => reference.Numbers("lr_per_step").Count > 0;

    private static FusionNetwork Create(ReferenceCase reference, CompiledSpec compiled, ScalarType dtype)
    {
        if (compiled.HasModel)
            return compiled.CreateModel(dtype: dtype);
        if (!compiled.HasSupernet)
            return compiled.CreateBackbone(dtype: dtype);
        var supernet = compiled.CreateSupernet(dtype: dtype);
        supernet.Temperature = reference.Number("temperature");
        return supernet;
    }

    private static List<Difference> Forward(ReferenceCase reference, ReferenceLayout layout, FusionNetwork network, ParameterMap map, ScalarType dtype, List<string> notes)
    {
        using var scope = NewDisposeScope();
        var isDouble = dtype == ScalarType.Float64;
        var images = reference.Read("input/images").to(dtype);
        var step = Step(network, images, reference.Read("input/labels"));
        var logits = reference.Read("output/logits_f64");
        var differences = new List<Difference>
        {
            Difference.Of("logits", [(FusionNetwork.Prediction(step.Logits), logits)], _ => isDouble ? LogitsDouble : LogitsSingle),
            Difference.Of("loss", [(step.Loss, reference.Read("output/loss_f64"))], _ => isDouble ? LogitsDouble : LossSingle),
        };
        if (reference.Has("output/logits_prompt"))
            differences.Insert(1, Difference.Of("logits of the prompts", [(step.Logits.select(1, 1), reference.Read("output/logits_prompt"))], _ => LogitsSingle));
        // Predictions are another static program, with passes of its own.
        if (step.IsStatic)
        {
            using var guard = no_grad();
            differences.Add(Difference.Of("predicted logits", [(network.forward(images), logits)], _ => LogitsSingle));
        }
        var (noisy, noise) = reference.GradientNoise();
        foreach (var name in reference.Gradients)
        {
            var relative = Math.Max(isDouble ? GradientDouble : GradientSingle, name == noisy ? Noise * noise : 0);
            differences.Add(Difference.Of($"∂ {name}", Gradients(reference, network, step, map, name), largest => (relative * largest) + layout.GradientFloor(name)));
        }
        var known = reference.Gradients.ToHashSet(StringComparer.Ordinal);
        notes.AddRange(map.Placements.Where(placement => !known.Contains(placement.Reference) && network.Specs[network.IndexOf(placement.Parameter)].Role is not (TensorRole.Frozen or TensorRole.Fixed))
            .Select(placement => $"{placement.Reference}: trainable here, but the reference has no gradient of it").Distinct());
        return differences;
    }

    private static List<(Tensor Ours, Tensor Reference)> Gradients(ReferenceCase reference, FusionNetwork network, NetworkStep step, ParameterMap map, string name)
    {
        var whole = reference.ReadGradient(name);
        return [.. map.Pairs(name, whole, parameter => step.Gradient(parameter)
            ?? throw new FusionException($"the reference has a gradient of '{name}', but {network.Plan.Model} freezes '{parameter}'; see the spec's 'tune'", ExitCode.Data))];
    }
}
