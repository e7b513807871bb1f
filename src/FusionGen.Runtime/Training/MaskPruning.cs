namespace FusionGen.Training;

/// <summary>Masks of a network by the names of their parameters.</summary>
/// <param name="Values">As the parameters lie in memory.</param>
public sealed record Masks(IReadOnlyDictionary<string, float[]> Values);

/// <summary>
/// Pruning of prompts and of their segments as E²VPT does it (Han et al. 2023; METHOD §2.4, §8.1): what a mask is worth is the mean, over the batches of an epoch in which the weights go on
/// stepping, of the signed gradient of the loss; the least go first. The gradient of a prompt's own mask all but vanishes, since a layer norm takes its scale out again: the published ranking of
/// prompts rests on the norm's ε, and so does this one.
/// </summary>
public static class MaskPruning
{
    /// <summary>Shares of prompts, and of the segments of those that stay, that are tried.</summary>
    public static IReadOnlyList<double> Shares { get; } = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

    private const string OfPrompts = ".mask.prompts";
    private const string OfSegments = ".mask.segments";
    private const int FewestSegments = 4;

    /// <summary>Whether a parameter is a mask.</summary>
    public static bool IsMask(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return name.EndsWith(OfPrompts, StringComparison.Ordinal) || name.EndsWith(OfSegments, StringComparison.Ordinal);
    }

    /// <summary>What each mask of a trained network is worth.</summary>
    /// <param name="network">Its weights go on stepping.</param>
    /// <param name="train">An epoch of these.</param>
    /// <param name="settings">How it was trained; steps are those of the last epoch.</param>
    /// <param name="seed">Of the data's order.</param>
    /// <param name="cancellation">Stops between steps.</param>
    /// <exception cref="FusionException">The network tunes no masks.</exception>
    public static Masks Score(FusionNetwork network, IBatches train, TrainSettings settings, long seed, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(train);
        ArgumentNullException.ThrowIfNull(settings);
        var sums = network.Specs.Where(spec => spec.IsTuned && IsMask(spec.Name)).ToDictionary(spec => spec.Name, spec => new float[spec.Count], StringComparer.Ordinal);
        if (sums.Count == 0)
            throw new FusionException($"{network.Plan.Model} tunes no masks, so there is nothing to prune: an operator with 'masks: tuned' has them", ExitCode.Spec);
        using var steps = WeightSteps.Of(network, settings.Optimizer, settings.Clip, name => Optimizer.Decays(settings.Optimizer, name));
        steps.Optimizer.LearningRate = Schedule.LearningRate(settings.LearningRate, Math.Max(0, settings.Epochs - 1), Math.Max(1, settings.Epochs), settings.Warmup);
        const string Gradient = "weights.gradient.";
        steps.Trace = (name, gradient) =>
        {
            if (!name.StartsWith(Gradient, StringComparison.Ordinal) || !sums.TryGetValue(name[Gradient.Length..], out var sum))
                return;
            var values = gradient.to(TorchSharp.torch.ScalarType.Float32).cpu().contiguous().data<float>().ToArray();
            for (var i = 0; i < sum.Length; i++)
                sum[i] += values[i] / train.Count;
        };
        foreach (var batch in train.On(network, seed, settings.Epochs))
        {
            cancellation.ThrowIfCancellationRequested();
            using (batch)
                steps.Step(batch);
        }
        return new Masks(sums);
    }

    /// <summary>Zeros for the least worth of the prompts and, among the segments of those that stay, for the least worth of these; ones elsewhere. A prompt stays, and four segments of every prompt that does.</summary>
    /// <param name="scores">What each is worth.</param>
    /// <param name="share">How many of each go.</param>
    public static Masks Prune(Masks scores, double share)
    {
        ArgumentNullException.ThrowIfNull(scores);
        var pruned = new Dictionary<string, float[]>(StringComparer.Ordinal);
        foreach (var (name, ofPrompts) in scores.Values.Where(pair => pair.Key.EndsWith(OfPrompts, StringComparison.Ordinal)))
        {
            var segments = name[..^OfPrompts.Length] + OfSegments;
            var ofSegments = scores.Values[segments];
            var perPrompt = ofSegments.Length / ofPrompts.Length;
            var prompts = Least(ofPrompts, Enumerable.Range(0, ofPrompts.Length), Math.Min((int)(share * ofPrompts.Length), ofPrompts.Length - 1), _ => true);
            var left = Enumerable.Repeat(perPrompt, ofPrompts.Length).ToArray();
            var candidates = Enumerable.Range(0, ofSegments.Length).Where(segment => prompts[segment / perPrompt] != 0).ToList();
            pruned.Add(name, prompts);
            pruned.Add(segments, Least(ofSegments, candidates, (int)(share * candidates.Count), segment =>
            {
                if (left[segment / perPrompt] <= FewestSegments)
                    return false;
                left[segment / perPrompt]--;
                return true;
            }));
        }
        return new Masks(pruned);
    }

    /// <summary>Puts masks into a network that keeps them fixed.</summary>
    public static void Put(Masks masks, FusionNetwork network)
    {
        ArgumentNullException.ThrowIfNull(masks);
        ArgumentNullException.ThrowIfNull(network);
        using var guard = TorchSharp.torch.no_grad();
        foreach (var (name, values) in masks.Values)
        {
            using var source = TorchSharp.torch.tensor(values, [.. network.Specs[network.IndexOf(name)].Shape]);
            network[name].copy_(source);
        }
    }

    /// <summary>Ones, and zeros for so many of the least of some that may go; of equals the first.</summary>
    private static float[] Least(float[] scores, IEnumerable<int> candidates, int count, Func<int, bool> mayGo)
    {
        var mask = new float[scores.Length];
        mask.AsSpan().Fill(1);
        foreach (var i in candidates.OrderBy(i => scores[i]).ThenBy(i => i).Where(mayGo).Take(count))
            mask[i] = 0;
        return mask;
    }
}
