using System.Globalization;
using FusionGen.Compiler;

namespace FusionGen.Weights;

/// <summary>
/// A total mapping of a file's tensors onto a backbone's: every tensor of the backbone has its sources in its shape, every tensor of the file is used or dropped for
/// a reason. Nothing is read before all of that is known.
/// </summary>
internal sealed class WeightMap
{
    private const int ErrorsShown = 20;
    private const int SuggestionsShown = 20;
    private const string Position = "pos_embed";

    private readonly WeightFile file;
    private readonly WeightLayout layout;
    private readonly PositionRule? rule;
    private readonly string model;
    private readonly List<string> errors = [];
    private readonly HashSet<string> used = new(StringComparer.Ordinal);

    private WeightMap(WeightFile file, WeightLayout layout, PositionRule? rule, string model)
    {
        this.file = file;
        this.layout = layout;
        this.rule = rule;
        this.model = model;
    }

    /// <summary>Tensors of the file that are no part of a backbone, and why.</summary>
    public IReadOnlyList<(string Name, string Reason)> Dropped { get; private set; } = [];

    /// <summary>Whether the position embedding is of another grid than the file's.</summary>
    public (int From, int To)? Resampled { get; private set; }

    /// <summary>Tensors that the layout's files do not have, with the value of all their elements.</summary>
    public IReadOnlyList<(string Name, float Value)> Filled { get; private set; } = [];

    /// <summary>Whether the file has a head of the wanted shape.</summary>
    public bool HasHead { get; private set; }

    /// <summary>Maps a file.</summary>
    /// <param name="file">The file.</param>
    /// <param name="layout">Its layout.</param>
    /// <param name="rule">How to resample a position embedding of another grid; null for not at all.</param>
    /// <param name="model">Whose backbone it is to be, for messages.</param>
    /// <param name="wanted">The backbone's tensors.</param>
    /// <param name="head">The head's.</param>
    /// <exception cref="FusionException">Tensors are missing, too many or of another shape or type; all are listed.</exception>
    public static WeightMap Of(WeightFile file, WeightLayout layout, PositionRule? rule, string model, IReadOnlyList<TensorSpec> wanted, IReadOnlyList<TensorSpec> head)
    {
        var map = new WeightMap(file, layout, rule, model);
        map.Filled = [.. wanted.Select(spec => (spec.Name, Value: layout.Constant(spec.Name))).Where(pair => pair.Value is not null).Select(pair => (pair.Name, pair.Value!.Value))];
        var missing = new List<(TensorSpec Spec, WeightSource Source)>();
        foreach (var spec in wanted.Where(spec => layout.Constant(spec.Name) is null))
            map.Claim(spec, missing);
        foreach (var stack in wanted.SelectMany(spec => layout.Sources(spec.Name)).Where(source => source.Layer is not null && file.Has(source.Name)).GroupBy(source => source.Name, StringComparer.Ordinal))
        {
            if (file.Entry(stack.Key).Shape is [var layers, ..] && layers > stack.Count())
                map.errors.Add(string.Create(CultureInfo.InvariantCulture, $"other shape: {SafeTensorsHeader.Quote(stack.Key)} stacks {layers} layers, {model} has {stack.Count()}"));
        }
        map.HasHead = head.Count > 0 && head.All(spec => map.ShapeOf(layout.Sources(spec.Name))?.SequenceEqual(spec.Shape) == true);
        if (map.HasHead)
            map.used.UnionWith(head.SelectMany(spec => layout.Sources(spec.Name)).Select(source => source.Name));
        var left = file.Entries.Where(entry => !map.used.Contains(entry.Name)).ToList();
        map.Dropped = [.. left.Select(entry => (entry.Name, Reason: layout.Drops(entry.Name))).Where(pair => pair.Reason is not null).Select(pair => (pair.Name, pair.Reason!))];
        var extra = left.Where(entry => layout.Drops(entry.Name) is null).ToList();
        map.Report(missing, extra);
        if (map.errors.Count == 0)
            return map;
        var shown = map.errors.Take(ErrorsShown).ToList();
        if (map.errors.Count > ErrorsShown)
            shown.Add(string.Create(CultureInfo.InvariantCulture, $"… and {map.errors.Count - ErrorsShown} more"));
        throw new FusionException($"{file.Path}: these weights ({file.Format}, layout {layout.Name}) are not of {model}'s backbone:\n  {string.Join("\n  ", shown)}", ExitCode.Data);
    }

    /// <summary>Reads a tensor of the backbone or, where there is one, of the head.</summary>
    public float[] Read(TensorSpec spec)
    {
        var values = new float[spec.Count];
        if (this.layout.Constant(spec.Name) is { } constant)
        {
            Array.Fill(values, constant);
        }
        else if (spec.Name == Position && this.Resampled is var (from, to))
        {
            var width = (int)spec.Shape[2];
            var source = new float[(1 + (from * from)) * width];
            this.Read(spec.Name, source);
            this.rule!.Apply(source, from, values, to, width);
        }
        else
        {
            this.Read(spec.Name, values);
        }
        return values;
    }

    private void Read(string parameter, Span<float> target)
    {
        foreach (var source in this.layout.Sources(parameter))
        {
            var count = (int)source.ShapeOf(this.file.Entry(source.Name))!.Aggregate(1L, (product, size) => product * size);
            source.Read(this.file, target[..count]);
            target = target[count..];
        }
    }

