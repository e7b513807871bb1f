namespace FusionGen.Runtime.Tests.Modules;

[TestFixture]
internal sealed class DropoutStepTests
{
    private const int Length = 4001;

    [TestCase(0.1f)]
    [TestCase(0.5f)]
    [TestCase(0.9f)]
    public void Drops_at_the_rate_and_keeps_the_mean(float rate)
    {
        var mask = Mask(new DropoutStep(1, 2), 3, 4, rate);
        Assert.That(mask.Distinct(), Is.EquivalentTo(new[] { 0, 1 / (1 - rate) }));
        // Five deviations of a binomial.
        Assert.That(mask.Count(value => value == 0) / (double)Length, Is.EqualTo(rate).Within(5 * Math.Sqrt(rate * (1 - rate) / Length)));
    }

    [Test]
    public void Depends_on_seed_step_site_and_image_and_on_nothing_else()
    {
        var masks = new[]
        {
            Mask(new DropoutStep(1, 2), 3, 4, 0.5f), Mask(new DropoutStep(2, 2), 3, 4, 0.5f), Mask(new DropoutStep(1, 3), 3, 4, 0.5f), Mask(new DropoutStep(1, 2), 4, 4, 0.5f), Mask(new DropoutStep(1, 2), 3, 5, 0.5f),
        };
        Assert.That(Mask(new DropoutStep(1, 2), 3, 4, 0.5f), Is.EqualTo(masks[0]));
        foreach (var (one, other) in masks.SelectMany((one, i) => masks.Skip(i + 1).Select(other => (one, other))))
            Assert.That(one.Zip(other).Count(pair => pair.First == pair.Second) / (double)Length, Is.EqualTo(0.5).Within(0.04), "independent");
    }

    private static float[] Mask(DropoutStep step, uint site, int image, float rate)
    {
        var mask = new float[Length];
        step.Fill(mask, site, image, rate);
        return mask;
    }
}
