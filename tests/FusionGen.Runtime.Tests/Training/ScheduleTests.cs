using FusionGen.Training;

namespace FusionGen.Runtime.Tests.Training;

/// <summary>Curves of our own; the published schedules are held by <c>fusiongen parity --reference schedules.json</c>.</summary>
[TestFixture]
internal sealed class ScheduleTests
{
    [TestCase(Curve.Linear, 0, 10)]
    [TestCase(Curve.Linear, 2, 6)]
    [TestCase(Curve.Cosine, 2, 6)]
    [TestCase(Curve.Constant, 3, 10)]
    public void Curves_go_from_first_to_last(Curve curve, int epoch, double expected) =>
        Assert.That(Schedule.Value(curve, 10, 2, epoch, 4), Is.EqualTo(expected).Within(1e-12));
}
