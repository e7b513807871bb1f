using System.Globalization;

namespace FusionGen.Compiler;

/// <summary>Culture-free text of numbers.</summary>
internal static class Text
{
    public static string Invariant(long value) => value.ToString(CultureInfo.InvariantCulture);

    public static string Invariant(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    public static string Percent(double share) => (share * 100).ToString("0.###", CultureInfo.InvariantCulture) + "%";
}
