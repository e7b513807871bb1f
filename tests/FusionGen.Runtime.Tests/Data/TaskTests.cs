using FusionGen.Data;

namespace FusionGen.Runtime.Tests.Data;

/// <summary>The catalogue's figures against published totals, and what a check says of a folder.</summary>
internal sealed class TaskTests
{
    private static readonly BenchmarkTask Tiny = new("vtab-tiny", TaskGroup.Natural, "Tiny", "tiny", 3, 3, 1, 2, 1);

    [Test]
    public void TheCatalogueHasThePublishedTotals()
    {
        var vtab = TaskCatalogue.Named("vtab");
        Assert.Multiple(() =>
        {
            Assert.That((TaskCatalogue.All.Count, TaskCatalogue.Compared.Count, vtab.Count, TaskCatalogue.Named("fgvc").Count, TaskCatalogue.Named("hta").Count), Is.EqualTo((34, 24, 19, 5, 10)));
            Assert.That(TaskCatalogue.All.Select(task => task.Name), Is.Unique);
            Assert.That(Math.Round(vtab.Sum(task => task.Test!.Value) / 1000.0), Is.EqualTo(388));
            Assert.That(Math.Round(vtab.Average(task => task.Test!.Value) / 1000, 1), Is.EqualTo(20.4));
            Assert.That((vtab.Min(task => task.Test), vtab.Max(task => task.Test)), Is.EqualTo((711, 73_728)));
            Assert.That(vtab.Select(task => task.Train + task.Val), Is.All.EqualTo(1000));
            // The mean head of the 24 is 67,704 parameters at 769 a class (METHOD §2).
            Assert.That(Math.Round(TaskCatalogue.Compared.Average(task => 769.0 * task.Classes)), Is.EqualTo(67_704));
            Assert.That(TaskCatalogue.Compared.Select(task => task.Prompts), Is.All.Positive);
            Assert.That(TaskCatalogue.Named("hta").Select(task => task.Classes).Order(), Is.EqualTo(new[] { 10, 10, 43, 47, 100, 101, 102, 120, 200, 555 }));
            Assert.That(() => TaskCatalogue.Named("vtab-dmlap"), Throws.TypeOf<FusionException>().With.Message.Contains("vtab-dmlab"));
        });
    }

    [Test]
    public void AWholeFolderHasNoFault()
    {
        using var above = new TemporaryFolder();
        Whole(above);
        var finding = DataCheck.Run(Tiny, $"vtab:{above["tiny"]}", decode: true);
        Assert.That(finding.Faults, Is.Empty);
        Assert.That(finding.Decoded, Is.EqualTo(6));
    }

    [Test]
    public void EveryFaultIsToldAtOnce()
    {
        using var above = new TemporaryFolder();
        Whole(above);
        File.Delete(above["tiny/images/train800/000001.png"]);
        File.WriteAllText(above["tiny/images/test/000000.png"], "no picture");
        File.Copy(Fixture.PathOf("rgb.png"), above["tiny/images/stray.png"]);
        File.AppendAllText(above["tiny/test.txt"], "images/test/000001.png 1\n../x.png 1\nimages/test/000001.png\n");
        var told = new List<(int, int)>();
        var finding = DataCheck.Run(Tiny, $"vtab:{above["tiny"]}", decode: true, (done, all) =>
        {
            lock (told)
                told.Add((done, all));
        });
        Assert.That(finding.Faults.Select(fault => fault.Kind), Is.EquivalentTo(new[]
        {
            FaultKind.Missing, FaultKind.Miscounted, FaultKind.Miscounted, FaultKind.Twice, FaultKind.Escapes, FaultKind.Malformed, FaultKind.Unreadable, FaultKind.Extra,
        }), string.Join('\n', finding.Faults));
        Assert.That(finding.Faults.Select(fault => fault.Message), Has.Some.Contains("2 training pictures; Tiny has 3").And.Some.Contains("stray.png: is on no list").And.Some.Contains("test/000000.png: neither JPEG nor PNG"));
        Assert.That(told.Max(), Is.EqualTo((5, 5)));
    }

    [Test]
    public void WhatCannotBeOpenedIsAFaultToo()
    {
        using var above = new TemporaryFolder();
        var finding = DataCheck.Run(Tiny, $"vtab:{above["none"]}");
        Assert.That((finding.Data, finding.Faults.Single().Message), Is.EqualTo(((ImageDataset?)null, $"{above["none"]}: no such folder")));
    }

    private static void Whole(TemporaryFolder above)
    {
        foreach (var (name, labels) in new (string, int[])[] { ("train800", [0, 1, 2]), ("val200", [2]), ("test", [1, 0]) })
        {
            Directory.CreateDirectory(above[$"tiny/images/{name}"]);
            var lines = labels.Select((label, i) => $"images/{name}/{i:000000}.png {label}").ToList();
            foreach (var line in lines)
                File.Copy(Fixture.PathOf("rgb.png"), above[Path.Combine("tiny", line.Split(' ')[0])]);
            File.WriteAllText(above[$"tiny/{name}.txt"], string.Concat(lines.Select(line => line + "\n")));
        }
    }
}
