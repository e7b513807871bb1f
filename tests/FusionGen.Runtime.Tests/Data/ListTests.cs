using FusionGen.Data;

namespace FusionGen.Runtime.Tests.Data;

/// <summary>The community's lists: VTAB-1k's lines and VPT's JSON, as they should be and as nobody should write them.</summary>
internal sealed class ListTests
{
    [Test]
    public void VtabListsAreReadAsTheCommunityWritesThem()
    {
        using var folder = Vtab();
        var data = DataSource.Open($"vtab:{folder.Path}", 0);
        Assert.Multiple(() =>
        {
            Assert.That(Labels(data.Train), Is.EqualTo(new[] { 0, 1, 2 }));
            Assert.That((Labels(data.Val), Labels(data.Test)), Is.EqualTo((new[] { 2 }, new[] { 1, 0 })));
            Assert.That(Labels(data.TrainVal), Is.EqualTo(new[] { 0, 1, 2, 2 }));
            Assert.That(data.TrainVal.Name(3), Does.EndWith("images/train800val200/000003.png"));
            Assert.That(data.ClassNames, Is.EqualTo(new[] { "0", "1", "2" }));
            Assert.That(data.Test.Read(1).Pixels, Is.EqualTo(Fixture.Photo().Pixels));
            Assert.That(data.IsValHeldOut, Is.False);
        });
    }

    [Test]
    public void WithoutItsOwnListTrainingAndValidationAreOneAfterTheOther()
    {
        using var folder = Vtab();
        File.Delete(folder["train800val200.txt"]);
        var data = DataSource.Open($"vtab:{folder.Path}", 0);
        Assert.That(Labels(data.TrainVal), Is.EqualTo(new[] { 0, 1, 2, 2 }));
        Assert.That(data.TrainVal.Name(3), Is.EqualTo(data.Val.Name(0)));
    }

    [Test]
    public void AFolderOfAKnownNameHasTheTasksClasses()
    {
        using var above = new TemporaryFolder();
        var root = Directory.CreateDirectory(above["eurosat"]).FullName;
        Fill(root);
        Assert.That(DataSource.Open($"vtab:{root}", 0).Classes, Is.EqualTo(10));
        File.AppendAllText(Path.Combine(root, "test.txt"), "images/test/000000.png 10\n");
        Assert.That(() => DataSource.Open($"vtab:{root}", 0), Failing("test.txt(3): label 10; the largest of EuroSAT is 9"));
    }

    [TestCase("images/train800/000000.png", "train800.txt(4): wanted a path and a label")]
    [TestCase("images/train800/000000.png one", "train800.txt(4): wanted a path and a label")]
    [TestCase("images/train800/000000.png -1", "train800.txt(4): wanted a path and a label")]
    [TestCase("images/train800/000000.png 99999999999999999999", "train800.txt(4): wanted a path and a label")]
    [TestCase("images/train800/000000.png 65536", "train800.txt(4): label 65536; the largest that is read is 65535")]
    [TestCase("../secret.png 1", "train800.txt(4): '../secret.png' leaves the folder")]
    [TestCase("images/../../secret.png 1", "train800.txt(4): 'images/../../secret.png' leaves the folder")]
    [TestCase("/etc/passwd 1", "train800.txt(4): '/etc/passwd' is absolute")]
    [TestCase("images/none.png 1", "train800.txt(4): 'images/none.png' does not exist")]
    [TestCase("images 1", "train800.txt(4): 'images' does not exist")]
    [TestCase("images/\0x.png 1", "train800.txt(4): 'images/\0x.png' is no path")]
    [TestCase("images/train800/000001.png 1", "train800.txt(4): 'images/train800/000001.png' is listed already, in train800.txt(2)")]
    [TestCase("images/train800/../train800/000001.png 1", "is listed already, in train800.txt(2)")]
    public void VtabErrorsHaveALine(string line, string message)
    {
        using var folder = Vtab();
        File.AppendAllText(folder["train800.txt"], line + "\n");
        Assert.That(() => DataSource.Open($"vtab:{folder.Path}", 0), Failing(message));
    }

    [Test]
    public void ATestPictureThatWasTrainedOnIsRefused()
    {
        using var folder = Vtab();
        File.AppendAllText(folder["test.txt"], "images/train800/000001.png 1\n");
        Assert.That(() => DataSource.Open($"vtab:{folder.Path}", 0), Failing("test.txt(3): 'images/train800/000001.png' is listed already, in train800.txt(2)"));
    }

    [Test]
    public void ListsThatAreMissingOrDisagreeAreNamed([Values("train800.txt", "val200.txt", "test.txt")] string name)
    {
        using var folder = Vtab();
        File.Delete(folder[name]);
        Assert.That(() => DataSource.Open($"vtab:{folder.Path}", 0), Failing($"{name}: is missing"));
        using var other = Vtab();
        File.AppendAllText(other["train800val200.txt"], "images/test/000000.png 1\n");
        Assert.That(() => DataSource.Open($"vtab:{other.Path}", 0), Failing("its labels are not those of train800.txt and val200.txt together"));
    }

