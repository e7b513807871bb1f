namespace FusionGen.Kernels;

/// <summary>Patches of images as rows, so that a convolution as large as its stride is a product.</summary>
public static class PatchEmbed
{
    /// <summary>
    /// Images (b, channels, size, size) to rows (b·(size/patch)², channels·patch·patch): patches in reading order, entries in the order of a
    /// convolution's weight (d, channels, patch, patch). The embedding is rows·weightᵀ.
    /// </summary>
    /// <param name="images">The images.</param>
    /// <param name="channels">Of an image.</param>
    /// <param name="size">Height and width of an image.</param>
    /// <param name="patch">Height and width of a patch, a divisor of the size.</param>
    /// <param name="rows">As many floats as the images.</param>
    public static void Gather(ReadOnlySpan<float> images, int channels, int size, int patch, Span<float> rows)
    {
        Check.Length(rows, images.Length);
        if (patch < 1 || size < patch || size % patch != 0 || channels < 1 || images.Length % (channels * size * size) != 0)
            throw new ArgumentException($"'{nameof(images)}' are not {channels}×{size}×{size} of patches {patch}×{patch}", nameof(images));
        var (grid, image, row) = (size / patch, channels * size * size, channels * patch * patch);
        for (var start = 0; start < images.Length; start += image)
        {
            // (channel, patch row, row in patch, patch column, column in patch) of the image.
            StridedCopy.Copy(
                [channels, grid, patch, grid, patch],
                images[start..],
                [size * size, patch * size, size, patch, 1],
                rows[start..],
                [patch * patch, grid * row, patch, row, 1]);
        }
    }
}
