using System.Runtime;
using FusionGen.Static;

namespace FusionGen.Runtime.Tests.Static;

/// <summary>Threads that share the operations of one slice.</summary>
[TestFixture]
public sealed class TeamTests
{
    /// <summary>Parts are apart and leave nothing out.</summary>
    [TestCase(1, 3, 64)]
    [TestCase(65, 2, 64)]
    [TestCase(768, 5, 64)]
    [TestCase(3, 2, 1)]
    [TestCase(0, 2, 1)]
    public void Parts_cover_everything_once(int count, int parts, int grain)
    {
        var next = 0;
        for (var part = 0; part < parts; part++)
        {
            var (from, length) = Partitions.Of(count, part, parts, grain);
            Assert.That(length, Is.Zero.Or.GreaterThan(0));
            if (length == 0)
                continue;
            Assert.That(from, Is.EqualTo(next));
            next += length;
        }
        Assert.That(next, Is.EqualTo(count));
    }

    /// <summary>So are blocks; and none has fewer rows than a tile of a product where there are more.</summary>
    [Test]
    public void Blocks_cover_everything_once([Values(1, 2, 5, 7, 49, 197)] int rows, [Values(1, 30, 192, 576)] int columns, [Values(1, 4, 6, 32, 256)] int parts)
    {
        var covered = new int[rows * columns];
        for (var part = 0; part < parts; part++)
        {
            var block = Partitions.BlockOf(rows, columns, part, parts);
            if (block.Rows == 0 || block.Columns == 0)
                continue;
            Assert.That(block.Rows, Is.GreaterThanOrEqualTo(Math.Min(rows, 6)));
            for (var row = block.Row; row < block.Row + block.Rows; row++)
            {
                for (var column = block.Column; column < block.Column + block.Columns; column++)
                    covered[(row * columns) + column]++;
            }
        }
        Assert.That(covered, Is.All.EqualTo(1));
    }

    /// <summary>A team may have more parts than a layer norm has rows.</summary>
    [Test]
    public void Parts_of_a_layer_norm_may_be_empty()
    {
        float[] x = [1, 2, 3, 4, 6, 8];
        var (y, statistics) = (new float[6], new float[4]);
        for (var part = 0; part < 5; part++)
            new LayerNormPartition { Rows = 2, Width = 3, Epsilon = 0, X = x, Y = y, Statistics = statistics }.Run(part, 5, default);
        Assert.That(statistics, Is.EqualTo(new[] { 2, 6, 1 / MathF.Sqrt(2f / 3), 1 / MathF.Sqrt(8f / 3) }).Within(1e-6));
    }

    /// <summary>Every part of every operation is done before the next begins.</summary>
    [Test]
    public void Every_part_of_every_operation_is_done_once()
    {
        const int members = 3;
        const int operations = 500;
        var team = new Team();
        team.Gather(members);
        using var helpers = new Helpers(team, members - 1);
        team.Lead();
        var counts = new int[Team.PartsOfMember * members];
        for (var i = 0; i < operations; i++)
        {
            var operation = new Counting { Counts = counts };
            Team.Run(ref operation, new float[1]);
            Assert.That(counts, Is.All.EqualTo(i + 1));
        }
        Team.Leave();
    }

    /// <summary>A leader whose helpers do something else does everything.</summary>
    [Test]
    public void Nobody_is_waited_for()
    {
        var (busy, team) = (new Team(), new Team());
        busy.Gather(2);
        team.Gather(2);
        using var over = new ManualResetEventSlim();
        using var entered = new ManualResetEventSlim();
        var helper = new Thread(() => Team.Help([busy, team], () => { entered.Set(); over.Wait(); return true; }, default));
        helper.Start();
        entered.Wait();
        team.Lead();
        var counts = new int[4];
        var operation = new Counting { Counts = counts };
        Team.Run(ref operation, default);
        Team.Leave();
        over.Set();
        helper.Join();
        Assert.That(counts, Is.All.EqualTo(1));
    }

    /// <summary>A leader whom nobody helps does not cut up anything; but where the numbers may depend on the parts, these are the same with helpers and without.</summary>
    [TestCase(false, 1)]
    [TestCase(true, 4)]
    public void Without_helpers_one_thread_does_all(bool isAlwaysCut, int parts)
    {
        var team = new Team();
        team.Gather(2, isAlwaysCut);
        team.Lead();
        var counts = new int[parts];
        var operation = new Counting { Counts = counts };
        Team.Run(ref operation, default);
        Team.Leave();
        Assert.That(counts, Is.All.EqualTo(1));
    }

