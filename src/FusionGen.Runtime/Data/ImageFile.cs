using System.Globalization;

namespace FusionGen.Data;

/// <summary>Reads JPEG and PNG files as 8-bit RGB, told apart by their first bytes and not by name. Orientation tags are not followed, as in torchvision.</summary>
public static class ImageFile
{
    /// <summary>Most pixels that are decoded; beyond it Pillow, too, suspects a decompression bomb.</summary>
    public const long LargestArea = 89_478_485;

    /// <summary>Extensions of image files, lower case.</summary>
    public static IReadOnlyList<string> Extensions { get; } = [".jpg", ".jpeg", ".png"];

    private static ReadOnlySpan<byte> JpegStart => [0xFF, 0xD8, 0xFF];

    private static ReadOnlySpan<byte> PngStart => [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A];

    /// <summary>Decodes a file.</summary>
    /// <exception cref="FusionException">The file is missing, damaged, truncated, too large or neither JPEG nor PNG; or the decoding library is missing.</exception>
    public static Picture Read(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        try
        {
            return Decode(File.ReadAllBytes(path), path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new FusionException($"{path}: cannot be read: {error.Message}", ExitCode.Data, error);
        }
    }

    /// <summary>Decodes the bytes of a file; <paramref name="path"/> is what errors call it.</summary>
    /// <exception cref="FusionException">As <see cref="Read"/>.</exception>
    public static Picture Decode(ReadOnlySpan<byte> file, string path)
    {
        try
        {
            if (file.StartsWith(JpegStart))
                return JpegDecoder.Decode(file, path);
            if (file.StartsWith(PngStart))
                return PngDecoder.Decode(file, path);
        }
        catch (Exception error) when (error is DllNotFoundException or EntryPointNotFoundException)
        {
            throw new FusionException($"{path}: images need libjpeg-turbo (libturbojpeg.so.0) and libpng (libpng16.so.16); on Debian: apt install libturbojpeg0 libpng16-16 ({error.Message})", ExitCode.Data, error);
        }
        throw new FusionException(
            file.IsEmpty ? $"{path}: the file is empty" : $"{path}: neither JPEG nor PNG: it starts with {Convert.ToHexString(file[..Math.Min(8, file.Length)])}",
            ExitCode.Data);
    }

    internal static void CheckSize(string path, int width, int height)
    {
        if ((long)width * height > LargestArea)
            throw new FusionException(string.Create(CultureInfo.InvariantCulture, $"{path}: {width}×{height} is more than {LargestArea} pixels; scale it down first"), ExitCode.Data);
    }
}
