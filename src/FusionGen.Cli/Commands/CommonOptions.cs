using System.CommandLine;
using System.Globalization;
using FusionGen.Data;

namespace FusionGen.Cli.Commands;

/// <summary>Options and arguments that several commands take, with one name and one meaning.</summary>
internal static class CommonOptions
{
    /// <summary>The spec, as the first argument.</summary>
    public static Argument<string> Spec() => new("spec") { Description = "The spec, x.fusion.yaml." };

    /// <summary>The policy.</summary>
    public static Option<string?> Policy() => new("--policy") { Description = "The policy; the x.policy.yaml beside the spec if not given.", HelpName = "file" };

    /// <summary>Overrides of the spec.</summary>
    public static Option<string[]> Set() => new("--set") { Description = "Override a value of the spec, as in --set search.epochs=3. Repeatable; checked like the spec itself.", HelpName = "key.key=value", DefaultValueFactory = _ => [] };

    /// <summary>The data.</summary>
    public static Option<string?> Data() => new("--data") { Description = $"The data, if not the spec's: {DataSource.Forms}.", HelpName = "source" };

    /// <summary>The backbone's weights.</summary>
    public static Option<string?> Weights() => new("--weights") { Description = "Weights of the backbone, in any format that import-weights reads, if not the spec's; 'none' leaves it at its random start.", HelpName = "file" };

    /// <summary>Where results go.</summary>
    public static Option<string?> Out(string description) => new("--out", "-o") { Description = description, HelpName = "path" };

    /// <summary>The seed.</summary>
    public static Option<long> Seed() => new("--seed") { Description = "Seed of everything random; the same seed gives the same bits on a CPU.", HelpName = "number", DefaultValueFactory = _ => 0 };

    /// <summary>The seeds of runs that are compared.</summary>
    public static Option<string?> Seeds() => new("--seeds", "--seed") { Description = "Seeds, one run for each; those of 'train.seeds', or 0, if not given.", HelpName = "0,1,2" };

    /// <summary>Seeds as given, or as the spec has them.</summary>
    /// <exception cref="FusionException">One is no whole number, or there is none.</exception>
    public static IReadOnlyList<long> SeedsOf(string? text, TrainSettings train)
    {
        if (text is null)
            return train.Seeds.Count > 0 ? [.. train.Seeds.Select(seed => (long)seed)] : [0];
        var seeds = new List<long>();
        foreach (var part in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            seeds.Add(long.TryParse(part, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var seed) ? seed : throw new FusionException($"--seeds: '{part}' is no whole number", ExitCode.Spec));
        return seeds.Count > 0 ? [.. seeds.Distinct()] : throw new FusionException("--seeds: names no seed", ExitCode.Spec);
    }
}