    private void Claim(TensorSpec spec, List<(TensorSpec, WeightSource)> missing)
    {
        var sources = this.layout.Sources(spec.Name);
        if (sources.Count == 0)
            this.errors.Add($"missing: {spec.Name} {Text(spec.Shape)}; layout {this.layout.Name} has none");
        this.used.UnionWith(sources.Select(source => source.Name));
        var absent = sources.Where(source => !this.file.Has(source.Name)).ToList();
        missing.AddRange(absent.Select(source => (spec, source)));
        if (absent.Count > 0 || sources.Count == 0)
            return;
        foreach (var source in sources.Where(source => !this.file.Entry(source.Name).IsFloat))
            this.errors.Add($"other type: {Named(spec, source)} is {this.file.Entry(source.Name).Type}, weights must be floating point");
        if (this.ShapeOf(sources) is not { } shape || !shape.SequenceEqual(spec.Shape))
            this.CompareShapes(spec, sources);
    }

    private void CompareShapes(TensorSpec spec, IReadOnlyList<WeightSource> sources)
    {
        if (spec.Name == Position && this.Grids(spec, sources) is { } grids)
        {
            if (this.rule is not null)
                this.Resampled = grids;
            else
                this.errors.Add(string.Create(CultureInfo.InvariantCulture, $"other shape: {Named(spec, sources[0])} is {Text(this.file.Entry(sources[0].Name).Shape)}, {this.model} wants {Text(spec.Shape)} (made for a grid of {grids.From}×{grids.From} patches, not {grids.To}×{grids.To}: set backbone.image so that the grids agree, or resample it by a published rule with 'fusiongen import-weights --positions {string.Join('|', PositionRule.All.Select(rule => rule.Name))}')"));
            return;
        }
        foreach (var source in sources)
        {
            var entry = this.file.Entry(source.Name);
            if (sources.Count == 1 || source.ShapeOf(entry) is not { } shape || !shape.SequenceEqual(PartOf(spec.Shape, sources.Count)))
                this.errors.Add($"other shape: {Named(spec, source)} is {Text(entry.Shape)}{(source.ShapeOf(entry)?.SequenceEqual(entry.Shape) == true ? "" : $", which gives {(source.ShapeOf(entry) is { } made ? Text(made) : "none")}")}, {this.model} wants {Text(sources.Count == 1 ? spec.Shape : PartOf(spec.Shape, sources.Count))}");
        }
    }

    /// <summary>The grids of the file's position embedding and of ours, where they are all that differs.</summary>
    private (int From, int To)? Grids(TensorSpec spec, IReadOnlyList<WeightSource> sources)
    {
        static int Side(long rows) => (int)Math.Sqrt(Math.Max(0, rows - 1)) is var side && 1 + ((long)side * side) == rows ? side : 0;

        return this.ShapeOf(sources) is [1, var rows, var width] && spec.Shape is [1, var ours, var wide] && width == wide && rows < 1 << 20 && Side(rows) is > 0 and var from && Side(ours) is > 0 and var to && from != to
            ? (from, to)
            : null;
    }

    private static List<long> PartOf(IReadOnlyList<long> shape, int parts) => [shape[0] / parts, .. shape.Skip(1)];

    /// <summary>The shape of sources one below the other; null where one is missing or they do not fit together.</summary>
    private List<long>? ShapeOf(IReadOnlyList<WeightSource> sources)
    {
        var shapes = sources.Select(source => this.file.Has(source.Name) ? source.ShapeOf(this.file.Entry(source.Name)) : null).ToList();
        if (shapes.Count == 0 || shapes.Any(shape => shape is null))
            return null;
        if (shapes is [var only])
            return [.. only!];
        return shapes.All(shape => shape!.Count > 0 && shape.SequenceEqual(shapes[0]!)) ? [shapes.Count * shapes[0]![0], .. shapes[0]!.Skip(1)] : null;
    }

    private void Report(List<(TensorSpec Spec, WeightSource Source)> missing, List<WeightEntry> extra)
    {
        var names = extra.ConvertAll(entry => entry.Name);
        for (var i = 0; i < missing.Count; i++)
        {
            var (spec, source) = missing[i];
            this.errors.Add($"missing: {Named(spec, source)} {Text(spec.Shape)}{this.Hint(spec.Name)}{(i < SuggestionsShown ? Nearest.Suggest(source.Name, names) : "")}");
        }
        this.errors.AddRange(extra.Select(entry => $"not of this backbone: {SafeTensorsHeader.Quote(entry.Name)} {Text(entry.Shape)}"));
    }

    private string Hint(string parameter) => parameter switch
    {
        "fc_norm.weight" or "fc_norm.bias" when this.file.Has("norm.weight") => " (the file was made for the class token: backbone.pool: cls; MAE's, pooled as VPT does, is layout mae)",
        "norm.weight" or "norm.bias" when this.file.Has("fc_norm.weight") => " (the file was made for mean pooling: backbone.pool: mean)",
        _ => "",
    };

    /// <summary>Our name, and the file's where it is another.</summary>
    private static string Named(TensorSpec spec, WeightSource source)
    {
        var layer = source.Layer is { } entry ? string.Create(CultureInfo.InvariantCulture, $"[{entry}]") : "";
        return source.Name == spec.Name ? spec.Name : $"{spec.Name} (here {SafeTensorsHeader.Quote(source.Name)}{layer})";
    }

    private static string Text(IReadOnlyList<long> shape) => $"({string.Join(", ", shape)})";
}
