namespace FusionGen.Data;

/// <summary>A folder that the paths of a list lie in: they are relative to it and do not leave it, by dots or by links.</summary>
internal sealed class PictureFolder
{
    // As many links in a row as Linux follows.
    private const int MostLinks = 40;
    private const int LongestPath = 4096;

    private readonly string root;
    private readonly string inside;
    private readonly Dictionary<string, string?> folders = new(StringComparer.Ordinal);

    public PictureFolder(string path)
    {
        this.root = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        this.inside = this.root + Path.DirectorySeparatorChar;
    }

    /// <summary>The file of a path in a list; null where it is refused, which was reported then.</summary>
    /// <param name="relative">As the list has it.</param>
    /// <param name="list">The list.</param>
    /// <param name="line">The line, from 1.</param>
    /// <param name="report">Hears why it is refused.</param>
    public string? Find(string relative, string list, long line, Action<DataFault> report)
    {
        var (kind, why) = this.Judge(relative, out var full);
        if (why is not null)
            report(DataFault.At(kind, list, line, $"'{(relative.Length > 200 ? relative[..200] + "…" : relative)}' {why}"));
        return why is null ? full : null;
    }

    /// <summary>Whether the file of a path is there; says nothing of whether it may be read.</summary>
    public bool Has(string relative) => relative.Length is > 0 and <= LongestPath && !relative.Contains('\0', StringComparison.Ordinal) && File.Exists(Path.Combine(this.root, relative));

    private (FaultKind Kind, string? Why) Judge(string relative, out string full)
    {
        full = "";
        if (relative.Length is 0 or > LongestPath || relative.Contains('\0', StringComparison.Ordinal))
            return (FaultKind.Malformed, "is no path");
        if (Path.IsPathRooted(relative))
            return (FaultKind.Escapes, "is absolute; paths are relative to the folder");
        full = Path.GetFullPath(relative, this.root);
        if (!full.StartsWith(this.inside, StringComparison.Ordinal))
            return (FaultKind.Escapes, "leaves the folder");
        if (!File.Exists(full))
            return (FaultKind.Missing, "does not exist");
        return this.Real(full, MostLinks) is null ? (FaultKind.Escapes, "leads out of the folder by a link") : (default, null);
    }

    /// <summary>A path without links; null where one leads out.</summary>
    private string? Real(string path, int links)
    {
        if (path == this.root)
            return path;
        if (links == 0 || !path.StartsWith(this.inside, StringComparison.Ordinal) || this.RealFolder(Path.GetDirectoryName(path)!, links) is not { } parent)
            return null;
        var own = Path.Combine(parent, Path.GetFileName(path));
        return new FileInfo(own).LinkTarget is { } target ? this.Real(Path.GetFullPath(target, parent), links - 1) : own;
    }

    private string? RealFolder(string path, int links)
    {
        if (!this.folders.TryGetValue(path, out var real))
            this.folders.Add(path, real = this.Real(path, links));
        return real;
    }
}
