using System.Globalization;
using System.Text.RegularExpressions;
using FusionGen.Compiler;
using FusionGen.Compiler.Spec;

namespace FusionGen.Cli.Parity;

/// <summary>How published code names its parameters, and which spec its cases stand for. One file per layout.</summary>
internal abstract class ReferenceLayout
{
    /// <summary>Every layout, by name.</summary>
    public static IReadOnlyDictionary<string, Func<ReferenceCase, SpecDocument, PolicyDocument?, ReferenceLayout>> All { get; } =
        new Dictionary<string, Func<ReferenceCase, SpecDocument, PolicyDocument?, ReferenceLayout>>(StringComparer.Ordinal)
        {
            ["noah"] = (_, _, _) => new NoahLayout(),
            ["pfd"] = (reference, spec, policy) => new PfdLayout(reference, spec, policy),
            ["sa2vp"] = (_, spec, _) => new Sa2vpLayout(spec),
            ["ssf"] = (_, _, _) => new SsfLayout(),
            ["timm"] = (_, _, _) => new TimmLayout(),
            ["vpt"] = (_, spec, _) => new VptLayout(spec),
            ["vapt"] = (_, spec, _) => new VaptLayout(spec),
            ["e2vpt"] = (_, spec, _) => new E2VptLayout(spec),
        };

    /// <summary>The layout of the code that a case comes from, by its repository; null for one that is not known.</summary>
    public static string? Of(ReferenceCase reference) => reference.Text("source").Split('@')[0] switch
    {
        "ChengHan111/E2VPT" => "e2vpt",
        "ZhangYuanhan-AI/NOAH" => "noah",
        "xixiaouab/Prompt-Fusion-Discovery" => "pfd",
        "tommy-xq/SA2VP" => "sa2vp",
        "dongzelian/SSF" => "ssf",
        "huggingface/pytorch-image-models" => "timm",
        "Minhchuyentoancbn/VAPT" => "vapt",
        "KMnP/vpt" => "vpt",
        _ => null,
    };

    /// <summary>The places of a tensor of the reference's state; none where the layout does not know the name.</summary>
    public abstract IEnumerable<Placement> Place(string name);

    /// <summary>Why a tensor of the state has no place; null where it should have one.</summary>
    public virtual string? Ignores(string name) => null;

    /// <summary>How far a gradient of the reference may be off however small it is.</summary>
    public virtual double GradientFloor(string name) => 1e-7;

    /// <summary>The spec a case stands for, as text.</summary>
    public static string SpecOf(ReferenceCase reference, string layout) => layout switch
    {
        "noah" => NoahLayout.Spec(reference),
        "pfd" => PfdLayout.Spec(reference),
        "sa2vp" => Sa2vpLayout.Spec(reference),
        "ssf" => SsfLayout.Spec(reference),
        "timm" => TimmLayout.Spec(reference),
        "vapt" => VaptLayout.Spec(reference),
        "e2vpt" => E2VptLayout.Spec(reference),
        _ => VptLayout.Spec(reference),
    };

    /// <summary>The policy a case stands for; null where it is a mixture or has no operators.</summary>
    public static PolicyDocument? PolicyOf(ReferenceCase reference, string layout, SpecDocument spec) => layout switch
    {
        "pfd" => PfdLayout.Policy(reference, spec),
        _ when !spec.HasOperators => null,
        _ => new PolicyDocument(spec.Model, SpecHash.Of(spec), spec.Layers.Select(layer => layer.Candidates.Count == 0 ? "" : layer.Candidates[0]).ToEquatableArray()),
    };

    /// <summary>The head of every derived spec: names, backbone and classes.</summary>
    public static string Header(ReferenceCase reference, string model, string mean = "mean")
    {
        var pool = reference.Text("pooling").StartsWith("mean", StringComparison.Ordinal) ? mean : "cls";
        var lists = reference.Numbers("depths");
        var sizes = lists.Count > 0
            ? $"family: swin, image: {reference.Integer("image_size")}, patch: {reference.Integer("patch_size")}, width: {reference.Integer("width")}, depths: [{Join(lists)}], heads: [{Join(reference.Numbers("heads"))}], window: {reference.Integer("window")}, mlp: {reference.Integer("width") * reference.Integer("mlp_ratio")}"
            : $"family: vit, image: {reference.Integer("image_size")}, patch: {reference.Integer("patch_size")}, width: {reference.Integer("width")}, depth: {reference.Integer("depth")}, heads: {reference.Integer("heads")}, mlp: {reference.Integer("mlp_hidden")}, pool: {pool}";
        return $"fusiongen: 1\nmodel: {model}\nnamespace: FusionGen.Parity\nbackbone: {{ {sizes} }}\nclasses: {reference.Integer("classes")}\n";
    }

    /// <summary>Blocks over all stages.</summary>
    protected static int DepthOf(ReferenceCase reference) => reference.Numbers("depths") is { Count: > 0 } depths ? (int)depths.Sum() : reference.Integer("depth");

    /// <summary>The trailing index of <c>prefix.{index}.rest</c>, as a number.</summary>
    protected static int Index(Group group) => int.Parse(group.ValueSpan, CultureInfo.InvariantCulture);

    private static string Join(IEnumerable<double> numbers) => string.Join(", ", numbers.Select(number => ((int)number).ToString(CultureInfo.InvariantCulture)));
}
