using FusionGen.Compiler.Problems;
using FusionGen.Compiler.Spec.Yaml;

namespace FusionGen.Compiler.Spec.Schema;

/// <summary>The key <c>backbone</c>: a family with its sizes, or the name of a published network.</summary>
internal sealed class BackboneSchema : Schema<BackboneSpec>
{
    /// <summary>What a backbone is before anything of it is known.</summary>
    public static readonly BackboneSpec Nothing = Blank("");

    private const double MaxWidth = 16384;

    private static readonly Key<BackboneSpec> Image = Whole("image", "Side of the square input in pixels.", 4, 4096, b => b.Image, (b, v) => b with { Image = v });
    private static readonly Key<BackboneSpec> Patch = Whole("patch", "Side of a square patch in pixels.", 1, 256, b => b.Patch, (b, v) => b with { Patch = v });

    private static readonly Key<BackboneSpec, string> Weights = new("weights", "File with the pretrained weights, relative to the spec.",
        new TextSchema(), b => b.Weights, (b, v) => b with { Weights = v });

    private static readonly Key<BackboneSpec, double> Dropout = new("dropout", "How likely training drops a number after the embedding, in an MLP and after it: 0.1 as VPT tunes everything and as SA2VP is trained.",
        new NumberSchema(false, 0, 0.99), b => b.Dropout, (b, v) => b with { Dropout = v }, present: b => b.Dropout > 0);

    private static readonly Key<BackboneSpec, Pooling> Pool = new("pool", "What the head reads: the class token, the mean over the patches, or that over patches and prompts.",
        new ChoiceSchema<Pooling>("pooling", ("cls", Pooling.Cls), ("mean", Pooling.Mean), ("mean-with-prompts", Pooling.MeanWithPrompts)), b => b.Pool, (b, v) => b with { Pool = v });

    private static readonly MapSchema<BackboneSpec> Vit = new("a 'vit' backbone",
    [
        Family("vit"),
        Image,
        Patch,
        Whole("width", "Channels of a token.", 1, MaxWidth, b => b.Width, (b, v) => b with { Width = v }),
        Whole("depth", "Number of blocks.", 1, 512, b => b.Depth, (b, v) => b with { Depth = v }),
        Whole("heads", "Attention heads of a block; they share the width equally.", 1, 1024, b => b.Heads, (b, v) => b with { Heads = v }),
        Whole("mlp", "Hidden channels of the MLP; four times the width if not given.", 1, 8 * MaxWidth, b => b.Mlp, (b, v) => b with { Mlp = v }, required: false),
        Pool,
        Dropout,
        Weights,
    ]);

    private static readonly MapSchema<BackboneSpec> Swin = new("a 'swin' backbone",
    [
        Family("swin"),
        Image,
        Patch,
        Whole("width", "Channels of a token of the first stage; each stage doubles them.", 1, MaxWidth, b => b.Width, (b, v) => b with { Width = v }),
        new Key<BackboneSpec, EquatableArray<double>>("depths", "Blocks of each stage.", Numbers("a list of blocks per stage", 128),
            b => Doubles(b.Depths), (b, v) => b with { Depths = Whole(v), Depth = Whole(v).Sum() }, required: true),
        new Key<BackboneSpec, EquatableArray<double>>("heads", "Attention heads of each stage.", Numbers("a list of heads per stage", 1024),
            b => Doubles(b.StageHeads), (b, v) => b with { StageHeads = Whole(v), Heads = v.Count == 0 ? 0 : (int)v[0] }, required: true),
        Whole("window", "Side of the attention window in tokens.", 1, 256, b => b.Window, (b, v) => b with { Window = v }),
        Whole("mlp", "Hidden channels of the first stage's MLP; four times the width if not given.", 1, 8 * MaxWidth, b => b.Mlp, (b, v) => b with { Mlp = v }, required: false),
        Dropout,
        Weights,
    ]);

