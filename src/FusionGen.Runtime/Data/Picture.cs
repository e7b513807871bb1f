namespace FusionGen.Data;

/// <summary>An image of 8-bit red, green and blue, row by row, no padding.</summary>
public sealed class Picture
{
    /// <summary>Wraps pixels.</summary>
    /// <param name="width">Columns.</param>
    /// <param name="height">Rows.</param>
    /// <param name="pixels">(height, width, 3) bytes.</param>
    public Picture(int width, int height, byte[] pixels)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(height);
        ArgumentNullException.ThrowIfNull(pixels);
        if (pixels.Length != 3L * width * height)
            throw new ArgumentException($"{width}×{height} pixels take {3L * width * height} bytes, not {pixels.Length}", nameof(pixels));
        this.Width = width;
        this.Height = height;
        this.Pixels = pixels;
    }

    /// <summary>Columns.</summary>
    public int Width { get; }

    /// <summary>Rows.</summary>
    public int Height { get; }

    /// <summary>(<see cref="Height"/>, <see cref="Width"/>, 3).</summary>
    public byte[] Pixels { get; }

    /// <summary>A part of it, copied.</summary>
    public Picture Crop(int left, int top, int width, int height)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(left);
        ArgumentOutOfRangeException.ThrowIfNegative(top);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(left + width, this.Width);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(top + height, this.Height);
        if (width == this.Width && height == this.Height)
            return this;
        var pixels = new byte[width * height * 3];
        for (var y = 0; y < height; y++)
            this.Pixels.AsSpan((((top + y) * this.Width) + left) * 3, width * 3).CopyTo(pixels.AsSpan(y * width * 3));
        return new Picture(width, height, pixels);
    }

    /// <summary>Left and right exchanged, copied.</summary>
    public Picture Mirror()
    {
        var pixels = new byte[this.Pixels.Length];
        for (var y = 0; y < this.Height; y++)
        {
            for (var x = 0; x < this.Width; x++)
                this.Pixels.AsSpan(((y * this.Width) + this.Width - 1 - x) * 3, 3).CopyTo(pixels.AsSpan(((y * this.Width) + x) * 3));
        }
        return new Picture(this.Width, this.Height, pixels);
    }
}