    /// <summary>When help comes is a matter of timing; that it comes for the first time leaves nothing to compile on the thread that works, be it the first operation at all.</summary>
    [Test]
    public void Help_that_comes_late_finds_everything_compiled()
    {
        static long Compiled(Team team, ref Late operation)
        {
            var before = JitInfo.GetCompiledMethodCount(currentThread: true);
            Team.Run(ref operation, default);
            return JitInfo.GetCompiledMethodCount(currentThread: true) - before;
        }
        var team = new Team();
        team.Gather(2);
        team.Lead();
        var operation = new Late { Parts = new int[1] };
        _ = Compiled(team, ref operation);
        Assert.That(operation.Parts[0], Is.EqualTo(1), "alone");
        team.Gather(2, isAlwaysCut: true);
        var methods = Compiled(team, ref operation);
        Team.Leave();
        Assert.That(operation.Parts[0], Is.EqualTo(4), "shared");
        Assert.That(methods, Is.Zero);
    }

    /// <summary>Two threads do have a part each at the same time, each with its own scratch.</summary>
    [Test]
    public void Helpers_help()
    {
        var team = new Team();
        team.Gather(2);
        using var helpers = new Helpers(team, 1);
        team.Lead();
        using var both = new Barrier(2);
        var operation = new Meeting { Both = both, Scratch = new int[4] };
        Team.Run(ref operation, new float[1]);
        Team.Leave();
        Assert.That(operation.Scratch, Is.EquivalentTo(new[] { 1, 1, 2, 2 }));
    }

    /// <summary>What goes wrong in a part reaches the leader, whoever did it, and the helpers still go home.</summary>
    [Test]
    public void A_failure_is_the_leaders()
    {
        var team = new Team();
        team.Gather(2);
        using var helpers = new Helpers(team, 1);
        team.Lead();
        var operation = default(Failing);
        var message = "";
        try
        {
            Team.Run(ref operation, default);
        }
        catch (InvalidOperationException error)
        {
            message = error.Message;
        }
        finally
        {
            Team.Leave();
        }
        Assert.That(message, Is.EqualTo("part 1"));
    }

    /// <summary>Who leads no team works alone.</summary>
    [Test]
    public void Without_a_team_one_thread_does_all()
    {
        var counts = new int[1];
        var operation = new Counting { Counts = counts };
        Team.Run(ref operation, default);
        Assert.That(counts[0], Is.EqualTo(1));
    }

    /// <summary>Threads that help until they are sent home; all of them are there before anything is led.</summary>
    private sealed class Helpers : IDisposable
    {
        private readonly List<Thread> threads;
        private volatile bool isOver;

        public Helpers(Team team, int count)
        {
            this.threads = [.. Enumerable.Range(2, count).Select(floats => new Thread(() => Team.Help([team], () => this.isOver, new float[floats])))];
            this.threads.ForEach(thread => thread.Start());
            SpinWait.SpinUntil(() => team.Helpers == count);
        }

        public void Dispose()
        {
            this.isOver = true;
            this.threads.ForEach(thread => thread.Join());
        }
    }

    private ref struct Counting : IPartition
    {
        public Span<int> Counts;

        public readonly void Run(int part, int parts, Span<float> scratch)
        {
            Assert.That(parts, Is.EqualTo(this.Counts.Length));
            this.Counts[part]++;
        }
    }

    private struct Late : IPartition
    {
        public int[] Parts;

        public readonly void Run(int part, int parts, Span<float> scratch) => this.Parts[0] = parts;
    }

    private struct Meeting : IPartition
    {
        public Barrier Both;
        public int[] Scratch;

        public readonly void Run(int part, int parts, Span<float> scratch)
        {
            this.Scratch[part] = scratch.Length;
            this.Both.SignalAndWait();
        }
    }

    private struct Failing : IPartition
    {
        public readonly void Run(int part, int parts, Span<float> scratch)
        {
            if (part == 1)
                throw new InvalidOperationException("part 1");
        }
    }
}
