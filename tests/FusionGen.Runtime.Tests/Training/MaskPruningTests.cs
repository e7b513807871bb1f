using FusionGen.Training;

namespace FusionGen.Runtime.Tests.Training;

[TestFixture]
internal sealed class MaskPruningTests
{
    private const string Prompts = "operators.e.mask.prompts";
    private const string Segments = "operators.e.mask.segments";

    private static Masks Scores(float[] prompts, float[] segments) => new(new Dictionary<string, float[]> { [Prompts] = prompts, [Segments] = segments });

    [Test]
    public void The_least_worth_goes_by_its_sign_not_its_size()
    {
        var pruned = MaskPruning.Prune(Scores([0.1f, -9, 3, -0.5f], [.. Enumerable.Range(0, 32).Select(i => (float)i)]), 0.5);
        Assert.That(pruned.Values[Prompts], Is.EqualTo(new float[] { 1, 0, 1, 0 }));
        // Of the 16 segments of the prompts that stay, 8: the four least of the first, which keeps four, and the four least of the third.
        Assert.That(pruned.Values[Segments], Is.EqualTo(Enumerable.Range(0, 32).Select(i => i is (>= 0 and < 4) or (>= 16 and < 20) ? 0f : 1)));
    }

    [Test]
    public void A_prompt_and_four_of_its_segments_stay()
    {
        var pruned = MaskPruning.Prune(Scores([1, 2, 3], [.. Enumerable.Range(0, 48).Select(i => (float)-i)]), 0.9);
        Assert.That(pruned.Values[Prompts], Is.EqualTo(new float[] { 0, 0, 1 }));
        Assert.That(pruned.Values[Segments].Skip(32), Is.EqualTo(Enumerable.Range(0, 16).Select(i => i < 4 ? 1f : 0)));
    }

    [Test]
    public void Nothing_goes_at_a_share_of_nothing() =>
        Assert.That(MaskPruning.Prune(Scores([1, 2], new float[10]), 0).Values.Values.SelectMany(mask => mask), Is.All.EqualTo(1));
}
