using System.Globalization;
using System.Text;

namespace FusionGen.Data;

/// <summary>Kinds of what can be wrong with data.</summary>
public enum FaultKind
{
    /// <summary>A list or record is not written as its format has it.</summary>
    Malformed,

    /// <summary>A list, a shard or a picture is not there.</summary>
    Missing,

    /// <summary>A path leaves its folder.</summary>
    Escapes,

    /// <summary>A label that cannot be meant.</summary>
    Label,

    /// <summary>A picture is listed twice.</summary>
    Twice,

    /// <summary>A split has more or fewer pictures, or classes, than it should have.</summary>
    Miscounted,

    /// <summary>A picture cannot be decoded.</summary>
    Unreadable,

    /// <summary>A picture is on no list.</summary>
    Extra,
}

/// <summary>Something wrong with data; the message names file and, where there are lines, line.</summary>
/// <param name="Kind">What kind of thing.</param>
/// <param name="Message">What is wrong, where.</param>
public sealed record DataFault(FaultKind Kind, string Message)
{
    /// <summary>A fault in a line of a file.</summary>
    public static DataFault At(FaultKind kind, string path, long line, string what) => new(kind, string.Create(CultureInfo.InvariantCulture, $"{path}({line}): {what}"));

    /// <summary>Ends opening data at its first fault.</summary>
    /// <exception cref="FusionException">Always.</exception>
    public static void Refuse(DataFault fault) => throw (fault ?? throw new ArgumentNullException(nameof(fault))).ToException();

    /// <summary>As an error with the exit code of data.</summary>
    public FusionException ToException() => new(this.Message, ExitCode.Data);
}

/// <summary>Files that are read whole.</summary>
internal static class DataFile
{
    /// <summary>Largest list that is read; published ones have a few megabytes.</summary>
    public const long Largest = 16L << 20;

    /// <summary>The bytes of a list, without a byte order mark.</summary>
    /// <exception cref="FusionException">It is missing, unreadable or too large.</exception>
    public static byte[] Read(string path)
    {
        try
        {
            using var handle = File.OpenHandle(path);
            var length = RandomAccess.GetLength(handle);
            if (length > Largest)
                throw new FusionException(string.Create(CultureInfo.InvariantCulture, $"{path}: has {length} bytes; no list of pictures has more than {Largest}"), ExitCode.Data);
            var bytes = new byte[length];
            var read = 0;
            for (int count; read < bytes.Length && (count = RandomAccess.Read(handle, bytes.AsSpan(read), read)) > 0;)
                read += count;
            var all = bytes.AsSpan(0, read);
            return [.. all.StartsWith(Encoding.UTF8.Preamble) ? all[Encoding.UTF8.Preamble.Length..] : all];
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new FusionException($"{path}: cannot be read: {error.Message}", ExitCode.Data, error);
        }
    }

    /// <summary>The text of a list.</summary>
    /// <exception cref="FusionException">As <see cref="Read"/>, or it is not UTF-8.</exception>
    public static string Text(string path)
    {
        try
        {
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(Read(path));
        }
        catch (DecoderFallbackException error)
        {
            throw new FusionException($"{path}: is not text in UTF-8: {error.Message}", ExitCode.Data, error);
        }
    }
}
