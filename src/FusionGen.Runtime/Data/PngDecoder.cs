using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace FusionGen.Data;

/// <summary>
/// PNG through libpng's simplified API. Chunks that do not carry pixels are left out first: colours come as stored, as in Pillow,
/// not as a gamma or profile chunk would have them corrected. Alpha is dropped, 16 bits are scaled to 8.
/// </summary>
internal static unsafe partial class PngDecoder
{
    private const string Library = "libpng16.so.16";
    private const uint FormatRgba = 0x03;
    private const uint Flag16BitSrgb = 0x04;
    private const int Signature = 8;

    public static Picture Decode(ReadOnlySpan<byte> file, string path)
    {
        var essential = Essential(file, path);
        ControlledImage image = default;
        image.Version = 1;
        fixed (byte* bytes = essential)
        {
            try
            {
                if (BeginRead(&image, bytes, (nuint)essential.Length) == 0)
                    throw Damaged(path, image);
                ImageFile.CheckSize(path, (int)image.Width, (int)image.Height);
                image.Format = FormatRgba;
                image.Flags |= Flag16BitSrgb;
                var rgba = new byte[image.Width * image.Height * 4];
                fixed (byte* pixels = rgba)
                {
                    if (FinishRead(&image, null, pixels, 0, null) == 0)
                        throw Damaged(path, image);
                }
                return new Picture((int)image.Width, (int)image.Height, WithoutAlpha(rgba));
            }
            finally
            {
                Free(&image);
            }
        }
    }

    /// <summary>The file with its pixel-carrying chunks only.</summary>
    private static byte[] Essential(ReadOnlySpan<byte> file, string path)
    {
        var kept = new byte[file.Length];
        file[..Signature].CopyTo(kept);
        var length = Signature;
        for (var at = Signature; ;)
        {
            if (file.Length - at < 12)
                throw new FusionException($"{path}: damaged PNG: the file ends before its end chunk", ExitCode.Data);
            var size = BinaryPrimitives.ReadUInt32BigEndian(file[at..]);
            if (size > file.Length - at - 12)
                throw new FusionException($"{path}: damaged PNG: a chunk at byte {at} reaches beyond the end of the file", ExitCode.Data);
            var chunk = file.Slice(at, (int)size + 12);
            var type = Encoding.ASCII.GetString(chunk.Slice(4, 4));
            // A size is checked before the library, which has a limit of its own, sees it.
            if (type == "IHDR" && size == 13)
                ImageFile.CheckSize(path, Dimension(chunk[8..]), Dimension(chunk[12..]));
            if (type is "IHDR" or "PLTE" or "IDAT" or "IEND")
            {
                chunk.CopyTo(kept.AsSpan(length));
                length += chunk.Length;
            }
            at += chunk.Length;
            if (type == "IEND")
                return kept[..length];
        }
    }

    private static int Dimension(ReadOnlySpan<byte> bytes) => (int)Math.Min(int.MaxValue, BinaryPrimitives.ReadUInt32BigEndian(bytes));

    private static byte[] WithoutAlpha(byte[] rgba)
    {
        var pixels = new byte[rgba.Length / 4 * 3];
        for (int i = 0, j = 0; i < rgba.Length; i += 4, j += 3)
        {
            pixels[j] = rgba[i];
            pixels[j + 1] = rgba[i + 1];
            pixels[j + 2] = rgba[i + 2];
        }
        return pixels;
    }

    private static FusionException Damaged(string path, ControlledImage image) =>
        new($"{path}: damaged PNG: {Marshal.PtrToStringUTF8((nint)image.Message)}", ExitCode.Data);

    [LibraryImport(Library, EntryPoint = "png_image_begin_read_from_memory")]
    private static partial int BeginRead(ControlledImage* image, byte* file, nuint length);

    [LibraryImport(Library, EntryPoint = "png_image_finish_read")]
    private static partial int FinishRead(ControlledImage* image, void* background, byte* pixels, int stride, void* palette);

    [LibraryImport(Library, EntryPoint = "png_image_free")]
    private static partial void Free(ControlledImage* image);

    /// <summary><c>png_image</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct ControlledImage
    {
        public nint Opaque;
        public uint Version;
        public uint Width;
        public uint Height;
        public uint Format;
        public uint Flags;
        public uint ColormapEntries;
        public uint WarningOrError;
        public fixed byte Message[64];
    }
}
