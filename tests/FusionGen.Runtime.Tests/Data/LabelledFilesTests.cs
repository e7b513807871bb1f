using FusionGen.Data;

namespace FusionGen.Runtime.Tests.Data;

public class LabelledFilesTests
{
    [Test]
    public void FoldersAreClassesInOrdinalOrder()
    {
        using var folder = new TemporaryFolder();
        foreach (var file in new[] { "train/b/1.png", "train/b/2.JPG", "train/B/3.png", "train/a/deep/4.jpeg", "train/a/notes.txt", "val/a/5.png", "test/B/6.png", "test/b/7.png" })
            Put(folder, file);
        var data = DataSource.Open($"folder:{folder.Path}", seed: 0);
        Assert.Multiple(() =>
        {
            Assert.That(data.ClassNames, Is.EqualTo(new[] { "B", "a", "b" }));
            Assert.That(Labels(data.Train), Is.EqualTo(new[] { 0, 1, 2, 2 }));
            Assert.That(Labels(data.Val), Is.EqualTo(new[] { 1 }));
            Assert.That(Labels(data.Test), Is.EqualTo(new[] { 0, 2 }));
            Assert.That(data.Train.Read(0).Pixels, Is.EqualTo(Fixture.Photo().Pixels));
        });
    }

    [Test]
    public void AMissingValidationSplitIsTakenFromEveryClassBySeed()
    {
        using var folder = new TemporaryFolder();
        for (var i = 0; i < 40; i++)
            Put(folder, $"train/{(i % 4 == 0 ? "few" : "many")}/{i:00}.png");
        var source = $"folder:{folder.Path}";
        var data = DataSource.Open(source, seed: 1, validationShare: 0.2);
        Assert.Multiple(() =>
        {
            Assert.That(Labels(data.Val), Is.EqualTo(Enumerable.Repeat(0, 2).Concat(Enumerable.Repeat(1, 6))));
            Assert.That(data.Train.Count, Is.EqualTo(32));
            Assert.That(data.Test.Count, Is.Zero);
        });
    }

    [Test]
    public void FoldersThatCannotBeMeantAreNamed()
    {
        using var folder = new TemporaryFolder();
        Put(folder, "train/a/1.png");
        Assert.That(() => DataSource.Open($"folder:{folder.Path}", 0), Failing("1 class in the training split"));
        Put(folder, "train/b/2.png");
        Put(folder, "test/c/3.png");
        Assert.That(() => DataSource.Open($"folder:{folder.Path}", 0), Failing("class 'c' of the test split is not in the training split"));
        Directory.CreateDirectory(folder["train/empty"]);
        Assert.That(() => DataSource.Open($"folder:{folder.Path}", 0), Failing("empty: has no image"));
        Assert.That(() => DataSource.Open($"folder:{folder["train"]}", 0), Failing("has no folder 'train'"));
        Assert.That(() => DataSource.Open($"folder:{folder["nowhere"]}", 0), Failing("no such folder"));
        Assert.That(() => DataSource.Open("sprite:location", 0), Failing("is none of sprites:location"));
    }

    [Test]
    public void ManifestsAreCommaSeparatedAndQuoted()
    {
        using var folder = new TemporaryFolder();
        foreach (var file in new[] { "x, y.png", "sub/\"q\".png", "plain.png", "t.png" })
            Put(folder, file);
        using var elsewhere = new TemporaryFolder();
        Put(elsewhere, "far.png");
        File.WriteAllText(folder["m.csv"],
            "\uFEFFsplit,path,label\r\ntrain,\"x, y.png\",\"two\nlines\"\r\n\r\ntrain,\"sub/\"\"q\"\".png\",b\r\nval,plain.png,b\r\n" +
            $"test,sub/../t.png,b\r\ntest,{elsewhere["far.png"]},b");
        var data = DataSource.Open($"csv:{folder["m.csv"]}", seed: 0);
        Assert.Multiple(() =>
        {
            Assert.That(data.Name, Is.EqualTo("m"));
            Assert.That(data.ClassNames, Is.EqualTo(new[] { "b", "two\nlines" }));
            Assert.That((data.Train.Count, data.Val.Count, data.Test.Count), Is.EqualTo((2, 1, 2)));
            Assert.That(data.Test.Read(0).Width, Is.EqualTo(Fixture.Width));
        });
    }

    [TestCase("path,label\na,b", "m.csv(1): wanted the columns path, label and split, found path, label")]
    [TestCase("path,label,split\nok.png,a,train\n../../etc/x.png,a,train", "m.csv(3): '../../etc/x.png' leaves the folder")]
    [TestCase("path,label,split\nok.png,a,dev", "m.csv(2): split 'dev' is none of train, val, test")]
    [TestCase("path,label,split\nok.png,a", "m.csv(2): 2 fields, too few")]
    [TestCase("path,label,split\nok.png,,train", "m.csv(2): path or label is empty")]
    [TestCase("path,label,split\ngone.png,a,train", "m.csv(2): 'gone.png' does not exist")]
    [TestCase("path,label,split\n\"ok.png,a,train\n", "m.csv(2): a quoted field does not end")]
    [TestCase("", "m.csv(1): the file is empty")]
    public void ManifestErrorsHaveALine(string text, string message)
    {
        using var folder = new TemporaryFolder();
        Put(folder, "ok.png");
        File.WriteAllText(folder["m.csv"], text);
        Assert.That(() => DataSource.Open($"csv:{folder["m.csv"]}", 0), Failing(message));
    }

    private static NUnit.Framework.Constraints.ContainsConstraint Failing(string message) =>
        Throws.TypeOf<FusionException>().With.Message.Contains(message);

    private static int[] Labels(Split split) => [.. Enumerable.Range(0, split.Count).Select(split.Label)];

    private static void Put(TemporaryFolder folder, string name)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(folder[name])!);
        File.Copy(Fixture.PathOf("rgb.png"), folder[name]);
    }
}
