using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Cli.Parity;

/// <summary>Follows a reference's training step by step: logits and loss before each step, every tuned tensor after it.</summary>
internal static class ParityTrajectory
{
    private const double Single = 1e-4;
    private const double Double = 1e-8;

    /// <summary>Trains as the case says (SGD with momentum and decay, a learning rate per step) and compares.</summary>
    public static List<Difference> Run(ReferenceCase reference, FusionNetwork network, ParameterMap map, ScalarType dtype)
    {
        var rates = reference.Numbers("lr_per_step");
        var still = reference.Texts("no_decay");
        var names = map.Placements.ToLookup(placement => placement.Parameter, placement => placement.Reference, StringComparer.Ordinal);
        var settings = new OptimizerSettings
        {
            Kind = OptimizerKind.Sgd,
            Momentum = reference.Number("momentum"),
            WeightDecay = reference.Number("weight_decay"),
        };
        var tuned = network.Specs.Where(spec => spec.IsTuned).Select(spec => spec.Name).ToList();
        using var optimizer = Optimizer.Create(settings, [.. tuned.Select(name => new OptimizedParameter(name, network[name], !names[name].Any(still.Contains)))]);
        var differences = new List<Difference>();
        for (var step = 0; step < rates.Count; step++)
        {
            using var scope = NewDisposeScope();
            optimizer.LearningRate = rates[step];
            var found = ParityCheck.Step(network, reference.Read($"input/train_images_{step}").to(dtype), reference.Read($"input/train_labels_{step}"));
            optimizer.Step([.. tuned.Select(name => found.Gradient(name)!)]);
            Compare("train_logits", [(found.Logits, Read("train_logits"))]);
            Compare("train_loss", [(found.Loss, Read("train_loss"))]);
            foreach (var name in map.Placements.Where(placement => network.Specs[network.IndexOf(placement.Parameter)].IsTuned).Select(placement => placement.Reference).Distinct())
                Compare(name, map.Pairs(name, Read($"after/{name}"), parameter => network[parameter]));

            Tensor Read(string name) => reference.Read($"step_f64_{step}/{name}");

            void Compare(string name, IEnumerable<(Tensor, Tensor)> pairs) => differences.Add(Difference.Of(
                $"step {step}: {name}", pairs, largest => dtype == ScalarType.Float64 ? Double : Single * Math.Max(largest, 1e-3)));
        }
        return differences;
    }
}
