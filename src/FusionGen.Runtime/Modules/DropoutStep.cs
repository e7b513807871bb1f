namespace FusionGen;

/// <summary>
/// The training step that dropout draws for. Whether a number is dropped is a function of the step, the site, the image's place in the batch and the number's own, so it depends neither on
/// threads nor on the engine, and a resumed run draws what it would have drawn.
/// </summary>
/// <param name="Seed">The run's.</param>
/// <param name="Step">Which step of the run.</param>
public readonly record struct DropoutStep(long Seed, long Step)
{
    private const ulong Golden = 0x9E3779B97F4A7C15;

    /// <summary>Factors of one image: 0 at the rate, 1/(1 − rate) elsewhere.</summary>
    public void Fill(Span<float> mask, uint site, int image, float rate)
    {
        var key = SplitMix.Mix(SplitMix.Mix(SplitMix.Mix(unchecked((ulong)this.Seed) + Golden) ^ unchecked((ulong)this.Step)) ^ (((ulong)site << 32) | (uint)image));
        var (least, kept) = ((ulong)((double)rate * (1UL << 32)), 1 / (1 - rate));
        for (var i = 0; i < mask.Length; i++)
        {
            // Two draws of 32 bits of each number.
            if (i % 2 == 0)
                key += Golden;
            var bits = SplitMix.Mix(key);
            mask[i] = (i % 2 == 0 ? bits & uint.MaxValue : bits >> 32) < least ? 0 : kept;
        }
    }
}
