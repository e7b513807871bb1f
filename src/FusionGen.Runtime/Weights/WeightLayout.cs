using FusionGen.Weights.Layouts;

namespace FusionGen.Weights;

/// <summary>How a publisher names and shapes the tensors of a backbone. Ours are timm's; a layout says where each of them is in a file of its kind.</summary>
public abstract class WeightLayout
{
    /// <summary>In the order in which they are looked for: whose names are the more telling come first.</summary>
    private static readonly (string Name, Func<WeightFile, bool, WeightLayout?> Find)[] All =
    [
        ("google", GoogleLayout.Find),
        ("huggingface", HuggingFaceLayout.Find),
        ("vapt", (file, _) => PromptTunedLayout.Find(file, "vapt")),
        ("e2vpt", (file, _) => PromptTunedLayout.Find(file, "e2vpt")),
        ("vpt", (file, _) => PromptTunedLayout.Find(file, "vpt")),
        ("pfd", (file, _) => TimmLayout.Find(file, "pfd")),
        ("moco-v3", (file, _) => TimmLayout.Find(file, "moco-v3")),
        ("moco-v3-momentum", (file, byName) => byName ? TimmLayout.Find(file, "moco-v3-momentum") : null),
        ("mae", (file, byName) => byName || TimmLayout.HasDecoder(file) ? TimmLayout.Find(file, "mae") : null),
        ("timm", (_, _) => new TimmLayout("timm", "")),
    ];

    /// <summary>Every layout.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. All.Select(layout => layout.Name)];

    /// <summary>Its name.</summary>
    public abstract string Name { get; }

    /// <summary>The layout of a file: the named one, or the one that its tensors' names give away; timm's where none does.</summary>
    /// <exception cref="FusionException">There is no layout of that name, or the file is not in it.</exception>
    public static WeightLayout Of(WeightFile file, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(file);
        if (name is null)
            return All.Select(layout => layout.Find(file, false)).First(layout => layout is not null)!;
        var (_, find) = All.FirstOrDefault(layout => layout.Name == name);
        if (find is null)
            throw new FusionException($"there is no layout '{name}' of weights; known are {string.Join(", ", Names)}", ExitCode.Spec);
        return find(file, true) ?? throw new FusionException(
            $"{file.Path}: is not in layout {name}; its tensors are named {string.Join(", ", file.Entries.Take(5).Select(entry => SafeTensorsHeader.Quote(entry.Name)))}…", ExitCode.Data);
    }

    /// <summary>Where a tensor of timm's name is: the parts that make it up, one below the other; none where the layout knows no such tensor.</summary>
    internal abstract IReadOnlyList<WeightSource> Sources(string parameter);

    /// <summary>What all elements of a tensor are that the layout's files do not have; null where they must have it.</summary>
    internal virtual float? Constant(string parameter) => null;

    /// <summary>Why a tensor of a file is no part of a backbone; null where it should be one.</summary>
    internal abstract string? Drops(string name);
}
