using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;

namespace FusionGen.Static;

/// <summary>An operation that falls into parts, which threads do without meeting.</summary>
internal interface IPartition
{
    /// <summary>Does one part.</summary>
    /// <param name="part">Which, from 0.</param>
    /// <param name="parts">Of how many.</param>
    /// <param name="scratch">The thread's own.</param>
    void Run(int part, int parts, Span<float> scratch);
}

/// <summary>
/// Workers who share a slice, where a batch has fewer slices than there are workers (one image to predict): one leads through the program, the
/// others help with its large operations. Whoever is free takes the next part, so a leader whose helpers have no processor does all of it and
/// waits for nobody. Every number is computed as one thread alone would, so who helped changes nothing.
/// </summary>
internal sealed unsafe class Team
{
    /// <summary>Parts of an operation for each member, so that one who is late leaves some to the others.</summary>
    public const int PartsOfMember = 2;

    // The operation's number, and in the lower half how many of its parts are taken.
    private const int NumberShift = 32;

    [ThreadStatic]
    private static Team? led;

    private readonly int parts;
    private delegate*<void*, int, int, Span<float>, void> run;
    private void* operation;
    private long taken;
    private int pending;
    private volatile bool isOver;
    private ExceptionDispatchInfo? failure;

    /// <summary>A team of so many threads, the leader's included.</summary>
    public Team(int members) => this.parts = PartsOfMember * members;

    /// <summary>Does an operation with the team that the calling thread leads; alone if it leads none.</summary>
    public static void Run<T>(scoped ref T operation, Span<float> scratch)
        where T : struct, IPartition, allows ref struct
    {
        if (led is { } team)
            team.Share(ref operation, scratch);
        else
            operation.Run(0, 1, scratch);
    }

    /// <summary>Makes the team ready for another slice, before anyone leads or helps.</summary>
    public void Gather()
    {
        this.taken = this.parts;
        this.isOver = false;
        this.failure = null;
    }

    /// <summary>Makes the calling thread the leader, until it dismisses the team.</summary>
    public void Lead() => led = this;

    /// <summary>Sends the helpers home.</summary>
    public void Dismiss()
    {
        led = null;
        this.isOver = true;
    }

    /// <summary>Helps until the leader is done.</summary>
    /// <param name="scratch">The thread's own.</param>
    public void Help(Span<float> scratch)
    {
        var wait = default(SpinWait);
        while (!this.isOver)
        {
            if (this.TryPart(scratch))
                wait.Reset();
            else
                wait.SpinOnce(sleep1Threshold: -1);
        }
    }

    private void Share<T>(scoped ref T operation, Span<float> scratch)
        where T : struct, IPartition, allows ref struct
    {
        // The operation lies on the leader's stack, who does not return before all parts are done.
        this.operation = Unsafe.AsPointer(ref operation);
        this.run = &Part<T>;
        this.pending = this.parts;
        Interlocked.Exchange(ref this.taken, ((this.taken >> NumberShift) + 1) << NumberShift);
        while (this.TryPart(scratch))
        {
        }
        var wait = default(SpinWait);
        while (Volatile.Read(ref this.pending) > 0)
            wait.SpinOnce(sleep1Threshold: -1);
        this.failure?.Throw();
    }

    /// <summary>Takes the next part and does it; false if none is left.</summary>
    private bool TryPart(Span<float> scratch)
    {
        if ((uint)Volatile.Read(ref this.taken) >= (uint)this.parts)
            return false;
        // Whatever operation the part is of now: it cannot end before the part is done.
        var part = (uint)Interlocked.Increment(ref this.taken) - 1;
        if (part >= (uint)this.parts)
            return false;
        try
        {
            this.run(this.operation, (int)part, this.parts, scratch);
        }
        catch (Exception error)
        {
            Interlocked.CompareExchange(ref this.failure, ExceptionDispatchInfo.Capture(error), null);
        }
        Interlocked.Decrement(ref this.pending);
        return true;
    }

    private static void Part<T>(void* operation, int part, int parts, Span<float> scratch)
        where T : struct, IPartition, allows ref struct => Unsafe.AsRef<T>(operation).Run(part, parts, scratch);
}
