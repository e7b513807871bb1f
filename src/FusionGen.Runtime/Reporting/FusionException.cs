namespace FusionGen;

/// <summary>What the tool exits with.</summary>
public enum ExitCode
{
    /// <summary>All went well.</summary>
    Ok = 0,

    /// <summary>A fault of FusionGen itself.</summary>
    Internal = 1,

    /// <summary>A spec, policy or flag is wrong.</summary>
    Spec = 2,

    /// <summary>A loss or gradient stopped being a number.</summary>
    Diverged = 3,

    /// <summary>Data or weights are missing, damaged or do not fit.</summary>
    Data = 4,

    /// <summary>Stopped on request; the state is saved, the same command continues.</summary>
    Checkpointed = 75,
}

/// <summary>A failure that the user can do something about; the message says what.</summary>
/// <param name="message">What is wrong, where, and what to do.</param>
/// <param name="code">What the tool exits with.</param>
/// <param name="inner">The cause, if another exception was.</param>
public class FusionException(string message, ExitCode code, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>What the tool exits with.</summary>
    public ExitCode Code { get; } = code;
}
