using System.Globalization;
using FusionGen.Cli.Compilation;
using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Spec;
using FusionGen.Data;

namespace FusionGen.Cli.Output;

/// <summary>
/// Tuned parameters of a spec over the tasks of published tables, counted on the graph of each task's own spec. Papers average in two ways, over the tasks
/// and over the four groups, so both are given (METHOD §2.2, §7.8).
/// </summary>
internal static class TaskTable
{
    private const string ClassesAlone = "classes";

    /// <summary>What may be set from task to task.</summary>
    public static IReadOnlyList<string> Choices { get; } = [ClassesAlone, .. TaskCatalogue.Settings.Select(setting => setting.Name)];

    /// <summary>Writes the table.</summary>
    /// <param name="terminal">Where to.</param>
    /// <param name="file">The spec, whose classes each task replaces.</param>
    /// <param name="policy">The policy; null where the spec leaves no choice.</param>
    /// <param name="choice">One of <see cref="Choices"/>.</param>
    public static void Write(Terminal terminal, SpecFile file, PolicyDocument? policy, string choice)
    {
        var chosen = policy ?? Uniform.Only(file.Document) ?? (file.Document.Layers.Any(layer => layer.Candidates.Count > 1)
            ? throw new FusionException($"{file.Path}: some layer has several candidates, so what is tuned depends on the policy; name one with --policy", ExitCode.Spec)
            : null);
        var setting = TaskCatalogue.Settings.FirstOrDefault(setting => setting.Name == choice);
        var rows = TaskCatalogue.Compared.Select(task => Row.Of(file.With(Overrides(task, setting), terminal).Document, chosen, task, setting)).ToList();
        var table = Tables.New("task", "group", ">classes", setting is null ? "" : $">{setting.Key}", ">tuned", ">head", ">tuned share, head included");
        foreach (var row in rows)
            table.Row(row.Task.Title, Name(row.Task.Group), Numbers.Text(row.Task.Classes), row.Setting, Numbers.Text(row.Tuned), Numbers.Text(row.Head), Share(row.Share));
        foreach (var group in rows.GroupBy(row => row.Task.Group))
            table.Row($"mean of {Name(group.Key)}, {group.Count()} tasks", "", "", "", Numbers.Text((long)Math.Round(group.Average(row => row.Tuned))), Numbers.Text((long)Math.Round(group.Average(row => row.Head))), Share(group.Average(row => row.Share)));
        terminal.Heading($"{file.Document.Model}: tuned parameters by task");
        terminal.Table(table);
        terminal.Line($"mean of the four groups: {Share(rows.GroupBy(row => row.Task.Group).Average(group => group.Average(row => row.Share)))}; mean of the {rows.Count} tasks: {Share(rows.Average(row => row.Share))}");
        terminal.Line($"mean of the {rows.Count(row => TaskCatalogue.IsVtab(row.Task))} VTAB-1k tasks without head: {Numbers.Text((long)Math.Round(rows.Where(row => TaskCatalogue.IsVtab(row.Task)).Average(row => row.Tuned)))} parameters");
    }

    private static IReadOnlyList<string> Overrides(BenchmarkTask task, TaskSetting? setting)
    {
        var classes = string.Create(CultureInfo.InvariantCulture, $"classes={task.Classes}");
        return setting is null ? [classes] : [classes, string.Create(CultureInfo.InvariantCulture, $"{setting.Key}={setting.Value(task)}")];
    }

    private static string Name(TaskGroup group) => group == TaskGroup.Fgvc ? "FGVC" : group.ToString();

    private static string Share(double share) => (100 * share).ToString("0.000#", CultureInfo.InvariantCulture) + " %";

    private sealed record Row(BenchmarkTask Task, string Setting, long Tuned, long Head, double Share)
    {
        public static Row Of(SpecDocument spec, PolicyDocument? policy, BenchmarkTask task, TaskSetting? setting)
        {
            var networks = Networks.Build(spec, policy);
            var network = networks.Model ?? networks.Backbone;
            return new Row(
                task,
                setting?.Value(task).ToString(CultureInfo.InvariantCulture) ?? "",
                network.Count(ParameterRole.Tuned),
                network.Count(ParameterRole.Head),
                network.TunedShare);
        }
    }
}
