using System.Globalization;
using System.Net;
using System.Text;

namespace FusionGen.Reporting;

/// <summary>A line of a plot.</summary>
/// <param name="Name">For the legend.</param>
/// <param name="Points">(x, y); points that are not finite break the line.</param>
public sealed record Series(string Name, IReadOnlyList<(double X, double Y)> Points);

/// <summary>A bar of a plot.</summary>
/// <param name="Name">Beside it.</param>
/// <param name="Value">How long it is.</param>
/// <param name="Deviation">Half of its error bar; 0 for none.</param>
public sealed record Bar(string Name, double Value, double Deviation = 0);

/// <summary>Plots as SVG, self-contained and readable on light and dark pages.</summary>
public static class Svg
{
    private const int Margin = 48;
    private const int LegendGap = 18;
    private const double LetterWidth = 6.2;

    private static readonly string[] Palette = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f"];

    /// <summary>The colour of a series or operator by its place: Okabe and Ito's, told apart by colour-blind readers too.</summary>
    public static string Colour(int index) => Palette[index % Palette.Length];

    /// <summary>Lines over a common x.</summary>
    public static string Lines(string title, string xLabel, IReadOnlyList<Series> series, int width = 560, int height = 300)
    {
        ArgumentNullException.ThrowIfNull(series);
        var points = series.SelectMany(line => line.Points).Where(point => double.IsFinite(point.X) && double.IsFinite(point.Y)).ToList();
        var svg = Open(title, width, height);
        if (points.Count == 0)
            return Text(svg, width / 2.0, height / 2.0, "nothing to show", "middle").Append("</svg>").ToString();
        var (left, right) = Range(points.Select(point => point.X));
        var (bottom, top) = Range(points.Select(point => point.Y));
        double X(double x) => Margin + ((x - left) / (right - left) * (width - (2 * Margin)));
        double Y(double y) => height - Margin - ((y - bottom) / (top - bottom) * (height - (2 * Margin)));
        foreach (var tick in Ticks(bottom, top))
        {
            svg.Append(Culture, $"<line x1=\"{Margin}\" x2=\"{width - Margin}\" y1=\"{Y(tick):0.#}\" y2=\"{Y(tick):0.#}\" stroke=\"#8884\"/>");
            Text(svg, Margin - 6, Y(tick) + 4, tick.ToString("0.####", Culture), "end");
        }
        foreach (var tick in Ticks(left, right))
            Text(svg, X(tick), height - Margin + 16, tick.ToString("0.####", Culture), "middle");
        Text(svg, width / 2.0, height - 12, xLabel, "middle");
        var legend = (double)Margin;
        for (var i = 0; i < series.Count; i++)
        {
            Path(svg, series[i], X, Y, Colour(i));
            Text(svg, legend, Margin - 10, series[i].Name, "start", Colour(i));
            legend += LegendGap + (series[i].Name.Length * LetterWidth);
        }
        return svg.Append("</svg>").ToString();
    }

    /// <summary>Bars of shares in [0, 1], one below the other, with error bars.</summary>
    public static string Bars(string title, IReadOnlyList<Bar> bars, int width = 720)
    {
        ArgumentNullException.ThrowIfNull(bars);
        const int height = 22;
        var left = 24 + (LetterWidth * bars.Select(bar => bar.Name.Length).DefaultIfEmpty().Max());
        var right = width - (2.0 * Margin);
        var top = Math.Max(1e-9, bars.Select(bar => bar.Value + bar.Deviation).DefaultIfEmpty().Max());
        double X(double share) => left + (share / top * (right - left));
        var svg = Open(title, width, Margin + (bars.Count * height) + 12);
        for (var i = 0; i < bars.Count; i++)
        {
            var (name, value, deviation) = bars[i];
            var y = Margin + (i * height);
            var middle = y + (height / 2.0);
            Text(svg, left - 6, middle + 4, name, "end");
            svg.Append(Culture, $"<rect x=\"{left:0.#}\" y=\"{y + 3}\" width=\"{X(value) - left:0.#}\" height=\"{height - 6}\" fill=\"{Colour(0)}\"/>");
            if (deviation > 0)
                svg.Append(Culture, $"<path d=\"M{X(value - deviation):0.#} {middle:0.#}H{X(value + deviation):0.#}M{X(value - deviation):0.#} {middle - 4:0.#}v8M{X(value + deviation):0.#} {middle - 4:0.#}v8\" stroke=\"{Colour(1)}\" stroke-width=\"1.6\" fill=\"none\"/>");
            var spread = deviation > 0 ? string.Create(Culture, $" ± {100 * deviation:0.0}") : "";
            Text(svg, X(value + deviation) + 6, middle + 4, string.Create(Culture, $"{100 * value:0.0}{spread} %"), "start");
        }
        return svg.Append("</svg>").ToString();
    }

