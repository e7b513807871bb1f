using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using FusionGen.Checkpoints;

namespace FusionGen.Reporting;

/// <summary>
/// The files of a run. Every write replaces a file whole, from the history that the checkpoint holds too,
/// so that an interrupted run leaves no half line and a resumed one no double line.
/// </summary>
public static class RunFolder
{
    private const string MetricsFile = "metrics.jsonl";

    /// <summary>Writes a search's lines of <c>metrics.jsonl</c>, and <c>alpha.csv</c>.</summary>
    public static void WriteSearch(string folder, IReadOnlyList<LayerCandidates> layers, IReadOnlyList<SearchEpoch> history)
    {
        ArgumentNullException.ThrowIfNull(layers);
        ArgumentNullException.ThrowIfNull(history);
        ReplacePhase(folder, "search", history.Select(epoch => JsonSerializer.Serialize(epoch, Json.Default.SearchEpoch)));
        var csv = new StringBuilder("epoch,layer,operator,weight,log_weight\n");
        foreach (var epoch in history)
        {
            for (var layer = 0; layer < layers.Count; layer++)
            {
                for (var i = 0; i < epoch.Weights[layer].Count; i++)
                    csv.Append(CultureInfo.InvariantCulture, $"{epoch.Epoch},{layer},{layers[layer].Names[i]},{epoch.Weights[layer][i]:R},{epoch.LogWeights[layer][i]:R}\n");
            }
        }
        AtomicFile.WriteText(Path.Combine(folder, "alpha.csv"), csv.ToString());
    }

    /// <summary>Writes <c>perturb.csv</c>: what the supernet did without each candidate, in the order in which layers were fixed.</summary>
    public static void WritePerturbation(string folder, IReadOnlyList<LayerCandidates> layers, IReadOnlyList<PerturbedLayer> fixedLayers)
    {
        ArgumentNullException.ThrowIfNull(layers);
        ArgumentNullException.ThrowIfNull(fixedLayers);
        var csv = new StringBuilder("layer,operator,top1_without,loss_without,stays\n");
        foreach (var layer in fixedLayers)
        {
            for (var i = 0; i < layer.Top1.Count; i++)
                csv.Append(CultureInfo.InvariantCulture, $"{layer.Layer},{layers[layer.Layer].Names[i]},{layer.Top1[i]:R},{layer.Loss[i]:R},{(i == layer.Choice ? 1 : 0)}\n");
        }
        AtomicFile.WriteText(Path.Combine(folder, "perturb.csv"), csv.ToString());
    }

    /// <summary>Writes a training's lines of <c>metrics.jsonl</c>.</summary>
    public static void WriteTraining(string folder, IReadOnlyList<TrainEpoch> history)
    {
        ArgumentNullException.ThrowIfNull(history);
        ReplacePhase(folder, "train", history.Select(epoch => JsonSerializer.Serialize(epoch, Json.Default.TrainEpoch)));
    }

    /// <summary>Reads back what <see cref="WriteSearch"/> and <see cref="WriteTraining"/> wrote; empty where a phase did not run.</summary>
    /// <exception cref="FusionException">A line is damaged.</exception>
    public static (IReadOnlyList<SearchEpoch> Search, IReadOnlyList<TrainEpoch> Training) ReadMetrics(string folder)
    {
        var (search, training) = (new List<SearchEpoch>(), new List<TrainEpoch>());
        foreach (var line in Lines(folder))
        {
            try
            {
                if (IsOfPhase(line, "search"))
                    search.Add(JsonSerializer.Deserialize(line, Json.Default.SearchEpoch)!);
                else
                    training.Add(JsonSerializer.Deserialize(line, Json.Default.TrainEpoch)!);
            }
            catch (JsonException error)
            {
                throw new FusionException($"{Path.Combine(folder, MetricsFile)}: a line is not valid: {error.Message}", ExitCode.Data, error);
            }
        }
        return (search, training);
    }

