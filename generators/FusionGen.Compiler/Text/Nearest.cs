namespace FusionGen.Compiler;

/// <summary>Finds the word that was probably meant.</summary>
public static class Nearest
{
    /// <summary>" Did you mean 'x'?", or nothing where no candidate is near.</summary>
    public static string Suggest(string word, IEnumerable<string> candidates) =>
        Of(word, candidates) is { } best ? $" Did you mean '{best}'?" : "";

    /// <summary>The candidate at the least edit distance, if at most a third of the word differs; the first of equals.</summary>
    public static string? Of(string word, IEnumerable<string> candidates)
    {
        if (word.Length > 64)
            return null;
        var best = default(string);
        var least = int.MaxValue;
        var folded = Fold(word);
        foreach (var candidate in candidates)
        {
            var limit = Math.Max(1, Math.Max(word.Length, candidate.Length) / 3);
            // The difference in length is the least the distance can be.
            if (Math.Abs(word.Length - candidate.Length) <= limit && Distance(folded, Fold(candidate)) is var distance && distance <= limit && distance < least)
                (best, least) = (candidate, distance);
        }

        return best ?? ByPart(word, candidates);
    }

    /// <summary>Edits (insert, delete, replace, swap neighbours) between two words: optimal string alignment.</summary>
    public static int Distance(string a, string b)
    {
        var d = new int[a.Length + 1, b.Length + 1];
        for (var i = 0; i <= a.Length; i++)
            d[i, 0] = i;
        for (var j = 0; j <= b.Length; j++)
            d[0, j] = j;
        for (var i = 1; i <= a.Length; i++)
        {
            for (var j = 1; j <= b.Length; j++)
            {
                var cost = a[i - 1] == b[j - 1] ? 0 : 1;
                d[i, j] = Math.Min(Math.Min(d[i - 1, j] + 1, d[i, j - 1] + 1), d[i - 1, j - 1] + cost);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                    d[i, j] = Math.Min(d[i, j], d[i - 2, j - 2] + 1);
            }
        }

        return d[a.Length, b.Length];
    }

    // "cross" for "cross-attention", "learning-rate" shares nothing with "lr" and gets no guess.
    private static string? ByPart(string word, IEnumerable<string> candidates) =>
        word.Length < 3 ? null : candidates.FirstOrDefault(c => c.Length >= 3
            && (c.StartsWith(word, StringComparison.OrdinalIgnoreCase) || word.StartsWith(c, StringComparison.OrdinalIgnoreCase)));

    private static string Fold(string word) => word.ToLowerInvariant().Replace('_', '-');
}