    /// <summary>A matrix of shares in [0, 1] as shades, with the numbers in the cells where they fit.</summary>
    /// <param name="title">Above it.</param>
    /// <param name="rows">Row labels.</param>
    /// <param name="columns">Column labels; empty strings leave a column unlabelled.</param>
    /// <param name="values">By row, then column; NaN leaves a cell out.</param>
    /// <param name="cellWidth">Pixels.</param>
    /// <param name="cellHeight">Pixels.</param>
    public static string HeatMap(string title, IReadOnlyList<string> rows, IReadOnlyList<string> columns, IReadOnlyList<IReadOnlyList<double>> values, int cellWidth = 46, int cellHeight = 20)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(columns);
        ArgumentNullException.ThrowIfNull(values);
        const int labels = 110;
        var svg = Open(title, labels + (columns.Count * cellWidth) + 12, Margin + (rows.Count * cellHeight) + 28);
        for (var row = 0; row < rows.Count; row++)
        {
            var y = Margin + (row * cellHeight);
            Text(svg, labels - 6, y + (cellHeight / 2.0) + 4, rows[row], "end");
            for (var column = 0; column < columns.Count; column++)
            {
                var value = values[row][column];
                if (!double.IsFinite(value))
                    continue;
                var x = labels + (column * cellWidth);
                svg.Append(Culture, $"<rect x=\"{x}\" y=\"{y}\" width=\"{cellWidth}\" height=\"{cellHeight}\" fill=\"{Shade(value)}\"><title>{Escape(rows[row])}, {Escape(columns[column])}: {value:0.0000}</title></rect>");
                if (cellWidth >= 32)
                    Text(svg, x + (cellWidth / 2.0), y + (cellHeight / 2.0) + 4, value.ToString(".00", Culture), "middle", value > 0.55 ? "#fff" : "#222");
            }
        }
        for (var column = 0; column < columns.Count; column++)
            Text(svg, labels + ((column + 0.5) * cellWidth), Margin + (rows.Count * cellHeight) + 16, columns[column], "middle");
        return svg.Append("</svg>").ToString();
    }

    internal static string Escape(string text) => WebUtility.HtmlEncode(text);

    private static CultureInfo Culture => CultureInfo.InvariantCulture;

    private static StringBuilder Open(string title, int width, int height)
    {
        var svg = new StringBuilder();
        svg.Append(Culture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, sans-serif\" font-size=\"11\">");
        return Text(svg, width / 2.0, 20, title, "middle", "currentColor", " font-size=\"14\" font-weight=\"600\"");
    }

    private static StringBuilder Text(StringBuilder svg, double x, double y, string text, string anchor, string fill = "currentColor", string more = "") =>
        svg.Append(Culture, $"<text x=\"{x:0.#}\" y=\"{y:0.#}\" text-anchor=\"{anchor}\" fill=\"{fill}\"{more}>{Escape(text)}</text>");

    private static void Path(StringBuilder svg, Series series, Func<double, double> x, Func<double, double> y, string colour)
    {
        var path = new StringBuilder();
        var pen = 'M';
        foreach (var (px, py) in series.Points)
        {
            if (!double.IsFinite(px) || !double.IsFinite(py))
            {
                pen = 'M';
                continue;
            }
            path.Append(Culture, $"{pen}{x(px):0.##} {y(py):0.##}");
            pen = 'L';
        }
        svg.Append(Culture, $"<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\"><title>{Escape(series.Name)}</title></path>");
    }

    private static (double Low, double High) Range(IEnumerable<double> values)
    {
        var all = values.ToList();
        var (low, high) = (all.Min(), all.Max());
        return low == high ? (low - 0.5, high + 0.5) : (low, high);
    }

    /// <summary>Round numbers (1, 2 or 5 times a power of ten), about five of them.</summary>
    private static IEnumerable<double> Ticks(double low, double high)
    {
        var rough = (high - low) / 5;
        var power = Math.Pow(10, Math.Floor(Math.Log10(rough)));
        var step = power * (rough / power) switch { < 1.5 => 1, < 3.5 => 2, < 7.5 => 5, _ => 10 };
        for (var i = Math.Ceiling(low / step); i * step <= high * (1 + 1e-12); i++)
            yield return i * step;
    }

    /// <summary>White to dark blue.</summary>
    private static string Shade(double share)
    {
        var t = Math.Clamp(share, 0, 1);
        int Channel(int light, int dark) => (int)Math.Round(light + ((dark - light) * t));
        return string.Create(Culture, $"#{Channel(247, 8):x2}{Channel(251, 48):x2}{Channel(255, 107):x2}");
    }
}
