using System.CommandLine;
using FusionGen.Checkpoints;
using FusionGen.Cli.Compilation;
using FusionGen.Cli.Parity;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen import-weights</c>.</summary>
internal sealed class ImportWeightsCommand : ToolCommand
{
    private readonly Argument<string> file;
    private readonly Option<string> spec;
    private readonly Option<string?> path;
    private readonly Option<string?> layout;
    private readonly Option<string?> positions;
    private readonly Option<string[]> overrides;
    private readonly Option<string?> adapter;
    private readonly Option<string?> policy;

    public ImportWeightsCommand()
        : base(
            "import-weights",
            "Converts a published backbone into safetensors in timm's names: NumPy .npz, PyTorch .pth, .pt and .pth.tar, safetensors and its sharded index.\n" +
            "No code of a file is run. Strict and total: a tensor that is missing, too many or of another shape is an error that names it.\n" +
            "A spec's backbone.weights may name such a file directly; only position embeddings of another grid have to be imported.",
            "fusiongen import-weights ViT-B_16.npz --spec specs/vit-b16-pfd.fusion.yaml --out specs/backbones/vit-b16.safetensors",
            "fusiongen import-weights mae_pretrain_vit_base.pth --spec my.fusion.yaml --layout mae --out mae.safetensors",
            "fusiongen import-weights tuned.pth --spec my.fusion.yaml --policy my.policy.yaml --adapter tuned/adapter",
            "fusiongen import-weights vit-384.safetensors --spec my.fusion.yaml --positions timm --out vit-224.safetensors")
    {
        this.file = this.Takes(new Argument<string>("file") { Description = "The weights." });
        this.spec = this.Takes(new Option<string>("--spec") { Description = "A spec of the backbone that they are for.", HelpName = "file", Required = true });
        this.path = this.Takes(CommonOptions.Out("Where to write; the file's name with .safetensors if not given."));
        this.layout = this.Takes(new Option<string?>("--layout") { Description = "Whose names and shapes the file has; told by its names if not given. MAE without its decoder must be named, where patches are to be pooled.", HelpName = string.Join('|', WeightLayout.Names) });
        this.layout.AcceptOnlyFromAmong([.. WeightLayout.Names]);
        this.positions = this.Takes(new Option<string?>("--positions")
        {
            Description = $"How to resample a position embedding of another grid; refused if not given. {string.Join("; ", PositionRule.All.Select(rule => $"{rule.Name}: {rule.Description}"))}.",
            HelpName = string.Join('|', PositionRule.All.Select(rule => rule.Name)),
        });
        this.positions.AcceptOnlyFromAmong([.. PositionRule.All.Select(rule => rule.Name)]);
        this.adapter = this.Takes(new Option<string?>("--adapter") { Description = "Also write what VPT's or PFD's code has tuned, and the head, as an adapter for the policy's model.", HelpName = "folder" });
        this.policy = this.Takes(CommonOptions.Policy());
        this.overrides = this.Takes(CommonOptions.Set());
    }

    public override ExitCode Run(Invocation invocation)
    {
        var (terminal, source) = (invocation.Terminal, invocation.Get(this.file));
        var spec = SpecFile.Load(invocation.Get(this.spec), invocation.Get(this.overrides), terminal);
        var target = invocation.Get(this.path) ?? Path.ChangeExtension(source, ".safetensors");
        if (Path.GetFullPath(target) == Path.GetFullPath(source))
            throw new FusionException($"{target}: would replace the file itself; name another with --out", ExitCode.Spec);
        using var network = spec.Compile(null, terminal).CreateBackbone();
        var rule = invocation.Get(this.positions) is { } name ? PositionRule.Of(name) : null;
        var loaded = BackboneWeights.Load(network, source, invocation.Get(this.layout), rule);
        var tensors = network.Specs.Where(tensor => tensor.Role != TensorRole.Head || loaded.HasHead).ToList();
        SafeTensors.Write(
            target,
            tensors.Select(tensor => KeyValuePair.Create(tensor.Name, (Tensor)network[tensor.Name])),
            new Dictionary<string, string>(StringComparer.Ordinal)
            {
                ["format"] = "pt",
                ["imported_from"] = Path.GetFileName(source),
                ["notes"] = string.Join("; ", loaded.Notes),
                ["sha256"] = loaded.Digest,
            });
        foreach (var note in loaded.Notes)
            terminal.Line($"{source}: {note}");
        terminal.Line($"{target}: {tensors.Count} tensors, {tensors.Sum(tensor => tensor.Count):N0} parameters, sha256 {loaded.Digest}");
        if (invocation.Get(this.adapter) is { } folder)
            this.ImportAdapter(invocation, spec, folder, loaded.Digest);
        return ExitCode.Ok;
    }

    private void ImportAdapter(Invocation invocation, SpecFile spec, string folder, string digest)
    {
        var terminal = invocation.Terminal;
        var policy = spec.Policy(invocation.Get(this.policy), terminal)
            ?? throw new FusionException($"{spec.PolicyPath}: is missing; --adapter needs the policy that says which operator each layer has", ExitCode.Spec);
        using var file = WeightFile.Open(invocation.Get(this.file));
        using var model = spec.Compile(policy, terminal).CreateModel();
        var tuned = new TunedCheckpoint(file);
        var map = ParameterMap.Of(tuned, tuned.Layout(WeightLayout.Of(file, invocation.Get(this.layout)).Name, spec.Document, policy), model);
        map.Load(tuned, model);
        Adapter.Save(folder, model, digest, []);
        foreach (var (name, reason) in map.Ignored)
            terminal.Line($"{file.Path}: not imported: {name}: {reason}");
        terminal.Line($"{folder}: {model.Specs.Count(tensor => tensor.IsTuned)} tensors, {model.Specs.Where(tensor => tensor.IsTuned).Sum(tensor => tensor.Count):N0} parameters");
    }
}
