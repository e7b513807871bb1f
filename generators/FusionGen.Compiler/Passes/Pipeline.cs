using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>
/// Which passes run, in which order. Static programs are written from the rewritten graph, eager modules from the graph as it was built: those
/// are what the programs are held against. What a spec's graph never contains needs no pass: a prompt row has keys and values only (S1), what
/// depends on parameters alone is a phase of its own (S2), past the last attention only the class token goes on (S3), frozen weights get no
/// gradient (S7), and a mixture is one affine pass and the terms that depend on the tokens (§6.2).
/// </summary>
public static class Pipeline
{
    /// <summary>Before differentiation, for search and training.</summary>
    public static IReadOnlyList<Pass> Training { get; } = [new FoldIntoNorm(evenIfRead: false), new AbsorbKeysAndValues(), new JoinPrefixes()];

    /// <summary>For prediction: parameters change rarely, so what depends on them alone costs nothing.</summary>
    public static IReadOnlyList<Pass> Inference { get; } = [new FoldIntoNorm(evenIfRead: true), new AbsorbKeysAndValues(), new JoinPrefixes()];

    /// <summary>The graph of a training step's forward pass.</summary>
    public static Network ForTraining(Network network) => Rewriter.Run(network, Training).Network;

    /// <summary>The graph of a prediction.</summary>
    public static Network ForInference(Network network) => Rewriter.Run(network, Inference).Network;
}