    [TestCase("link.png", "secret.png", "'link.png' leads out of the folder by a link")]
    [TestCase("images/away/secret.png", "..", "'images/away/secret.png' leads out of the folder by a link")]
    [TestCase("images/chain/secret.png", "away", "'images/chain/secret.png' leads out of the folder by a link")]
    public void LinksThatLeadOutAreRefused(string listed, string _, string message)
    {
        using var above = new TemporaryFolder();
        File.Copy(Fixture.PathOf("rgb.png"), above["secret.png"]);
        var root = Directory.CreateDirectory(above["data"]).FullName;
        Fill(root);
        File.CreateSymbolicLink(Path.Combine(root, "link.png"), above["secret.png"]);
        Directory.CreateSymbolicLink(Path.Combine(root, "images", "away"), "../..");
        Directory.CreateSymbolicLink(Path.Combine(root, "images", "chain"), "away");
        File.AppendAllText(Path.Combine(root, "train800.txt"), $"{listed} 1\n");
        Assert.That(() => DataSource.Open($"vtab:{root}", 0), Failing(message));
    }

    [Test]
    public void LinksThatStayInTheFolderAreFollowed()
    {
        using var folder = Vtab();
        Directory.CreateSymbolicLink(folder["images/again"], "train800");
        Directory.Move(folder["images/test"], folder["kept"]);
        Directory.CreateSymbolicLink(folder["images/test"], "../kept");
        Assert.That(DataSource.Open($"vtab:{folder.Path}", 0).Test.Read(0).Pixels, Is.EqualTo(Fixture.Photo().Pixels));
        File.CreateSymbolicLink(folder["images/round.png"], "round.png");
        File.AppendAllText(folder["train800.txt"], "images/round.png 1\n");
        Assert.That(() => DataSource.Open($"vtab:{folder.Path}", 0), Failing("round.png' "));
    }

    [Test]
    public void WildListsAreRefusedWithoutReadingThem()
    {
        using var folder = Vtab();
        using (var file = File.OpenWrite(folder["train800.txt"]))
            file.SetLength(5L << 30);
        var before = GC.GetTotalAllocatedBytes();
        Assert.That(() => DataSource.Open($"vtab:{folder.Path}", 0), Failing("train800.txt: has 5368709120 bytes"));
        Assert.That(GC.GetTotalAllocatedBytes() - before, Is.LessThan(1 << 20));
        File.WriteAllBytes(folder["train800.txt"], [0xFF, 0xFE, 0x41]);
        Assert.That(() => DataSource.Open($"vtab:{folder.Path}", 0), Failing("is not text in UTF-8"));
    }

    [TestCase("")]
    [TestCase("images")]
    [TestCase("Images")]
    public void FgvcListsAreReadAsVptWritesThem(string beside)
    {
        using var folder = Fgvc(beside);
        var data = DataSource.Open($"fgvc:{folder.Path}", 0);
        Assert.Multiple(() =>
        {
            Assert.That(data.ClassNames, Is.EqualTo(new[] { "2", "10", "33" }), "numbers are ordered as numbers");
            Assert.That((Labels(data.Train), Labels(data.Val), Labels(data.Test)), Is.EqualTo((new[] { 1, 0, 2 }, new[] { 2 }, new[] { 0 })));
            Assert.That(data.Train.Read(0).Pixels, Is.EqualTo(Fixture.Photo().Pixels));
        });
    }

    [Test]
    public void FgvcWithoutAValidationListSetsATenthAsideAndTextsAreClassesToo()
    {
        using var folder = new TemporaryFolder();
        var train = Enumerable.Range(0, 40).ToDictionary(i => $"{i:00}.png", i => i % 2 == 0 ? "wren" : "Auk");
        foreach (var name in train.Keys.Append("t.png"))
            File.Copy(Fixture.PathOf("rgb.png"), folder[name]);
        File.WriteAllText(folder["train.json"], System.Text.Json.JsonSerializer.Serialize(train));
        File.WriteAllText(folder["test.json"], """{ "t.png": "wren" }""");
        var data = DataSource.Open($"fgvc:{folder.Path}", 0);
        Assert.That(data.ClassNames, Is.EqualTo(new[] { "Auk", "wren" }));
        Assert.That((data.Train.Count, Labels(data.Val).Order(), data.IsValHeldOut), Is.EqualTo((36, new[] { 0, 0, 1, 1 }, true)));
        Assert.That(data.TrainVal.Count, Is.EqualTo(40));
    }