    // What MAE and MoCo v3 published has the sizes of others, but for MoCo's small one, which has twice the heads.
    private static readonly (string Name, BackboneSpec Spec)[] Presets =
    [
        ("vit_tiny_patch16_224", Published(192, 12, 3, 16)),
        ("vit_tiny_patch16_384", Published(192, 12, 3, 16, 384)),
        ("vit_small_patch32_224", Published(384, 12, 6, 32)),
        ("vit_small_patch32_384", Published(384, 12, 6, 32, 384)),
        ("vit_small_patch16_224", Published(384, 12, 6, 16)),
        ("vit_small_patch16_224.mocov3", Published(384, 12, 12, 16)),
        ("vit_small_patch16_384", Published(384, 12, 6, 16, 384)),
        ("vit_small_patch8_224", Published(384, 12, 6, 8)),
        ("vit_base_patch32_224", Published(768, 12, 12, 32)),
        ("vit_base_patch32_384", Published(768, 12, 12, 32, 384)),
        ("vit_base_patch16_224", Published(768, 12, 12, 16)),
        ("vit_base_patch16_224.mae", Published(768, 12, 12, 16)),
        ("vit_base_patch16_224.mocov3", Published(768, 12, 12, 16)),
        ("vit_base_patch16_384", Published(768, 12, 12, 16, 384)),
        ("vit_base_patch8_224", Published(768, 12, 12, 8)),
        ("vit_large_patch32_224", Published(1024, 24, 16, 32)),
        ("vit_large_patch32_384", Published(1024, 24, 16, 32, 384)),
        ("vit_large_patch16_224", Published(1024, 24, 16, 16)),
        ("vit_large_patch16_224.mae", Published(1024, 24, 16, 16)),
        ("vit_large_patch16_384", Published(1024, 24, 16, 16, 384)),
        ("vit_large_patch14_224", Published(1024, 24, 16, 14)),
        ("vit_huge_patch14_224", Published(1280, 32, 16, 14)),
        ("vit_huge_patch14_224.mae", Published(1280, 32, 16, 14)),
    ];

    private static readonly ChoiceSchema<BackboneSpec> PresetName = new("backbone preset", Presets);

    private static readonly MapSchema<BackboneSpec> Preset = new("a backbone given by 'preset'",
    [
        new Key<BackboneSpec, BackboneSpec>("preset", "A network by the name timm gives it.", PresetName, b => b,
            (b, v) => v with { Pool = b.Pool, Dropout = b.Dropout, Weights = b.Weights }, required: true),
        Pool,
        Dropout,
        Weights,
    ]);

    private static readonly ChoiceSchema<MapSchema<BackboneSpec>> Families = new("backbone family", ("vit", Vit), ("swin", Swin));

    /// <inheritdoc/>
    public override bool TryRead(YamlNode node, BackboneSpec initial, ProblemList problems, out BackboneSpec value)
    {
        value = initial;
        if (node is not YamlMap map)
            return Vit.TryRead(node, initial, problems, out _);
        if (map.Value("preset") is { } preset)
            return ReadPreset(map, preset, problems, ref value);
        if (Discriminator.Find(map, "'backbone'", "family", "vit or swin; or 'preset' with the name of a published network.", problems) is not { } family)
            return false;
        if (!Families.TryRead(family, Vit, problems, out var schema))
            return false;
        var complete = schema.TryRead(map, Blank(((YamlScalar)family).Value), problems, out value);
        if (value.Mlp == 0)
            value = value with { Mlp = 4 * value.Width };
        return complete && CheckSizes(map, value, problems);
    }

    /// <inheritdoc/>
    public override void Write(BackboneSpec value, JsonWriter json) => (value.Family == "swin" ? Swin : Vit).Write(value, json);

    /// <inheritdoc/>
    public override void Describe(JsonWriter json, BackboneSpec initial) => json.Key("anyOf").Array(() => json
        .Object(() => Vit.Describe(json, initial))
        .Object(() => Swin.Describe(json, initial))
        .Object(() => Preset.Describe(json, initial)));

