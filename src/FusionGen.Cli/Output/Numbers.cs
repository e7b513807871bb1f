using System.Globalization;

namespace FusionGen.Cli.Output;

/// <summary>Numbers as people read them; invariant culture.</summary>
internal static class Numbers
{
    /// <summary>1234567 as 1,234,567.</summary>
    public static string Text(long value) => value.ToString("#,0", CultureInfo.InvariantCulture);

    /// <summary>The shortest text of a number.</summary>
    public static string Text(double value) => value.ToString("0.####", CultureInfo.InvariantCulture);

    /// <summary>With a sign, 0 without.</summary>
    public static string Signed(long value) => value > 0 ? "+" + Text(value) : Text(value);

    /// <summary>A share in percent: 0.75 %.</summary>
    public static string Percent(double share) => (100 * share).ToString(share is < 0.1 and > 0 ? "0.00#" : "0.0", CultureInfo.InvariantCulture) + " %";

    /// <summary>Mean, and its standard deviation over several runs, in percent.</summary>
    public static string PercentOf(IReadOnlyList<double> shares)
    {
        var mean = shares.Average();
        if (shares.Count == 1)
            return Percent(mean);
        return string.Create(CultureInfo.InvariantCulture, $"{100 * mean:0.0} ± {100 * Deviation(shares):0.0} %");
    }

    /// <summary>The standard deviation of a sample; 0 of a single value.</summary>
    public static double Deviation(IReadOnlyList<double> values)
    {
        var mean = values.Average();
        return Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / Math.Max(1, values.Count - 1));
    }

    /// <summary>Bytes in binary units.</summary>
    public static string Bytes(long bytes)
    {
        var (value, unit) = bytes >= 1L << 30 ? (bytes / (double)(1L << 30), "GiB") : bytes >= 1L << 20 ? (bytes / (double)(1L << 20), "MiB") : (bytes / 1024.0, "KiB");
        return string.Create(CultureInfo.InvariantCulture, $"{value:0.##} {unit}");
    }

    /// <summary>Seconds, or minutes and seconds.</summary>
    public static string Duration(double seconds) => seconds < 100
        ? string.Create(CultureInfo.InvariantCulture, $"{seconds:0.0} s")
        : string.Create(CultureInfo.InvariantCulture, $"{(int)seconds / 60}:{(int)seconds % 60:00} min");
}
