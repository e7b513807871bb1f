using System.Xml.Linq;
using FusionGen.Reporting;
using FusionGen.Runtime.Tests.Search;
using FusionGen.Search;
using FusionGen.Training;

namespace FusionGen.Runtime.Tests.Reporting;

[TestFixture]
internal sealed class ReportingTests
{
    [Test]
    public void A_report_is_one_well_formed_file_without_scripts_or_links()
    {
        using var folder = new TemporaryFolder();
        using var network = new ToySupernet();
        network.Initialize(1);
        using (var search = new BilevelSearch(network, new ToyBatches("train", 3, 6), new ToyBatches("validation", 2, 6), new SearchSettings { Epochs = 3, Warmup = 1 }, new RunContext { Folder = folder.Path }))
            search.Run();
        using (var trainer = new Trainer(network, new ToyBatches("train", 3, 6), new ToyBatches("validation", 2, 6), new TrainSettings { Epochs = 2 }, new RunContext { Folder = folder.Path }))
            trainer.Run();
        HtmlReport.Write(folder.Path, "A <b>bold</b> & risky name", [new("top-1", "<script>")], network.Layers);

        var html = File.ReadAllText(folder["report.html"]);
        Assert.That(html, Does.Not.Contain("<script").And.Not.Contain("href=").And.Not.Contain("src="));
        Assert.That(html, Does.Contain("A &lt;b&gt;bold"));
        var drawings = html.Split("<svg").Skip(1).Select(part => XDocument.Parse("<svg" + part[..(part.IndexOf("</svg>", StringComparison.Ordinal) + 6)])).ToList();
        // The final matrix, three plots, a strip for each of two layers with a choice, two plots of the training.
        Assert.That(drawings, Has.Count.EqualTo(8));
        var cells = drawings[0].Descendants().Where(node => node.Name.LocalName == "rect").ToList();
        Assert.That(cells, Has.Count.EqualTo(3 + 1 + 2), "one cell for every candidate of every layer");
        Assert.That(html, Does.Not.Contain("NaN"));
    }

    [Test]
    public void Metrics_of_search_and_training_share_a_file_without_disturbing_each_other()
    {
        using var folder = new TemporaryFolder();
        var training = new TrainEpoch { Epoch = 0, LearningRate = 1, TrainLoss = 1, TrainTop1 = 1, ValidationLoss = 1, ValidationTop1 = 1, Best = true, Seconds = 1 };
        RunFolder.WriteTraining(folder.Path, [training, training with { Epoch = 1 }]);
        RunFolder.WriteSearch(folder.Path, [], []);
        RunFolder.WriteTraining(folder.Path, [training]);
        Assert.That(RunFolder.ReadMetrics(folder.Path).Training, Is.EqualTo(new[] { training }));
        Assert.That(File.ReadAllText(folder["metrics.jsonl"]), Does.EndWith("}\n"));
    }

    [Test]
    public void A_summary_is_quoted_where_it_must_be()
    {
        using var folder = new TemporaryFolder();
        RunFolder.WriteSummary(folder.Path, [new("policy", "add,mix"), new("note", "say \"x\""), new("top1", "0.5")]);
        Assert.That(File.ReadAllText(folder["summary.csv"]), Is.EqualTo("policy,note,top1\n\"add,mix\",\"say \"\"x\"\"\",0.5\n"));
    }

    [Test]
    public void A_progress_line_says_rate_loss_entropy_policy_and_time_left()
    {
        var progress = new Progress("search", 3, 90, 5, 13, 412.4, 1.2345, 0.98, 0.615, ["add", "add", "", "mix"], TimeSpan.FromSeconds(3671));
        Assert.That(progress.ToString(), Is.EqualTo("search 4/90 [5/13] loss 1.235 val 61.5% entropy 0.98 412 img/s 1:01:11 left  add×2 – mix"));
    }

    [Test]
    public void A_terminal_gets_one_changing_line_and_a_file_one_line_per_epoch()
    {
        var progress = new Progress("train", 0, 1, 1, 1, 10, 1, null, null, [], TimeSpan.Zero);
        var (terminal, file) = (new StringWriter(), new StringWriter());
        foreach (var sink in new[] { new ConsoleProgress(terminal, isTerminal: true), new ConsoleProgress(file, isTerminal: false) })
        {
            sink.Step(progress);
            sink.Step(progress);
            sink.Epoch(progress);
            sink.Note("done");
        }
        Assert.That(file.ToString().Split(Environment.NewLine), Is.EqualTo(new[] { progress.ToString(), "done", "" }));
        Assert.That(terminal.ToString().Count(c => c == '\r'), Is.EqualTo(2), "the second step came too soon after the first");
        Assert.That(terminal.ToString(), Does.EndWith($"{Environment.NewLine}done{Environment.NewLine}"));
    }

    [Test]
    public void Curves_break_at_what_is_no_number_and_survive_having_none()
    {
        var svg = Svg.Lines("t", "x", [new("a", [(0, 1), (1, double.NaN), (2, 3), (3, 4)])]);
        var path = XDocument.Parse(svg).Descendants().Single(node => node.Name.LocalName == "path").Attribute("d")!.Value;
        Assert.That(path.Count(c => c == 'M'), Is.EqualTo(2));
        Assert.That(() => XDocument.Parse(Svg.Lines("t", "x", [new("a", [])])), Throws.Nothing);
        Assert.That(() => XDocument.Parse(Svg.Lines("t", "x", [new("a", [(1, 1)])])), Throws.Nothing);
    }
}
