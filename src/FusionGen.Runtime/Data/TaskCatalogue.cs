namespace FusionGen.Data;

/// <summary>Groups of tasks that published averages are taken over.</summary>
public enum TaskGroup
{
    /// <summary>VTAB-1k, photographs.</summary>
    Natural,

    /// <summary>VTAB-1k, aerial and medical pictures.</summary>
    Specialized,

    /// <summary>VTAB-1k, counts, distances and poses.</summary>
    Structured,

    /// <summary>Fine-grained classes.</summary>
    Fgvc,

    /// <summary>The head-tuning benchmark of DAM-VP.</summary>
    Hta,
}

/// <summary>A benchmark's task: what a folder of it must hold. Counts that nobody states are null and are not checked.</summary>
/// <param name="Name">Name on the command line, the benchmark first.</param>
/// <param name="Group">What it is averaged with.</param>
/// <param name="Title">What tables call it.</param>
/// <param name="Folder">What the community calls its folder.</param>
/// <param name="Classes">Classes.</param>
/// <param name="Train">Training pictures.</param>
/// <param name="Val">Validation pictures.</param>
/// <param name="Test">Test pictures.</param>
/// <param name="Prompts">Prompts a layer of VPT-deep on ViT-B/16; 0 where nothing is published.</param>
public sealed record BenchmarkTask(string Name, TaskGroup Group, string Title, string Folder, int Classes, int? Train, int? Val, int? Test, int Prompts);

/// <summary>What a published method sets from task to task.</summary>
/// <param name="Name">The method.</param>
/// <param name="Key">The spec's key.</param>
/// <param name="Value">Its value for a task.</param>
public sealed record TaskSetting(string Name, string Key, Func<BenchmarkTask, int> Value);

/// <summary>
/// The 34 tasks that prompt tuning is reported on: 19 of VTAB-1k, 5 fine-grained ones, 10 of head tuning (METHOD §4.3). The sizes of VTAB's test splits
/// come to the published total of 388 thousand and their mean to 20.4 thousand. No digests: nobody publishes any of these folders' files.
/// </summary>
public static class TaskCatalogue
{
    private const int Small = 800;
    private const int Held = 200;

    /// <summary>Every task, by benchmark and in the order of published tables.</summary>
    public static IReadOnlyList<BenchmarkTask> All { get; } =
    [
        Vtab("cifar100", TaskGroup.Natural, "CIFAR-100", "cifar", 100, 10_000, 10),
        Vtab("caltech101", TaskGroup.Natural, "Caltech101", "caltech101", 102, 6_084, 10),
        Vtab("dtd", TaskGroup.Natural, "DTD", "dtd", 47, 1_880, 10),
        Vtab("flowers102", TaskGroup.Natural, "Flowers102", "oxford_flowers102", 102, 6_149, 1),
        Vtab("pets", TaskGroup.Natural, "Pets", "oxford_iiit_pet", 37, 3_669, 1),
        Vtab("svhn", TaskGroup.Natural, "SVHN", "svhn", 10, 26_032, 50),
        Vtab("sun397", TaskGroup.Natural, "Sun397", "sun397", 397, 21_750, 5),
        Vtab("camelyon", TaskGroup.Specialized, "Patch Camelyon", "patch_camelyon", 2, 32_768, 100),
        Vtab("eurosat", TaskGroup.Specialized, "EuroSAT", "eurosat", 10, 5_400, 100),
        Vtab("resisc45", TaskGroup.Specialized, "Resisc45", "resisc45", 45, 6_300, 10),
        Vtab("retinopathy", TaskGroup.Specialized, "Retinopathy", "diabetic_retinopathy", 5, 42_670, 1),
        Vtab("clevr-count", TaskGroup.Structured, "Clevr/count", "clevr_count", 8, 15_000, 50),
        Vtab("clevr-distance", TaskGroup.Structured, "Clevr/distance", "clevr_dist", 6, 15_000, 200),
        Vtab("dmlab", TaskGroup.Structured, "DMLab", "dmlab", 6, 22_735, 100),
        Vtab("kitti", TaskGroup.Structured, "KITTI/distance", "kitti", 4, 711, 50),
        Vtab("dsprites-location", TaskGroup.Structured, "dSprites/location", "dsprites_loc", 16, 73_728, 10),
        Vtab("dsprites-orientation", TaskGroup.Structured, "dSprites/orientation", "dsprites_ori", 16, 73_728, 50),
        Vtab("smallnorb-azimuth", TaskGroup.Structured, "SmallNORB/azimuth", "smallnorb_azi", 18, 12_150, 200),
        Vtab("smallnorb-elevation", TaskGroup.Structured, "SmallNORB/elevation", "smallnorb_ele", 9, 12_150, 200),
        new("fgvc-cub", TaskGroup.Fgvc, "CUB-200-2011", "CUB_200_2011", 200, 5_394, 600, 5_794, 10),
        new("fgvc-nabirds", TaskGroup.Fgvc, "NABirds", "nabirds", 555, 21_536, 2_393, 24_633, 50),
        new("fgvc-flowers", TaskGroup.Fgvc, "Oxford Flowers", "OxfordFlower", 102, 1_020, 1_020, 6_149, 5),
        new("fgvc-dogs", TaskGroup.Fgvc, "Stanford Dogs", "Stanford-dogs", 120, 10_800, 1_200, 8_580, 100),
        new("fgvc-cars", TaskGroup.Fgvc, "Stanford Cars", "Stanford-cars", 196, 7_329, 815, 8_041, 200),
        // Training and validation: the first 80 % of the official training split and the rest. Two training splits of GTSRB are in use.
        new("hta-cifar10", TaskGroup.Hta, "CIFAR-10", "cifar10", 10, 40_000, 10_000, 10_000, 0),
        new("hta-cifar100", TaskGroup.Hta, "CIFAR-100", "cifar100", 100, 40_000, 10_000, 10_000, 0),
        new("hta-dtd", TaskGroup.Hta, "DTD, partition 1", "dtd", 47, 1_880, 1_880, 1_880, 0),
        new("hta-cub", TaskGroup.Hta, "CUB-200-2011", "CUB_200_2011", 200, 5_394, 600, 5_794, 0),
        new("hta-nabirds", TaskGroup.Hta, "NABirds", "nabirds", 555, 21_536, 2_393, 24_633, 0),
        new("hta-dogs", TaskGroup.Hta, "Stanford Dogs", "Stanford-dogs", 120, 10_800, 1_200, 8_580, 0),
        new("hta-flowers", TaskGroup.Hta, "Oxford Flowers", "OxfordFlower", 102, 1_020, 1_020, 6_149, 0),
        new("hta-food101", TaskGroup.Hta, "Food-101", "food-101", 101, 60_600, 15_150, 25_250, 0),
        new("hta-gtsrb", TaskGroup.Hta, "GTSRB", "gtsrb", 43, null, null, 12_630, 0),
        new("hta-svhn", TaskGroup.Hta, "SVHN", "svhn", 10, 58_605, 14_652, 26_032, 0),
    ];

