using System.Globalization;
using System.Text;
using FusionGen.Checkpoints;

namespace FusionGen.Reporting;

/// <summary><c>report.html</c>: one file without scripts or links, from what is in the run folder.</summary>
public static class HtmlReport
{
    private const string Style = """
        body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff; }
        @media (prefers-color-scheme: dark) { body { color: #ddd; background: #16181c; } }
        table { border-collapse: collapse; } th, td { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }
        figure { display: inline-block; margin: 0 1rem 1rem 0; overflow-x: auto; max-width: 100%; } h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
        """;

    /// <summary>Writes the report.</summary>
    /// <param name="folder">The run folder.</param>
    /// <param name="title">Usually the model's name.</param>
    /// <param name="summary">As in <c>summary.csv</c>.</param>
    /// <param name="layers">Candidates of the searched layers; empty if nothing was searched.</param>
    public static void Write(string folder, string title, IReadOnlyList<KeyValuePair<string, string>> summary, IReadOnlyList<LayerCandidates> layers)
    {
        ArgumentNullException.ThrowIfNull(summary);
        ArgumentNullException.ThrowIfNull(layers);
        var (search, training) = RunFolder.ReadMetrics(folder);
        var html = Page(title).Append("<table>\n");
        foreach (var (name, value) in summary)
            html.Append($"<tr><th>{Svg.Escape(name)}</th><td>{Svg.Escape(value)}</td></tr>\n");
        html.Append("</table>\n");
        if (Compared(summary) is { Count: > 1 } bars)
            Figure(html, Svg.Bars("Accuracy", bars));
        if (search.Count > 0 && layers.Count == search[^1].Weights.Count)
            AppendSearch(html, search, layers);
        if (training.Count > 0)
            AppendTraining(html, training);
        Write(folder, html);
    }

    /// <summary>Writes a report of networks side by side.</summary>
    /// <param name="folder">Where to.</param>
    /// <param name="title">What is compared.</param>
    /// <param name="columns">Names of the columns.</param>
    /// <param name="rows">Their cells.</param>
    /// <param name="bars">The accuracy of each.</param>
    public static void WriteComparison(string folder, string title, IReadOnlyList<string> columns, IReadOnlyList<IReadOnlyList<string>> rows, IReadOnlyList<Bar> bars)
    {
        ArgumentNullException.ThrowIfNull(columns);
        ArgumentNullException.ThrowIfNull(rows);
        var html = Page(title).Append("<table>\n<tr>");
        foreach (var column in columns)
            html.Append($"<th>{Svg.Escape(column)}</th>");
        html.Append("</tr>\n");
        foreach (var row in rows)
            html.Append($"<tr>{string.Concat(row.Select(cell => $"<td>{Svg.Escape(cell)}</td>"))}</tr>\n");
        html.Append("</table>\n");
        Figure(html, Svg.Bars("Accuracy", bars));
        Write(folder, html);
    }

    private static StringBuilder Page(string title) => new(
        $"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{Svg.Escape(title)}</title>\n<style>\n{Style}\n</style></head><body>\n<h1>{Svg.Escape(title)}</h1>\n");

    private static void Write(string folder, StringBuilder html) => AtomicFile.WriteText(Path.Combine(folder, "report.html"), html.Append("</body></html>\n").ToString());

    /// <summary>What a summary says of the network and of what it was compared with: accuracies, as <c>0.41</c> or <c>0.41 ± 0.02</c>.</summary>
    private static List<Bar> Compared(IReadOnlyList<KeyValuePair<string, string>> summary)
    {
        const string prefix = "top1 of ";
        var bars = new List<Bar>();
        foreach (var (name, value) in summary.Where(pair => pair.Key.StartsWith(prefix, StringComparison.Ordinal)))
        {
            var parts = Array.ConvertAll(value.Split(" ± "), part => double.TryParse(part, CultureInfo.InvariantCulture, out var number) ? number : double.NaN);
            if (parts.All(double.IsFinite))
                bars.Add(new Bar(name[prefix.Length..], parts[0], parts.Length > 1 ? parts[1] : 0));
        }
        return bars;
    }

    private static void AppendSearch(StringBuilder html, IReadOnlyList<SearchEpoch> search, IReadOnlyList<LayerCandidates> layers)
    {
        var operators = layers.SelectMany(layer => layer.Names).Distinct(StringComparer.Ordinal).ToList();
        html.Append("<h2>Search</h2>\n");
        foreach (var epoch in search.Where(epoch => epoch.Alarms is not null))
            html.Append($"<p>Alarm after epoch {(epoch.Epoch + 1).ToString(CultureInfo.InvariantCulture)}: {Svg.Escape(string.Join("; ", epoch.Alarms!))}</p>\n");
        Figure(html, Svg.HeatMap(
            "π at the end", [.. layers.Select((_, layer) => $"layer {layer}")], operators,
            [.. layers.Select((layer, l) => operators.Select(name => Share(layer, search[^1].Weights[l], name)).ToList())]));
        Figure(html, Curves("Loss", search, ("training", e => e.TrainLoss), ("validation, mixture", e => e.SoftLoss), ("validation, argmax", e => e.HardLoss)));
        Figure(html, Curves("Validation accuracy", search, ("mixture", e => e.SoftTop1), ("argmax", e => e.HardTop1)));
        Figure(html, Curves("Entropy of π, nats", search, ("mean over layers", e => e.Entropy)));
        html.Append("<h2>π over the epochs</h2>\n");
        var columns = search.Select((epoch, i) => i == 0 || i == search.Count - 1 ? $"{epoch.Epoch}" : "").ToList();
        for (var layer = 0; layer < layers.Count; layer++)
        {
            if (search[^1].Weights[layer].Count > 0)
            {
                var l = layer;
                Figure(html, Svg.HeatMap(
                    $"layer {layer}", layers[layer].Names, columns,
                    [.. layers[layer].Names.Select((_, i) => search.Select(epoch => epoch.Weights[l][i]).ToList())],
                    cellWidth: Math.Clamp(420 / search.Count, 3, 24), cellHeight: 14));
            }
        }
    }

    private static void AppendTraining(StringBuilder html, IReadOnlyList<TrainEpoch> training)
    {
        html.Append("<h2>Training</h2>\n");
        Figure(html, Curves("Loss", training, ("training", e => e.TrainLoss), ("validation", e => e.ValidationLoss)));
        Figure(html, Curves("Accuracy", training, ("training", e => e.TrainTop1), ("validation", e => e.ValidationTop1)));
    }

    /// <summary>A layer without a choice uses its only candidate wholly; what is no candidate of it has no cell.</summary>
    private static double Share(LayerCandidates layer, IReadOnlyList<double> weights, string name)
    {
        var index = layer.Names.ToList().IndexOf(name);
        return index < 0 ? double.NaN : weights.Count == 0 ? 1 : weights[index];
    }

    private static string Curves<T>(string title, IReadOnlyList<T> history, params (string Name, Func<T, double?> Value)[] series) =>
        Svg.Lines(title, "epoch", [.. series.Select(line => new Series(line.Name, [.. history.Select((epoch, i) => ((double)i, line.Value(epoch))).Where(point => point.Item2 is not null).Select(point => (point.Item1, point.Item2!.Value))]))]);

    private static void Figure(StringBuilder html, string svg) => html.Append("<figure>").Append(svg).Append("</figure>\n");
}
