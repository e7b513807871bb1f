using FusionGen.Checkpoints;

namespace FusionGen.Runtime.Tests.Checkpoints;

[TestFixture]
internal sealed class AtomicFileTests
{
    [Test]
    public void Replaces_a_file_whole_and_creates_folders()
    {
        using var folder = new TemporaryFolder();
        AtomicFile.WriteText(folder["a/b/c.txt"], "one");
        AtomicFile.WriteText(folder["a/b/c.txt"], "two");
        Assert.That(File.ReadAllBytes(folder["a/b/c.txt"]), Is.EqualTo("two"u8.ToArray()));
        Assert.That(Directory.GetFiles(folder["a/b"]), Has.Length.EqualTo(1));
    }

    [Test]
    public void A_failure_while_writing_leaves_the_old_file_and_no_other()
    {
        using var folder = new TemporaryFolder();
        AtomicFile.WriteText(folder["c.txt"], "one");
        Assert.Throws<InvalidOperationException>(() => AtomicFile.Write(folder["c.txt"], stream =>
        {
            stream.Write("tw"u8);
            throw new InvalidOperationException("the plug was pulled");
        }));
        Assert.That(File.ReadAllText(folder["c.txt"]), Is.EqualTo("one"));
        Assert.That(Directory.GetFiles(folder.Path), Has.Length.EqualTo(1));
    }

    [Test]
    public void A_target_that_cannot_be_written_is_an_error_that_names_it()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["taken"]);
        File.WriteAllText(folder["taken/x"], "");
        var error = Assert.Throws<FusionException>(() => AtomicFile.WriteText(folder["taken"], "text"));
        Assert.That(error.Message, Does.StartWith(folder["taken"]));
        Assert.That(error.Code, Is.EqualTo(ExitCode.Data));
    }
}