    private static bool ReadPreset(YamlMap map, YamlNode preset, ProblemList problems, ref BackboneSpec value)
    {
        var known = PresetName.TryRead(preset, value, problems, out var spec);
        var complete = known;
        var settled = Vit.Keys.Concat(Swin.Keys).Select(k => k.Name).Where(k => k is not ("pool" or "dropout" or "weights")).ToList();
        foreach (var entry in map.Entries.Where(e => settled.Contains(e.Key)))
        {
            problems.Add(ProblemCatalogue.Conflict.At(SpecPositions.Key(entry.Value.Path), entry.Key, "the preset settles it"));
            complete = false;
        }

        var rest = map with { Entries = [.. map.Entries.Where(e => !settled.Contains(e.Key) && (known || e.Key != "preset"))] };
        if (known)
            complete &= Preset.TryRead(rest, spec, problems, out value);
        return complete;
    }

    private static bool CheckSizes(YamlMap map, BackboneSpec value, ProblemList problems)
    {
        var fits = true;
        if (value.Image % value.Patch != 0)
        {
            fits = false;
            var near = Divisors(value.Image).OrderBy(d => Math.Abs(d - value.Patch)).ThenBy(d => d).First();
            problems.Add(ProblemCatalogue.PatchGrid.At(SpecPositions.Child(map.Path, "patch"), Text.Invariant(value.Image), Text.Invariant(value.Patch),
                $"patch {Text.Invariant(near)}, or image {Text.Invariant(Math.Max(1, (int)Math.Round(value.Image / (double)value.Patch)) * value.Patch)}"));
        }

        if (value.Depths.Count != value.StageHeads.Count)
        {
            problems.Add(ProblemCatalogue.Stages.At(SpecPositions.Child(map.Path, "heads"), Text.Invariant(value.Depths.Count), Text.Invariant(value.StageHeads.Count)));
            return false;
        }

        var stages = value.StageHeads.Count == 0 ? [(value.Width, value.Heads, "heads")]
            : value.StageHeads.Select((heads, i) => (Width: value.Width << i, heads, SpecPositions.Item("heads", i))).ToList();
        foreach (var (width, heads, key) in stages.Where(s => s.Item1 % s.Item2 != 0))
        {
            fits = false;
            var near = Divisors(width).OrderBy(d => Math.Abs(d - heads)).ThenBy(d => d).First();
            problems.Add(ProblemCatalogue.HeadWidth.At(SpecPositions.Child(map.Path, key), Text.Invariant(width), Text.Invariant(heads), $"{Text.Invariant(near)} heads, or another width"));
        }

        return fits;
    }

    private static IEnumerable<int> Divisors(int number) => Enumerable.Range(1, number).Where(d => number % d == 0);

    private static BackboneSpec Blank(string family) =>
        new() { Family = family, Image = 0, Patch = 0, Width = 0, Depth = 0, Heads = 0, Mlp = 0, Depths = default, StageHeads = default };

    private static BackboneSpec Published(int width, int depth, int heads, int patch, int image = 224) =>
        new() { Family = "vit", Image = image, Patch = patch, Width = width, Depth = depth, Heads = heads, Mlp = 4 * width };

    private static Key<BackboneSpec, string> Family(string name) =>
        new("family", "Kind of network.", new ChoiceSchema<string>("backbone family", (name, name)), b => b.Family, (b, v) => b with { Family = v }, required: true);

    private static Key<BackboneSpec, double> Whole(
        string name, string doc, double minimum, double maximum, Func<BackboneSpec, double> get, Func<BackboneSpec, int, BackboneSpec> set, bool required = true) =>
        new(name, doc, new NumberSchema(true, minimum, maximum), get, (b, v) => set(b, (int)v), required);

    private static ListSchema<double> Numbers(string what, double maximum) => new(what, new NumberSchema(true, 1, maximum), 0, 1, 8);

    private static EquatableArray<double> Doubles(EquatableArray<int> values) => values.Select(v => (double)v).ToEquatableArray();

    private static EquatableArray<int> Whole(EquatableArray<double> values) => values.Select(v => (int)v).ToEquatableArray();
}