    [TestCase("{ \"a.png\": 10,\n \"b.png\": -1 }", "train.json(2): the label of 'b.png' is neither")]
    [TestCase("{ \"a.png\": 10,\n \"b.png\": 1.5 }", "train.json(2): the label of 'b.png' is neither")]
    [TestCase("{ \"a.png\": 10,\n \"b.png\": null }", "train.json(2): the label of 'b.png' is neither")]
    [TestCase("{ \"a.png\": 10,\n \"b.png\": [2] }", "train.json(2): the label of 'b.png' is neither")]
    [TestCase("{ \"a.png\": 10,\n \"b.png\": {\"c\": {}} }", "train.json(2): ")]
    [TestCase("{ \"a.png\": 10,\n \"b.png\": ", "train.json(2): not a list of pictures")]
    [TestCase("{ \"a.png\": 10 }\n\n{}", "train.json(3): not a list of pictures")]
    [TestCase("[ \"a.png\" ]", "train.json(1): not a list of pictures")]
    [TestCase("", "train.json(1): not a list of pictures")]
    [TestCase("{ \"a.png\": 10,\n \"a.png\": 2 }", "train.json(2): 'a.png' is listed already")]
    [TestCase("{ \"a.png\": 10,\n \"\\ud800\": 2 }", "train.json(2): not a list of pictures")]
    [TestCase("{ \"a.png\": 10,\n \"../a.png\": 2 }", "train.json(2): '../a.png' leaves the folder")]
    [TestCase("{ \"a.png\": 10,\n \"/etc/hosts\": 2 }", "train.json(2): '/etc/hosts' is absolute")]
    [TestCase("{ \"a.png\": 10,\n\n \"z.png\": 2 }", "train.json(3): 'z.png' does not exist")]
    [TestCase("{ \"a.png\": 10,\n \"b.png\": \"ten\" }", "some labels are numbers and some are texts")]
    [TestCase("{ \"a.png\": 10 }", "is not in the training split")]
    public void FgvcErrorsHaveALine(string train, string message)
    {
        using var folder = Fgvc("");
        File.WriteAllText(folder["train.json"], train);
        Assert.That(() => DataSource.Open($"fgvc:{folder.Path}", 0), Failing(message));
    }

    [Test]
    public void ManifestsRefuseLinksAndDoubles()
    {
        using var folder = new TemporaryFolder();
        using var elsewhere = new TemporaryFolder();
        File.Copy(Fixture.PathOf("rgb.png"), elsewhere["far.png"]);
        File.Copy(Fixture.PathOf("rgb.png"), folder["a.png"]);
        File.CreateSymbolicLink(folder["link.png"], elsewhere["far.png"]);
        File.WriteAllText(folder["m.csv"], "path,label,split\na.png,a,train\nlink.png,b,train\n");
        Assert.That(() => DataSource.Open($"csv:{folder["m.csv"]}", 0), Failing("m.csv(3): 'link.png' leads out of the folder by a link"));
        File.WriteAllText(folder["m.csv"], "path,label,split\na.png,a,train\n./a.png,b,train\n");
        Assert.That(() => DataSource.Open($"csv:{folder["m.csv"]}", 0), Failing("m.csv(3): './a.png' is listed already"));
    }

    private static NUnit.Framework.Constraints.EqualConstraint<ExitCode> Failing(string message) =>
        Throws.TypeOf<FusionException>().With.Message.Contains(message).And.Property(nameof(FusionException.Code)).EqualTo(ExitCode.Data);

    private static int[] Labels(Split split) => [.. Enumerable.Range(0, split.Count).Select(split.Label)];

    private static TemporaryFolder Vtab()
    {
        var folder = new TemporaryFolder();
        Fill(folder.Path);
        return folder;
    }

    private static void Fill(string root)
    {
        foreach (var (name, labels) in new (string, int[])[] { ("train800", [0, 1, 2]), ("val200", [2]), ("train800val200", [0, 1, 2, 2]), ("test", [1, 0]) })
        {
            Directory.CreateDirectory(Path.Combine(root, "images", name));
            var lines = labels.Select((label, i) => $"images/{name}/{i:000000}.png {label}").ToList();
            foreach (var line in lines)
                File.Copy(Fixture.PathOf("rgb.png"), Path.Combine(root, line.Split(' ')[0]));
            File.WriteAllText(Path.Combine(root, $"{name}.txt"), string.Concat(lines.Select(line => line + "\n")));
        }
    }

    private static TemporaryFolder Fgvc(string beside)
    {
        var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder[Path.Combine(beside, "sub")]);
        foreach (var name in new[] { "a.png", "b.png", "c.png", "sub/d.png", "e.png" })
            File.Copy(Fixture.PathOf("rgb.png"), folder[Path.Combine(beside, name)]);
        File.WriteAllText(folder["train.json"], "{\n\"a.png\": 10,\n\"b.png\": 2,\n\"c.png\": 33\n}");
        File.WriteAllText(folder["val.json"], """{ "sub/d.png": 33 }""");
        File.WriteAllText(folder["test.json"], """{ "e.png": 2 }""");
        return folder;
    }
}
