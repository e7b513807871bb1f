using System.Text.Json;
using FusionGen.Training;

namespace FusionGen.Runtime.Tests.Training;

/// <summary>Schedules of VPT and of prompt-fusion discovery, epoch by epoch (schedules.json).</summary>
[TestFixture]
internal sealed class ScheduleTests
{
    private static readonly JsonElement Reference = JsonDocument.Parse(
        File.ReadAllText(Path.Combine(TestContext.CurrentContext.TestDirectory, "Training", "schedules.json"))).RootElement;

    [TestCase("vpt_warmup_cosine_100_10")]
    [TestCase("vpt_warmup_cosine_7_3")]
    [TestCase("vpt_warmup_cosine_5_0")]
    public void Warmup_cosine_is_vpts(string name)
    {
        var reference = Reference.GetProperty(name);
        var (epochs, warmup) = (reference.GetProperty("epochs").GetInt32(), reference.GetProperty("warmup").GetInt32());
        var rates = Enumerable.Range(0, epochs).Select(epoch => Schedule.LearningRate(reference.GetProperty("base_lr").GetDouble(), epoch, epochs, warmup));
        Assert.That(rates, Is.EqualTo(Numbers(reference.GetProperty("lr_per_epoch"))).Within(1e-12));
    }

    [Test]
    public void The_searchs_cosine_runs_over_search_and_training()
    {
        var reference = Reference.GetProperty("pfd_learning_rate");
        var epochs = reference.GetProperty("total_epochs").GetInt32();
        var rates = Enumerable.Range(0, epochs).Select(epoch => Schedule.LearningRate(reference.GetProperty("learning_rate").GetDouble(), epoch, epochs));
        Assert.That(rates, Is.EqualTo(Numbers(reference.GetProperty("lr_per_epoch"))).Within(1e-12));
    }

    [Test]
    public void Temperature_is_the_authors()
    {
        var reference = Reference.GetProperty("pfd_temperature");
        var settings = new SearchSettings
        {
            Epochs = reference.GetProperty("search_epochs").GetInt32(),
            TemperatureFrom = reference.GetProperty("maximum").GetDouble(),
            TemperatureTo = reference.GetProperty("minimum").GetDouble(),
        };
        var temperatures = Enumerable.Range(0, settings.Epochs).Select(epoch => Schedule.Temperature(settings, epoch));
        Assert.That(temperatures, Is.EqualTo(Numbers(reference.GetProperty("tau_per_epoch"))).Within(1e-12));
    }

    [TestCase(Curve.Linear, 0, 10)]
    [TestCase(Curve.Linear, 2, 6)]
    [TestCase(Curve.Cosine, 2, 6)]
    [TestCase(Curve.Constant, 3, 10)]
    public void Curves_go_from_first_to_last(Curve curve, int epoch, double expected) =>
        Assert.That(Schedule.Value(curve, 10, 2, epoch, 4), Is.EqualTo(expected).Within(1e-12));

    private static double[] Numbers(JsonElement list) => [.. list.EnumerateArray().Select(number => number.GetDouble())];
}
