using System.Collections.Concurrent;
using System.Globalization;

namespace FusionGen.Data;

/// <summary>What a check found.</summary>
/// <param name="Task">The task.</param>
/// <param name="Data">What could be opened; null if nothing.</param>
/// <param name="Faults">What is wrong, in an order that no thread has a say in.</param>
/// <param name="Decoded">Pictures that were decoded.</param>
public sealed record DataFinding(BenchmarkTask Task, ImageDataset? Data, IReadOnlyList<DataFault> Faults, int Decoded);

/// <summary>Holds a user's copy of a benchmark's task against the catalogue.</summary>
public static class DataCheck
{
    /// <summary>The source that a path is, going by what lies there and, where that says nothing, by the task.</summary>
    public static string SourceOf(BenchmarkTask task, string path)
    {
        ArgumentNullException.ThrowIfNull(task);
        ArgumentNullException.ThrowIfNull(path);
        var folder = path.Split('#')[0];
        return path.EndsWith(".csv", StringComparison.OrdinalIgnoreCase) ? $"csv:{path}"
            : File.Exists(Path.Combine(folder, "train.json")) ? $"fgvc:{path}"
            : File.Exists(Path.Combine(folder, "dataset_info.json")) || path.Contains('#', StringComparison.Ordinal) ? $"tfds:{path}"
            : Directory.Exists(Path.Combine(folder, "train")) ? $"folder:{path}"
            : TaskCatalogue.IsVtab(task) ? $"vtab:{path}" : $"fgvc:{path}";
    }

    /// <summary>Checks lists, paths, labels and counts; and every picture, if asked to.</summary>
    /// <param name="task">What it should be.</param>
    /// <param name="source">The data.</param>
    /// <param name="decode">Whether to decode every picture.</param>
    /// <param name="progress">Hears how many pictures of how many were decoded.</param>
    /// <param name="cancellation">Stops between pictures.</param>
    public static DataFinding Run(BenchmarkTask task, string source, bool decode = false, Action<int, int>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(task);
        var faults = new List<DataFault>();
        ImageDataset data;
        try
        {
            data = DataSource.Open(source, seed: 0, validationShare: 0.1, faults.Add);
        }
        catch (FusionException error) when (error.Code == ExitCode.Data)
        {
            faults.Add(new DataFault(FaultKind.Malformed, error.Message));
            return new DataFinding(task, null, faults, 0);
        }
        Count(task, data, faults);
        var splits = new[] { data.Train, data.Val, data.Test, data.TrainVal };
        Extra(source, splits, faults);
        return new DataFinding(task, data, faults, decode ? Decode(splits, faults, progress, cancellation) : 0);
    }

    private static void Count(BenchmarkTask task, ImageDataset data, List<DataFault> faults)
    {
        Expect("classes", task.Classes, data.Classes);
        Expect("test pictures", task.Test, data.Test.Count);
        if (data.IsValHeldOut)
        {
            Expect("training and validation pictures", task.Train + task.Val, data.TrainVal.Count);
            return;
        }
        Expect("training pictures", task.Train, data.Train.Count);
        Expect("validation pictures", task.Val, data.Val.Count);
        Expect("training and validation pictures", task.Train + task.Val, data.TrainVal.Count);

        void Expect(string what, int? wanted, int found)
        {
            if (wanted is { } number && number != found)
                faults.Add(new DataFault(FaultKind.Miscounted, string.Create(CultureInfo.InvariantCulture, $"{data.Name}: {found} {what}; {task.Title} has {number}")));
        }
    }

    /// <summary>Pictures in the folder of lists that are on none of them.</summary>
    private static void Extra(string source, Split[] splits, List<DataFault> faults)
    {
        var colon = source.IndexOf(':', StringComparison.Ordinal);
        if (source[..colon] is not ("vtab" or "fgvc"))
            return;
        var listed = splits.SelectMany(split => Enumerable.Range(0, split.Count).Select(split.Name)).ToHashSet(StringComparer.Ordinal);
        // Links are not followed: they may lead anywhere, and round in circles.
        var there = new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint, IgnoreInaccessible = true };
        faults.AddRange(Directory.EnumerateFiles(Path.GetFullPath(source[(colon + 1)..]), "*", there)
            .Where(path => ImageFile.Extensions.Contains(Path.GetExtension(path).ToLowerInvariant()) && !listed.Contains(path))
            .Order(StringComparer.Ordinal)
            .Select(path => new DataFault(FaultKind.Extra, $"{path}: is on no list")));
    }

    private static int Decode(Split[] splits, List<DataFault> faults, Action<int, int>? progress, CancellationToken cancellation)
    {
        var pictures = splits.SelectMany(split => Enumerable.Range(0, split.Count).Select(i => (Split: split, Index: i))).DistinctBy(at => at.Split.Name(at.Index)).ToList();
        var (unreadable, done) = (new ConcurrentDictionary<int, string>(), 0);
        Parallel.For(0, pictures.Count, new ParallelOptions { CancellationToken = cancellation }, i =>
        {
            try
            {
                pictures[i].Split.Read(pictures[i].Index);
            }
            catch (FusionException error)
            {
                unreadable[i] = error.Message;
            }
            progress?.Invoke(Interlocked.Increment(ref done), pictures.Count);
        });
        faults.AddRange(unreadable.OrderBy(pair => pair.Key).Select(pair => new DataFault(FaultKind.Unreadable, pair.Value)));
        return pictures.Count;
    }
}
