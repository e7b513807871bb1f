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
/// others help with its large operations. Every number is computed as one thread alone would, so who helped changes nothing.
/// </summary>
internal sealed unsafe class Team
{
    [ThreadStatic]
    private static Team? led;

    private readonly int members;
    private delegate*<void*, int, int, Span<float>, void> run;
    private void* operation;
    private int turn;
    private int pending;
    private bool isOver;
    private ExceptionDispatchInfo? failure;

    /// <summary>A team of so many threads, the leader's included.</summary>
    public Team(int members) => this.members = members;

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
        this.turn = 0;
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
        Volatile.Write(ref this.turn, this.turn + 1);
    }

    /// <summary>Helps until the leader is done.</summary>
    /// <param name="part">Which part of every operation to do, from 1.</param>
    /// <param name="scratch">The thread's own.</param>
    public void Help(int part, Span<float> scratch)
    {
        for (var seen = 0; ; seen++)
        {
            var wait = default(SpinWait);
            while (Volatile.Read(ref this.turn) == seen)
                wait.SpinOnce(sleep1Threshold: -1);
            if (this.isOver)
                return;
            try
            {
                this.run(this.operation, part, this.members, scratch);
            }
            catch (Exception error)
            {
                Interlocked.CompareExchange(ref this.failure, ExceptionDispatchInfo.Capture(error), null);
            }
            Interlocked.Decrement(ref this.pending);
        }
    }

    private void Share<T>(scoped ref T operation, Span<float> scratch)
        where T : struct, IPartition, allows ref struct
    {
        // The operation lies on the leader's stack, who does not return before all have done their parts.
        this.operation = Unsafe.AsPointer(ref operation);
        this.run = &Part<T>;
        this.pending = this.members - 1;
        Volatile.Write(ref this.turn, this.turn + 1);
        try
        {
            operation.Run(0, this.members, scratch);
        }
        finally
        {
            var wait = default(SpinWait);
            while (Volatile.Read(ref this.pending) > 0)
                wait.SpinOnce(sleep1Threshold: -1);
        }
        this.failure?.Throw();
    }

    private static void Part<T>(void* operation, int part, int parts, Span<float> scratch)
        where T : struct, IPartition, allows ref struct => Unsafe.AsRef<T>(operation).Run(part, parts, scratch);
}
