using FusionGen.Static;

namespace FusionGen.Runtime.Tests.Static;

/// <summary>Where threads may run.</summary>
[TestFixture]
public sealed class ProcessorsTests
{
    /// <summary>A thread moves at once, and stays where nobody minds it.</summary>
    [Test]
    public void A_thread_kept_off_a_processor_does_not_run_there()
    {
        Assume.That(Processors.Current, Is.Not.Negative, "nobody knows here where a thread runs");
        Assume.That(Environment.ProcessorCount, Is.GreaterThan(1), "there is no other processor");
        var seen = new List<(int From, int To)>();
        var thread = new Thread(() =>
        {
            for (var i = 0; i < 20; i++)
            {
                var from = Processors.Current;
                Processors.KeepOff(Processors.Thread, from);
                seen.Add((from, Processors.Current));
                Processors.Free(Processors.Thread);
            }
        });
        thread.Start();
        thread.Join();
        Assert.That(seen, Has.Count.EqualTo(20).And.All.Matches<(int From, int To)>(pair => pair.To != pair.From));
    }

    /// <summary>What there is no such thread or processor for does nothing.</summary>
    [Test]
    public void Nobody_is_kept_off_nothing()
    {
        var before = Processors.Current;
        Processors.KeepOff(0, before);
        Processors.KeepOff(Processors.Thread, -1);
        Processors.KeepOff(Processors.Thread, int.MaxValue);
        Assert.That(Processors.Current < 0, Is.EqualTo(before < 0));
    }
}
