namespace TorchSharp;

/// <summary>What libtorch keeps per thread and per process, where there is no libtorch. Gradients are recorded in neither mode.</summary>
internal static class ManagedModes
{
    private static int threads = LibTorch.DefaultThreads;

    [ThreadStatic]
    private static bool isGradientFree;

    [ThreadStatic]
    private static bool isInference;

    /// <summary>Whether the thread is in <c>no_grad</c>.</summary>
    public static bool IsGradientFree
    {
        get => isGradientFree || isInference;
        set => isGradientFree = value;
    }

    public static bool IsInference => isInference;

    public static int Threads
    {
        get => threads;
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value);
            threads = value;
        }
    }

    /// <summary>Enters or leaves inference mode until disposed.</summary>
    public static IDisposable Inference(bool mode)
    {
        var scope = new Restoring(isInference);
        isInference = mode;
        return scope;
    }

    private sealed class Restoring(bool before) : IDisposable
    {
        public void Dispose() => isInference = before;
    }
}
