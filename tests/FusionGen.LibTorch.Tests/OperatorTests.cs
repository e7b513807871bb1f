using System.Reflection;
using static TorchSharp.torch;

namespace TorchSharp.Tests;

/// <summary>Every operator resolves in this libtorch, whoever asks first.</summary>
internal sealed class OperatorTests
{
    [Test]
    public void EveryOperatorInUseExists()
    {
        var missing = typeof(Operators).GetFields(BindingFlags.Static | BindingFlags.Public)
            .Where(field => !((Operator)field.GetValue(null)!).Exists)
            .Select(field => field.Name)
            .Except(["attention"]); // since 2.0; there is a replacement
        Assert.That(missing, Is.Empty);
    }

    /// <summary>An operator whose handle one thread looks up while another already calls it once crashed the process.</summary>
    [Test]
    public void ThreadsMayCallAnOperatorForTheFirstTimeAtOnce()
    {
        const int Rounds = 5000;
        using var one = ones([1]);
        var fresh = Enumerable.Range(0, Rounds).Select(_ => new Operator("aten::neg")).ToArray();
        var sums = new double[2];
        var at = new int[2];
        var threads = new int[] { 0, 1 }.Select(number => new Thread(() =>
        {
            for (var round = 0; round < Rounds; round++)
            {
                Volatile.Write(ref at[number], round);
                while (Volatile.Read(ref at[1 - number]) < round)
                    Thread.SpinWait(1);
                // Looking up takes microseconds: meet in every phase of it.
                if (number == 1)
                    Thread.SpinWait(round % 200);
                using var result = fresh[round].Call(one);
                sums[number] += result.item<float>();
            }
        })).ToArray();
        foreach (var thread in threads)
            thread.Start();
        foreach (var thread in threads)
            thread.Join();
        Assert.That(sums, Is.All.EqualTo(-Rounds));
    }
}
