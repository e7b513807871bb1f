namespace FusionGen.Pretraining;

/// <summary>Something to tell of a formula-driven image; the logits of all factors lie side by side, in order.</summary>
/// <param name="Name">What it is.</param>
/// <param name="First">Index of its first logit.</param>
/// <param name="Count">Number of its values, and of its logits.</param>
public sealed record ImageFactor(string Name, int First, int Count);
