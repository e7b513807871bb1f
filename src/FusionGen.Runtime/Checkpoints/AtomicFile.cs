using System.Text;

namespace FusionGen.Checkpoints;

/// <summary>Files that are there whole or not at all: written beside the target, flushed to the disk, renamed over it.</summary>
public static class AtomicFile
{
    /// <summary>Replaces a file by what <paramref name="write"/> writes; the folder is created where it is missing.</summary>
    /// <exception cref="FusionException">The file cannot be written; the old one, if any, is untouched.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(write);
        var target = Path.GetFullPath(path);
        var temporary = $"{target}.{Environment.ProcessId}.{Environment.CurrentManagedThreadId}.tmp";
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            using (var stream = new FileStream(temporary, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 16))
            {
                write(stream);
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, target, overwrite: true);
        }
        catch (Exception error)
        {
            TryDelete(temporary);
            if (error is IOException or UnauthorizedAccessException)
                throw new FusionException($"{path}: cannot be written: {error.Message}", ExitCode.Data, error);
            throw;
        }
    }

    /// <summary>Replaces a file by a text: UTF-8 without a byte order mark, exactly as given.</summary>
    /// <exception cref="FusionException">The file cannot be written; the old one, if any, is untouched.</exception>
    public static void WriteText(string path, string text) => Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));

    private static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // The failure that brought us here is the one to report.
        }
    }
}