    /// <summary>Writes <c>summary.csv</c>: a line of names, a line of values, so that runs can be stacked.</summary>
    public static void WriteSummary(string folder, IReadOnlyList<KeyValuePair<string, string>> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        AtomicFile.WriteText(
            Path.Combine(folder, "summary.csv"),
            $"{string.Join(',', values.Select(pair => Cell(pair.Key)))}\n{string.Join(',', values.Select(pair => Cell(pair.Value)))}\n");
    }

    /// <summary>Reads back what <see cref="WriteSummary"/> wrote; empty where there is none.</summary>
    /// <exception cref="FusionException">It is damaged.</exception>
    public static IReadOnlyList<KeyValuePair<string, string>> ReadSummary(string folder)
    {
        var path = Path.Combine(folder, "summary.csv");
        if (!File.Exists(path))
            return [];
        var cells = Cells(File.ReadAllText(path));
        var columns = cells.Count / 2;
        return cells.Count % 2 == 0
            ? [.. Enumerable.Range(0, columns).Select(i => new KeyValuePair<string, string>(cells[i], cells[columns + i]))]
            : throw new FusionException($"{path}: its two lines have different numbers of values", ExitCode.Data);
    }

    /// <summary>Writes <c>env.json</c>: what the run ran on, and what the caller adds.</summary>
    public static void WriteEnvironment(string folder, IEnumerable<KeyValuePair<string, string>> more)
    {
        var values = new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["fusiongen"] = typeof(RunFolder).Assembly.GetName().Version?.ToString(3) ?? "",
            ["runtime"] = RuntimeInformation.FrameworkDescription,
            ["system"] = RuntimeInformation.OSDescription,
            ["architecture"] = RuntimeInformation.ProcessArchitecture.ToString(),
            ["processors"] = Environment.ProcessorCount.ToString(CultureInfo.InvariantCulture),
            ["started"] = DateTimeOffset.UtcNow.ToString("O", CultureInfo.InvariantCulture),
        };
        foreach (var (key, value) in more)
            values[key] = value;
        AtomicFile.WriteText(Path.Combine(folder, "env.json"), JsonSerializer.Serialize(values, Json.Indented.DictionaryStringString) + "\n");
    }

    /// <summary>Writes <c>spec.lock.yaml</c>: the spec as the run used it, byte for byte.</summary>
    public static void WriteSpec(string folder, string text) => AtomicFile.WriteText(Path.Combine(folder, "spec.lock.yaml"), text);

    private static void ReplacePhase(string folder, string phase, IEnumerable<string> lines)
    {
        var others = Lines(folder).Where(line => !IsOfPhase(line, phase));
        // The search comes first, whichever of the two was written last.
        var ordered = phase == "search" ? lines.Concat(others) : others.Concat(lines);
        AtomicFile.WriteText(Path.Combine(folder, MetricsFile), string.Concat(ordered.Select(line => line + "\n")));
    }

    private static string[] Lines(string folder)
    {
        var path = Path.Combine(folder, MetricsFile);
        return File.Exists(path) ? File.ReadAllLines(path) : [];
    }

    private static bool IsOfPhase(string line, string phase) => line.StartsWith($"{{\"phase\":\"{phase}\"", StringComparison.Ordinal);

    /// <summary>The cells of all lines; quoted ones may hold commas, line breaks and doubled quotes.</summary>
    private static List<string> Cells(string text)
    {
        var (cells, cell, quoted) = (new List<string>(), new StringBuilder(), false);
        for (var i = 0; i < text.Length; i++)
        {
            var isQuote = text[i] == '"';
            if (isQuote && quoted && i + 1 < text.Length && text[i + 1] == '"')
            {
                cell.Append('"');
                i++;
            }
            else if (isQuote)
            {
                quoted = !quoted;
            }
            else if (!quoted && (text[i] is ',' or '\n'))
            {
                cells.Add(cell.ToString());
                cell.Clear();
            }
            else
            {
                cell.Append(text[i]);
            }
        }
        return cells;
    }

    private static string Cell(string text) =>
        text.AsSpan().ContainsAny(",\"\n\r") ? $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : text;
}
