using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>What a pass did to a network.</summary>
/// <param name="Pass">The pass.</param>
/// <param name="Applied">In how many places it acted.</param>
/// <param name="Macs">Multiply-adds of an image that it saved.</param>
/// <param name="Bytes">Bytes of planned memory for an image that it saved.</param>
/// <param name="Reason">Why it did not act; empty where it did.</param>
public sealed record PassReport(Pass Pass, int Applied, long Macs, long Bytes, string Reason);

/// <summary>
/// Which passes run, in which order. Static programs are written from the rewritten graph, eager modules from the graph as it was built: those
/// are what the programs are held against. What a spec's graph never contains needs no pass: a prompt row has keys and values only (S1), what
/// depends on parameters alone is a phase of its own (S2), past the last attention only the class token goes on (S3), frozen weights get no
/// gradient (S7), and a mixture is one affine pass and the terms that depend on the tokens (§6.2).
/// </summary>
public static class Pipeline
{
    /// <summary>Before differentiation, for search and training.</summary>
    public static IReadOnlyList<Pass> Training { get; } = [new FoldIntoNorm(evenIfRead: false), new SkipZeros(), new AbsorbKeysAndValues(evenIfTuned: false), new JoinPrefixes(), new MeanFirst()];

    /// <summary>For prediction: parameters change rarely, so what depends on them alone costs nothing.</summary>
    public static IReadOnlyList<Pass> Inference { get; } = [new FirstReadout(), new NoDropout(), new FoldIntoNorm(evenIfRead: true), new MergeIntoWeights(), new SkipZeros(), new AbsorbKeysAndValues(evenIfTuned: true), new JoinPrefixes(), new MeanFirst()];

    /// <summary>What every pass does to a network, in order.</summary>
    /// <param name="network">The network as it was built.</param>
    /// <param name="isTraining">Whether a training step is asked about, or a prediction.</param>
    public static IReadOnlyList<PassReport> Report(Network network, bool isTraining)
    {
        var reports = new List<PassReport>();
        var (macs, bytes) = Cost(network, isTraining);
        foreach (var pass in isTraining ? Training : Inference)
        {
            var rewriter = Rewriter.Run(network, pass);
            network = rewriter.Network;
            var (after, afterBytes) = Cost(network, isTraining);
            reports.Add(new PassReport(pass, rewriter.Applied(pass), macs - after, bytes - afterBytes, rewriter.Applied(pass) > 0 ? "" : rewriter.Refused(pass) is { } reason ? $"blocked: {reason}" : $"needs {pass.Needs}"));
            (macs, bytes) = (after, afterBytes);
        }
        return reports;
    }

    private static (long Macs, long Bytes) Cost(Network network, bool isTraining)
    {
        if (!isTraining)
            return (network.Values.Where(value => value.Shape.IsPerSample).Sum(value => value.Macs), sizeof(float) * StaticPlan.Of(network).SampleElements);
        var step = Differentiation.Of(network);
        return (step.Macs, sizeof(float) * StaticPlan.Of(step).SampleElements);
    }

    /// <summary>The graph of a training step's forward pass; short where asked for and where sections are alike.</summary>
    public static Network ForTraining(Network network, bool isShort = false) => (isShort ? Rewriter.Shorten(network, Training) : Rewriter.Run(network, Training)).Network;

    /// <summary>The graph of a prediction; short where asked for and where sections are alike.</summary>
    public static Network ForInference(Network network, bool isShort = false) => (isShort ? Rewriter.Shorten(network, Inference) : Rewriter.Run(network, Inference)).Network;
}
