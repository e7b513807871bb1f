using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Emit;

/// <summary>Checks a spec's budgets: against the found model; before one is found, against what policies can come to.</summary>
internal static class Budget
{
    public static IEnumerable<Problem> Check(CompiledNetworks networks)
    {
        var spec = networks.Spec;
        if (spec.Budget.Tuned > 0 && networks.Supernet is not null)
        {
            var problem = networks.Model is { } model ? Found(networks, model.Counts) : Possible(networks, networks.Supernet.Counts);
            if (problem is not null)
                yield return problem;
        }
        if (spec.Budget.Memory == 0)
            yield break;
        var peak = networks.StepBytes(networks.Main);
        var bytes = networks.ParameterBytes + peak;
        if (bytes > spec.Budget.Memory)
        {
            yield return ProblemCatalogue.MemoryBudget.At(
                "budget.memory", Bytes(bytes), Bytes(spec.Budget.Memory), $"A batch of {Text.Invariant(StepMemory.Batch(spec))} takes {Bytes(peak)} even where cheap values are computed again, beside {Bytes(networks.ParameterBytes)} of parameters; lower the batch.");
        }
    }

    /// <summary>
    /// Bytes that training may spend on what is the same of an image in every epoch (METHOD §6.1, S6): what a step leaves of the budget, null for no limit; 0 where images never
    /// come twice, or little of a pass is the same.
    /// </summary>
    public static long? KeepBytes(CompiledNetworks networks, CompiledNetwork network) =>
        network.Frozen is not { } prefix || prefix.Blocked(networks.Spec.Train.Preprocessing, network.Macs) is not null ? 0
        : networks.Spec.Budget.Memory == 0 ? null
        : Math.Max(0, networks.Spec.Budget.Memory - networks.ParameterBytes - networks.StepBytes(network));

    private static Problem? Found(CompiledNetworks networks, ParameterCounts model)
    {
        var most = networks.Spec.Budget.Tuned;
        return model.TunedShare <= most ? null : ProblemCatalogue.TunedBudget.At("budget.tuned", Text.Percent(model.TunedShare), Text.Percent(most), "It has " + Detail(networks, model));
    }

    private static Problem? Possible(CompiledNetworks networks, ParameterCounts supernet)
    {
        var spec = networks.Spec;
        // A shared bank is paid once however many layers use it, so the cheapest policy uses few kinds: try each kind everywhere it is legal.
        var uniform = spec.Layers.SelectMany(layer => layer.Candidates).Distinct().Select(name => Network.Build(spec, spec.Layers.Select(layer => new LayerSpec(
            layer.Candidates.Count == 0 ? EquatableArray<string>.Empty : EquatableArray.Of(layer.Candidates.Contains(name) ? name : layer.Candidates[0]))).ToEquatableArray()).Counts);
        var cheapest = uniform.OrderBy(counts => counts.TunedShare).First();
        if (cheapest.TunedShare > spec.Budget.Tuned)
            return ProblemCatalogue.TunedBudget.At("budget.tuned", Text.Percent(cheapest.TunedShare), Text.Percent(spec.Budget.Tuned), "Even the cheapest policy has " + Detail(networks, cheapest));
        var all = supernet.TunedShare;
        return all <= spec.Budget.Tuned ? null : ProblemCatalogue.PolicyBudget.At("budget.tuned", Text.Percent(all), Text.Percent(spec.Budget.Tuned), "It has " + Detail(networks, supernet));
    }

    private static string Detail(CompiledNetworks networks, ParameterCounts counts) =>
        $"{Text.Invariant(counts.Tuned)} in prompts and operators and {Text.Invariant(counts.Head)} in the head beside {Text.Invariant(networks.BackboneParameters)} of the backbone. Use fewer prompt tokens or larger reductions.";

    private static string Bytes(long bytes) => bytes >= 1L << 30
        ? (bytes / (double)(1L << 30)).ToString("0.##", System.Globalization.CultureInfo.InvariantCulture) + " GiB"
        : (bytes / (double)(1L << 20)).ToString("0.##", System.Globalization.CultureInfo.InvariantCulture) + " MiB";
}
