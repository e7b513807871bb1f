using System.Text.Json;

namespace FusionGen.Weights;

/// <summary>
/// An index of several files that make up one checkpoint, as Hugging Face writes it: <c>weight_map</c> says which tensor is in which file. Total: every
/// tensor that is named must be there and no other may, and files lie in the index's own folder.
/// </summary>
internal sealed class ShardedFile : WeightFile
{
    private const int LargestIndex = 16 << 20;
    private const int MostShards = 1000;
    private const int DeepestNesting = 8;

    private readonly IReadOnlyList<WeightFile> shards;

    private ShardedFile(string path, IReadOnlyList<WeightFile> shards)
        : base(path, $"{shards[0].Format}, {shards.Count} files", [.. shards.SelectMany(shard => shard.Entries.Select(entry => new Shared(shard, entry)))]) => this.shards = shards;

    /// <summary>Opens an index and every file that it names.</summary>
    /// <exception cref="FusionException">The index is damaged or hostile, or does not agree with its files.</exception>
    public static new ShardedFile Open(string path)
    {
        var names = ReadMap(path);
        var shards = new List<WeightFile>();
        try
        {
            foreach (var shard in names.GroupBy(pair => pair.Value, StringComparer.Ordinal).OrderBy(group => group.Key, StringComparer.Ordinal))
            {
                var file = OpenOne(System.IO.Path.Combine(System.IO.Path.GetDirectoryName(path) ?? "", shard.Key));
                shards.Add(file);
                var wanted = shard.Select(pair => pair.Key).ToHashSet(StringComparer.Ordinal);
                if (wanted.FirstOrDefault(name => !file.Has(name)) is { } missing)
                    throw Damaged(path, $"says that tensor {SafeTensorsHeader.Quote(missing)} is in {SafeTensorsHeader.Quote(shard.Key)}, which has none of that name");
                if (file.Entries.FirstOrDefault(entry => !wanted.Contains(entry.Name)) is { } extra)
                    throw Damaged(path, $"does not name tensor {SafeTensorsHeader.Quote(extra.Name)} of {SafeTensorsHeader.Quote(shard.Key)}");
            }
            return new ShardedFile(path, shards);
        }
        catch
        {
            shards.ForEach(shard => shard.Dispose());
            throw;
        }
    }

    /// <inheritdoc/>
    private protected override void Dispose(bool disposing)
    {
        foreach (var shard in this.shards)
            shard.Dispose();
    }

    /// <inheritdoc/>
    private protected override void ReadBytes(WeightEntry entry, long from, Span<byte> target)
    {
        var shared = (Shared)entry;
        ReadBytesOf(shared.File, shared.Entry, from, target);
    }

    private static FusionException Damaged(string path, string what, Exception? cause = null) => new($"{path}: {what}", ExitCode.Data, cause);

    private static Dictionary<string, string> ReadMap(string path)
    {
        using var file = MappedFile.Open(path);
        if (file.Length > LargestIndex)
            throw Damaged(path, "too large for an index of weights");
        try
        {
            var reader = new Utf8JsonReader(file.Bytes(0, (int)file.Length), new JsonReaderOptions { MaxDepth = DeepestNesting });
            Dictionary<string, string>? map = null;
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
                throw Damaged(path, "no index of weights: not a JSON object");
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var isMap = reader.ValueTextEquals("weight_map"u8);
                reader.Read();
                if (!isMap)
                    reader.Skip();
                else
                    map = map is null ? ReadMap(path, ref reader) : throw Damaged(path, "has its weight_map twice");
            }
            while (reader.Read())
            {
            }
            return map is { Count: > 0 } ? map : throw Damaged(path, "no index of weights: it has no weight_map");
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw Damaged(path, $"no valid index of weights: {error.Message}", error);
        }
    }

    private static Dictionary<string, string> ReadMap(string path, ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Damaged(path, "its weight_map is no object");
        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        var files = new HashSet<string>(StringComparer.Ordinal);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
                throw Damaged(path, $"does not say in which file tensor {SafeTensorsHeader.Quote(name)} is");
            var shard = reader.GetString()!;
            if (shard.Length is 0 or > 255 || shard.StartsWith('.') || shard.Any(c => c is '/' or '\\' or ':' || char.IsControl(c)))
                throw Damaged(path, $"names the file {SafeTensorsHeader.Quote(shard)}; files of an index lie in its own folder");
            files.Add(shard);
            if (files.Count > MostShards)
                throw Damaged(path, $"names more than {MostShards} files");
            if (!map.TryAdd(name, shard))
                throw Damaged(path, $"names tensor {SafeTensorsHeader.Quote(name)} twice");
        }
        return map;
    }

    private sealed record Shared(WeightFile File, WeightEntry Entry) : WeightEntry(Entry);
}
