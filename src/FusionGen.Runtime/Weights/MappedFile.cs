using System.Globalization;
using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;

namespace FusionGen.Weights;

/// <summary>
/// A file mapped into memory. The length is looked up again before every read, because touching a mapping past the end of a file that
/// shrank would end the process; only a file that shrinks during the read itself can still do that.
/// </summary>
internal sealed unsafe class MappedFile : IDisposable
{
    private readonly SafeFileHandle handle;
    private readonly MemoryMappedFile? map;
    private readonly MemoryMappedViewAccessor? view;
    private readonly byte* start;

    private MappedFile(string path, SafeFileHandle handle)
    {
        this.Path = path;
        this.handle = handle;
        this.Length = RandomAccess.GetLength(handle);
        if (this.Length == 0)
            return;
        this.map = MemoryMappedFile.CreateFromFile(handle, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
        this.view = this.map.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        this.view.SafeMemoryMappedViewHandle.AcquirePointer(ref this.start);
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Its length when it was opened.</summary>
    public long Length { get; }

    /// <summary>Maps a file.</summary>
    /// <exception cref="FusionException">It is missing or unreadable.</exception>
    public static MappedFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        SafeFileHandle? handle = null;
        try
        {
            handle = File.OpenHandle(path);
            return new MappedFile(path, handle);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            handle?.Dispose();
            throw new FusionException($"{path}: cannot be read: {error.Message}", ExitCode.Data, error);
        }
    }

    /// <summary>Bytes of the file; valid until it is disposed of.</summary>
    /// <exception cref="FusionException">They are not in the file, or no longer.</exception>
    public ReadOnlySpan<byte> Bytes(long offset, int count)
    {
        if (count == 0)
            return [];
        if (offset < 0 || offset > this.Length - count || offset > RandomAccess.GetLength(this.handle) - count)
            throw new FusionException(string.Create(CultureInfo.InvariantCulture, $"{this.Path}: the file ends before byte {offset + count}"), ExitCode.Data);
        return new ReadOnlySpan<byte>(this.start + offset, count);
    }

    /// <summary>Copies bytes of the file. They are read and not mapped: what is copied anyway need not take this process's memory twice.</summary>
    /// <exception cref="FusionException">They are not in the file, no longer, or cannot be read.</exception>
    public void CopyTo(long offset, Span<byte> target)
    {
        try
        {
            while (!target.IsEmpty)
            {
                var count = offset < 0 ? 0 : RandomAccess.Read(this.handle, target, offset);
                if (count == 0)
                    throw new FusionException(string.Create(CultureInfo.InvariantCulture, $"{this.Path}: the file ends before byte {offset + target.Length}"), ExitCode.Data);
                target = target[count..];
                offset += count;
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new FusionException($"{this.Path}: cannot be read: {error.Message}", ExitCode.Data, error);
        }
    }

    /// <summary>Bytes of the file as a stream; valid until the file is disposed of.</summary>
    /// <exception cref="FusionException">They are not in the file, or no longer.</exception>
    public Stream Stream(long offset, long count)
    {
        if (offset < 0 || count < 0 || offset > this.Length - count || offset > RandomAccess.GetLength(this.handle) - count)
            throw new FusionException(string.Create(CultureInfo.InvariantCulture, $"{this.Path}: the file ends before byte {offset + count}"), ExitCode.Data);
        return count == 0 ? System.IO.Stream.Null : new UnmanagedMemoryStream(this.start + offset, count);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (this.start is not null)
            this.view!.SafeMemoryMappedViewHandle.ReleasePointer();
        this.view?.Dispose();
        this.map?.Dispose();
        this.handle.Dispose();
    }
}
