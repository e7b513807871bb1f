using System.Globalization;

namespace FusionGen.Search;

/// <summary>
/// Signs that a search has collapsed (METHOD §3.3): one operator takes every layer, as what is nearly a skip or costs nothing likes to do, or the choice falls
/// before the weights could tell the candidates apart.
/// </summary>
internal static class Collapse
{
    /// <summary>What is wrong after an epoch; empty if nothing is.</summary>
    public static IReadOnlyList<string> Of(SearchSettings settings, IReadOnlyList<LayerCandidates> layers, MixtureReading mixture, int epoch)
    {
        var alarms = new List<string>();
        var choices = layers.Zip(mixture.Weights).Where(layer => layer.Second.Count > 0).ToList();
        foreach (var name in choices.SelectMany(layer => layer.First.Names).Distinct(StringComparer.Ordinal))
        {
            var shares = choices.SelectMany(layer => layer.First.Names.Zip(layer.Second)).Where(pair => pair.First == name).Select(pair => pair.Second).ToList();
            if (settings.AlarmShare < 1 && shares.Count > 1 && shares.Average() >= settings.AlarmShare)
                alarms.Add(string.Create(CultureInfo.InvariantCulture, $"{name} takes over: mean share {shares.Average():0.00} of {shares.Count} layers"));
        }
        var largest = choices.Select(layer => Math.Log(layer.Second.Count)).DefaultIfEmpty().Average();
        var isEarly = epoch >= settings.Warmup && epoch < settings.Warmup + ((settings.Epochs - settings.Warmup) / 2);
        if (isEarly && largest > 0 && mixture.Entropy < settings.AlarmEntropy * largest)
            alarms.Add(string.Create(CultureInfo.InvariantCulture, $"chosen too early: mean entropy {mixture.Entropy:0.00} of at most {largest:0.00}"));
        return alarms;
    }

    /// <summary>Whether two alarms are about the same, whatever their numbers.</summary>
    public static bool IsSame(string one, string other) => one[..one.IndexOf(':', StringComparison.Ordinal)] == other[..other.IndexOf(':', StringComparison.Ordinal)];
}
