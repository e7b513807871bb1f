using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Operators;

/// <summary>What a branch runs beside: the backbone's blocks as functions, and its frozen weights.</summary>
/// <param name="Graph">The graph under construction.</param>
/// <param name="Positions">Position embeddings (1, T, d).</param>
/// <param name="Side">Patches along an image's side.</param>
/// <param name="Depth">Blocks.</param>
/// <param name="Heads">Heads of a block's attention.</param>
/// <param name="Block">A block, without operators, on (n, T, d): its index, what it is given, and how many of the first rows go on; null for all.</param>
/// <param name="Attention">A block's frozen attention.</param>
/// <param name="Dropped">What the backbone's dropout leaves in training: of what, under which name.</param>
/// <param name="Epsilon">ε of the backbone's norms.</param>
public sealed record BranchPoint(
    GraphBuilder Graph, Value Positions, int Side, int Depth, int Heads, Func<int, Value, int?, Value> Block, Func<int, AttentionWeights> Attention, Func<string, Value, Value> Dropped, double Epsilon);

/// <summary>What a block's attention reads: its norm, its joint projection to queries, keys and values, its output projection.</summary>
public sealed record AttentionWeights((Value Weight, Value Bias) Norm, (Value Weight, Value Bias) Qkv, (Value Weight, Value Bias) Output);

/// <summary>A second stream of tokens through the backbone's own blocks, and what passes between it and the image's.</summary>
public abstract class Branch
{
    /// <summary>Its tokens (n, T, d), after the blocks so far.</summary>
    public abstract Value Tokens { get; }

    /// <summary>The part of its own cross-entropy in the loss; the rest is the image stream's.</summary>
    public abstract double Loss { get; }

    /// <summary>Goes through a block beside the image's stream.</summary>
    /// <param name="layer">Index of the block.</param>
    /// <param name="input">What the image's stream gave the block (B, T, d).</param>
    /// <param name="output">What the block made of it.</param>
    /// <param name="rows">How many of the first rows go on; null for all.</param>
    /// <returns>What the image's stream goes on with.</returns>
    public abstract Value Pass(int layer, Value input, Value output, int? rows);
}