    /// <summary>The tasks that VPT and its successors are compared on: VTAB-1k and the fine-grained ones.</summary>
    public static IReadOnlyList<BenchmarkTask> Compared { get; } = [.. All.Where(task => task.Group != TaskGroup.Hta)];

    /// <summary>What published methods set from task to task, over <see cref="Compared"/>.</summary>
    public static IReadOnlyList<TaskSetting> Settings { get; } = [new("vpt-deep", "prompts.tokens", task => task.Prompts), new("sa2vp", "operators.sa2vp.rank", Sa2vpRank)];

    /// <summary>The tasks of a name: of a benchmark (<c>vtab</c>, <c>fgvc</c>, <c>hta</c>) or one task.</summary>
    /// <exception cref="FusionException">There is none of that name.</exception>
    public static IReadOnlyList<BenchmarkTask> Named(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        var tasks = All.Where(task => task.Name == name || task.Name.StartsWith(name + "-", StringComparison.Ordinal) && !name.Contains('-', StringComparison.Ordinal)).ToList();
        return tasks.Count > 0
            ? tasks
            : throw new FusionException($"no task is called '{name}'; there are vtab, fgvc and hta, or one of {string.Join(", ", All.Select(task => task.Name))}", ExitCode.Spec);
    }

    /// <summary>The VTAB-1k task whose folder has this name, as the community's archive has them; null if none.</summary>
    public static BenchmarkTask? OfVtabFolder(string folder) => All.FirstOrDefault(task => IsVtab(task) && task.Folder == folder);

    /// <summary>Whether a task is one of VTAB-1k.</summary>
    public static bool IsVtab(BenchmarkTask task) => task?.Group is TaskGroup.Natural or TaskGroup.Specialized or TaskGroup.Structured;

    /// <summary>Inner dimensions of SA2VP on ViT-B/16: the tables of its README and the exceptions above them (tommy-xq/SA2VP@870a5a7).</summary>
    private static int Sa2vpRank(BenchmarkTask task) => task.Name switch
    {
        "vtab-svhn" or "vtab-dsprites-orientation" or "fgvc-cub" => 16,
        "fgvc-flowers" => 8,
        "fgvc-nabirds" or "fgvc-dogs" => 32,
        _ => task.Group switch
        {
            TaskGroup.Natural => 8,
            TaskGroup.Specialized => 16,
            TaskGroup.Structured => 32,
            _ => 64,
        },
    };

    private static BenchmarkTask Vtab(string name, TaskGroup group, string title, string folder, int classes, int test, int prompts) =>
        new($"vtab-{name}", group, title, folder, classes, Small, Held, test, prompts);
}
