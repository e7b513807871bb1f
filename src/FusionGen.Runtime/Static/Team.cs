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
/// A worker who leads through the program with a slice, and those who have none, who help with its large operations: all but one where there is one
/// image to predict, and at a batch's end whoever is done before the others. Whoever is free takes the next part, so a leader whose helpers have no
/// processor does all of it and waits for nobody. Every number is computed as one thread alone would, so who helped, or whether anybody did, changes
/// nothing; where a library multiplies, whose sums may depend on what is computed together, operations always fall into the same parts.
/// </summary>
internal sealed unsafe class Team
{
    /// <summary>Parts of an operation for each member, so that one who is late leaves some to the others.</summary>
    public const int PartsOfMember = 2;

    // The operation's number, and in the lower half how many of its parts are taken.
    private const int NumberShift = 32;

    [ThreadStatic]
    private static Team? led;

    private int parts;
    private bool isAlwaysCut;
    private delegate*<void*, int, int, Span<float>, void> run;
    private void* operation;
    private long taken;
    private int pending;
    private int helpers;
    private ExceptionDispatchInfo? failure;

    /// <summary>A team of nobody yet.</summary>
    // When help first comes is a matter of timing, so nothing of it is left for the runtime to compile then: an operation without parts is shared here, and one that is done alone goes the same way.
    public Team() => this.Share(null, &Nothing, default);

    /// <summary>How many help.</summary>
    public int Helpers => Volatile.Read(ref this.helpers);

    /// <summary>Does an operation with the team that the calling thread leads; alone if it leads none or nobody helps.</summary>
    public static void Run<T>(scoped ref T operation, Span<float> scratch)
        where T : struct, IPartition, allows ref struct
    {
        // It lies on the caller's stack, who does not return before all parts are done.
        var place = Unsafe.AsPointer(ref operation);
        delegate*<void*, int, int, Span<float>, void> run = &Part<T>;
        if (led is { } team && (team.isAlwaysCut || team.Helpers > 0))
            team.Share(place, run, scratch);
        else
            run(place, 0, 1, scratch);
    }

    /// <summary>Makes the team ready for another run, before anyone leads or helps.</summary>
    /// <param name="members">About how many there will be, the leader included.</param>
    /// <param name="isAlwaysCut">Whether operations fall into parts even where nobody helps.</param>
    public void Gather(int members, bool isAlwaysCut = false)
    {
        this.isAlwaysCut = isAlwaysCut;
        this.parts = PartsOfMember * members;
        this.taken = this.parts;
        this.failure = null;
    }

    /// <summary>Makes the calling thread the leader, until it leaves.</summary>
    public void Lead() => led = this;

    /// <summary>The calling thread leads no team any more.</summary>
    public static void Leave() => led = null;

    /// <summary>Helps whichever team has something to do, until all is done.</summary>
    /// <param name="teams">The teams.</param>
    /// <param name="isOver">Whether all is done.</param>
    /// <param name="scratch">The thread's own.</param>
    public static void Help(List<Team> teams, Func<bool> isOver, Span<float> scratch)
    {
        foreach (var team in teams)
            Interlocked.Increment(ref team.helpers);
        var wait = default(SpinWait);
        while (!isOver())
        {
            var hasHelped = false;
            foreach (var team in teams)
                hasHelped |= team.TryPart(scratch);
            if (hasHelped)
                wait.Reset();
            else
                wait.SpinOnce(sleep1Threshold: -1);
        }
        foreach (var team in teams)
            Interlocked.Decrement(ref team.helpers);
    }

    private void Share(void* operation, delegate*<void*, int, int, Span<float>, void> run, Span<float> scratch)
    {
        this.operation = operation;
        this.run = run;
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

    private static void Nothing(void* operation, int part, int parts, Span<float> scratch)
    {
    }
}
