namespace FusionGen.Cli.Runs;

/// <summary>Keeps numbers of different protocols apart (METHOD §7.1).</summary>
internal static class Protocols
{
    /// <summary>Refuses runs of different recipes in one table; what a run changes of its recipe stands beside its number instead.</summary>
    /// <param name="runs">Runs, and their protocols as <c>RecipeCatalogue</c> puts them into words.</param>
    /// <exception cref="FusionException">There are two recipes.</exception>
    public static void MustAgree(IEnumerable<(string Run, string Protocol)> runs)
    {
        var recipes = runs.GroupBy(run => run.Protocol.Split(' ')[0], run => run.Run, StringComparer.Ordinal).ToList();
        if (recipes.Count > 1)
            throw new FusionException($"these runs follow different recipes, so their numbers cannot stand in one table: {string.Join("; ", recipes.Select(recipe => $"{recipe.Key}: {string.Join(", ", recipe)}"))}", ExitCode.Spec);
    }
}
