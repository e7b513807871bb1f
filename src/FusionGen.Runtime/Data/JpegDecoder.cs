using System.Runtime.InteropServices;

namespace FusionGen.Data;

/// <summary>JPEG through libjpeg-turbo's TurboJPEG API, with its default (exact) inverse transform and smooth upsampling, as Pillow uses it.</summary>
internal static partial class JpegDecoder
{
    private const string Library = "libturbojpeg.so.0";
    private const int PixelRgb = 0;
    private const int PixelCmyk = 11;
    private const int SpaceCmyk = 3;
    private const int SpaceYcck = 4;

    public static Picture Decode(ReadOnlySpan<byte> file, string path)
    {
        var decoder = InitDecompress();
        if (decoder == 0)
            throw new FusionException("libjpeg-turbo cannot be initialised", ExitCode.Internal);
        try
        {
            if (Header(decoder, file, new CULong((nuint)file.Length), out var width, out var height, out _, out var space) != 0)
                throw Damaged(path, decoder);
            ImageFile.CheckSize(path, width, height);
            var isCmyk = space is SpaceCmyk or SpaceYcck;
            var pixels = new byte[width * height * (isCmyk ? 4 : 3)];
            if (Decompress(decoder, file, new CULong((nuint)file.Length), pixels, width, 0, height, isCmyk ? PixelCmyk : PixelRgb, 0) != 0 && !IsHarmless(Message(decoder)))
                throw Damaged(path, decoder);
            return new Picture(width, height, isCmyk ? FromInvertedCmyk(pixels) : pixels);
        }
        finally
        {
            _ = Destroy(decoder);
        }
    }

    // Stray bytes between segments and sloppy scan headers leave every pixel as it was meant; all other warnings mean guessed pixels.
    private static bool IsHarmless(string message) =>
        message.Contains("extraneous bytes", StringComparison.Ordinal) || message.Contains("Invalid SOS parameters", StringComparison.Ordinal);

    /// <summary>Adobe's inverted CMYK, converted by Pillow's formula.</summary>
    private static byte[] FromInvertedCmyk(byte[] inks)
    {
        var pixels = new byte[inks.Length / 4 * 3];
        for (int i = 0, j = 0; i < inks.Length; i += 4, j += 3)
        {
            int light = inks[i + 3];
            for (var channel = 0; channel < 3; channel++)
            {
                var product = ((255 - inks[i + channel]) * light) + 128;
                pixels[j + channel] = (byte)Math.Max(0, light - (((product >> 8) + product) >> 8));
            }
        }
        return pixels;
    }

    private static FusionException Damaged(string path, nint decoder) => new($"{path}: damaged JPEG: {Message(decoder)}", ExitCode.Data);

    private static string Message(nint decoder) => Marshal.PtrToStringUTF8(ErrorText(decoder)) ?? "unknown error";

    [LibraryImport(Library, EntryPoint = "tjInitDecompress")]
    private static partial nint InitDecompress();

    [LibraryImport(Library, EntryPoint = "tjDecompressHeader3")]
    private static partial int Header(nint decoder, ReadOnlySpan<byte> file, CULong length, out int width, out int height, out int subsampling, out int space);

    [LibraryImport(Library, EntryPoint = "tjDecompress2")]
    private static partial int Decompress(nint decoder, ReadOnlySpan<byte> file, CULong length, Span<byte> pixels, int width, int pitch, int height, int format, int flags);

    [LibraryImport(Library, EntryPoint = "tjGetErrorStr2")]
    private static partial nint ErrorText(nint decoder);

    [LibraryImport(Library, EntryPoint = "tjDestroy")]
    private static partial int Destroy(nint decoder);
}
