using System.CommandLine;
using FusionGen.Cli.Compilation;
using FusionGen.Cli.Output;
using FusionGen.Compiler;
using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;
using FusionGen.Compiler.Spec;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen explain</c>.</summary>
internal sealed class ExplainCommand : ToolCommand
{
    private readonly Argument<string> spec;
    private readonly Option<string?> policy;
    private readonly Option<string[]> overrides;
    private readonly Option<bool> graph;
    private readonly Option<string?> network;
    private readonly Option<string?> tasks;

    public ExplainCommand()
        : base(
            "explain",
            "Tells what a spec comes to before anything runs: what every candidate of every layer adds, and parameters, multiply-adds and memory\n" +
            "of the supernet, of the same operator in all layers, and of the found policy. Nothing is trained, no weights are read.",
            "fusiongen explain specs/sprites.fusion.yaml",
            "fusiongen explain specs/sprites.fusion.yaml --set prompts.tokens=10",
            "fusiongen explain specs/sprites.fusion.yaml --graph --network model",
            "fusiongen explain specs/vpt-deep.fusion.yaml --tasks vpt-deep")
    {
        this.spec = this.Takes(CommonOptions.Spec());
        this.policy = this.Takes(CommonOptions.Policy());
        this.overrides = this.Takes(CommonOptions.Set());
        this.graph = this.Takes(new Option<bool>("--graph") { Description = "Print every value of the graph: shape, whether it differs between images, and cost." });
        this.network = this.Takes(new Option<string?>("--network") { Description = "The network whose graph to print; the found model, else the supernet.", HelpName = "backbone|supernet|model" });
        this.network.AcceptOnlyFromAmong("backbone", "supernet", "model");
        this.tasks = this.Takes(new Option<string?>("--tasks") { Description = "Tuned parameters for each of the 24 tasks of VTAB-1k and FGVC, and their averages: with each task's classes alone, or also with what a method publishes for it.", HelpName = string.Join('|', TaskTable.Choices) });
        this.tasks.AcceptOnlyFromAmong([.. TaskTable.Choices]);
    }

    public override ExitCode Run(Invocation invocation)
    {
        var terminal = invocation.Terminal;
        var file = SpecFile.Load(invocation.Get(this.spec), invocation.Get(this.overrides), terminal);
        var policy = file.Policy(invocation.Get(this.policy), terminal);
        if (invocation.Get(this.tasks) is { } setting)
        {
            TaskTable.Write(terminal, file, policy, setting);
            return ExitCode.Ok;
        }
        var networks = file.Networks(policy, terminal);
        if (invocation.Get(this.graph))
        {
            Graph(terminal, this.Chosen(invocation, networks));
            return ExitCode.Ok;
        }
        var spec = file.Document;
        var backbone = spec.Backbone;
        terminal.Heading($"{spec.Model}: {backbone.Family}, image {backbone.Image}, patch {backbone.Patch}, width {backbone.Width}, {spec.Layers.Count} layers, {networks.Tokens} tokens, {spec.Classes} classes, {spec.Prompts.Tokens} prompts a layer");
        if (networks.Supernet is not null)
            Candidates(terminal, spec, networks);
        Totals(terminal, spec, networks, policy);
        Passes(terminal, spec, networks);
        terminal.Line("Multiply-adds are of one image's forward pass. Tuned share: prompts, operators and head of backbone plus these. Activations: what a training step keeps for one image, float32. Steps: peak bytes of a training step, by the eager modules and by the static program (with a worker per processor).");
        if (policy is not null)
            terminal.Line($"policy: {string.Join(", ", policy.Choices.Select((choice, layer) => $"{layer} {(choice.Length == 0 ? "-" : choice)}"))}");
        else if (networks.Supernet is not null)
            terminal.Line($"no policy yet: fusiongen search {file.Path} --write-policy");
        return ExitCode.Ok;
    }

    private Network Chosen(Invocation invocation, Networks networks)
    {
        var name = invocation.Get(this.network);
        var chosen = name switch
        {
            "backbone" => networks.Backbone,
            "supernet" => networks.Supernet,
            "model" => networks.Model,
            _ => networks.Model ?? networks.Supernet ?? networks.Backbone,
        };
        return chosen ?? throw new FusionException(name == "model" ? "there is no model without a policy; search first, or name one with --policy" : "no layer has candidates, so there is no supernet", ExitCode.Spec);
    }

    private static void Candidates(Terminal terminal, SpecDocument spec, Networks networks)
    {
        var table = Tables.New("layers", "candidate", "kind", ">parameters", ">multiply-adds", ">search cost");
        var rows = spec.Layers.Select((layer, index) => layer.Candidates.Select(name => Row(spec, networks, index, name)).ToList()).ToList();
        for (int from = 0, to; from < rows.Count; from = to)
        {
            for (to = from + 1; to < rows.Count && rows[to].SequenceEqual(rows[from]);)
                to++;
            var layers = to - from == 1 ? Numbers.Text(from) : $"{from}–{to - 1}";
            if (rows[from].Count == 0)
                table.Row(layers, "none: left alone", "", "", "", "");
            foreach (var (row, i) in rows[from].Select((row, i) => (row, i)))
                table.Row(i == 0 ? layers : "", row.Name, row.Kind, row.Own > 0 && row.Shared > 0 ? $"{Numbers.Text(row.Own)} + {Numbers.Text(row.Shared)} shared" : row.Shared > 0 ? $"{Numbers.Text(row.Shared)} shared" : Numbers.Text(row.Own), Numbers.Signed(row.Macs), Numbers.Text(row.Cost));
        }
        terminal.Table(table);
    }

    /// <summary>What a candidate alone in its layer adds to the bare backbone; shared weights are paid once for all layers that use them.</summary>
    private static CandidateRow Row(SpecDocument spec, Networks networks, int layer, string name)
    {
        var network = Network.Build(spec, spec.Layers.Select((_, i) => new LayerSpec(i == layer ? EquatableArray.Of(name) : EquatableArray<string>.Empty)).ToEquatableArray());
        var chosen = spec.Operator(name);
        var weights = network.Parameters.Where(p => p.Name.StartsWith("operators.", StringComparison.Ordinal)).Sum(p => p.Shape.Elements);
        var prompts = network.Parameters.Where(p => p.Name.StartsWith("prompts.", StringComparison.Ordinal)).Sum(p => p.Shape.Elements);
        var isShared = chosen.Options.Any(option => option.Name == "share" && option.Number != 0);
        return new CandidateRow(name, chosen.Kind, prompts + (isShared ? 0 : weights), isShared ? weights : 0, network.Macs - networks.Backbone.Macs, Costs.Of(spec, name));
    }

    private static void Totals(Terminal terminal, SpecDocument spec, Networks networks, PolicyDocument? policy)
    {
        var table = Tables.New("network", ">tuned", ">head", ">tuned share", ">multiply-adds", ">of backbone", ">activations / image", ">eager step", ">static step");
        Add("backbone: linear probe", networks.Backbone);
        foreach (var name in Uniform.Operators(spec))
            Add($"{name} in all layers", Network.Build(spec, Networks.Chosen(Uniform.Policy(spec, name))));
        if (networks.Supernet is { } supernet)
            Add("supernet: every candidate", supernet);
        if (networks.Model is { } model)
            Add($"found policy{(policy!.SpecHash == SpecHash.Of(spec) ? "" : " (of an earlier spec)")}", model);
        terminal.Table(table);
        terminal.Line($"backbone: {Numbers.Text(networks.BackboneParameters)} parameters{spec.Tune.Scope switch { TuneScope.All => ", all of them tuned", TuneScope.Bias => ", every bias tuned", TuneScope.Last => $", the last {spec.Tune.Blocks} blocks and the final norm tuned", _ => "" }}; batch {networks.Batch}{(spec.Budget.Tuned > 0 ? $"; budget {Numbers.Percent(spec.Budget.Tuned)} tuned" : "")}{(spec.Budget.Memory > 0 ? $", {Numbers.Bytes(spec.Budget.Memory)}" : "")}");

        void Add(string label, Network network)
        {
            var batch = networks.Batch;
            table.Row(
                label,
                Numbers.Text(network.Count(ParameterRole.Tuned)),
                Numbers.Text(network.Count(ParameterRole.Head)),
                Numbers.Percent(network.TunedShare),
                Numbers.Text(network.Macs),
                Numbers.Percent(network.Macs / (double)networks.Backbone.Macs),
                Numbers.Bytes(network.ActivationBytes),
                Numbers.Bytes(networks.ParameterBytes + (batch * network.ActivationBytes)),
                Numbers.Bytes(networks.ParameterBytes + networks.Plan(network, isTraining: true).PeakBytes(batch, Environment.ProcessorCount, networks.PassesOf(network))));
        }
    }

    /// <summary>What the static programs save over the graph as it was built.</summary>
    private static void Passes(Terminal terminal, SpecDocument spec, Networks networks)
    {
        var (name, network) = networks.Model is { } model ? ("found policy", model) : networks.Supernet is { } supernet ? ("supernet", supernet) : ("backbone", networks.Backbone);
        var table = Tables.New($"passes: {name}", "acts", ">multiply-adds saved", ">bytes / image saved", "why not");
        foreach (var isTraining in new[] { true, false })
        {
            table.Row(isTraining ? "training step" : "prediction", "", "", "", "");
            foreach (var report in Pipeline.Report(network, isTraining))
            {
                table.Row(
                    $"  {report.Pass.Name}",
                    report.Applied == 0 ? "-" : Numbers.Text(report.Applied),
                    report.Applied == 0 ? "" : Numbers.Text(report.Macs),
                    report.Applied == 0 ? "" : Numbers.Text(report.Bytes),
                    report.Reason);
            }
        }
        terminal.Table(table);
        var shared = network.Values.Where(value => !value.Shape.IsPerSample).Sum(value => value.Macs);
        var step = networks.Step(network);
        if (spec.Budget.Memory > 0)
            terminal.Line($"Computed again in the backward pass, to keep within {Numbers.Bytes(spec.Budget.Memory)}: {step.Recomputation switch { Recomputation.None => "nothing", Recomputation.Probabilities => "attention's probabilities", Recomputation.Norms => "attention's probabilities and normalised rows", _ => "attention's probabilities, normalised rows and activations" }}.");
        terminal.Line(networks.Plan(network, isTraining: true).Layout.Frozen is { } prefix
            ? $"Before the first tuned value lie {Numbers.Text(prefix.Macs)} multiply-adds an image, the same every epoch (S6): {prefix.Blocked(spec.Train.Preprocessing, network.Macs) ?? $"training keeps their results, {Numbers.Bytes(prefix.Bytes)} an image, as far as the memory goes"}."
            : "Nothing lies before the first tuned value (S6).");
        terminal.Line($"Built into every graph: prompt rows are keys and values only (S1); {Numbers.Text(shared)} multiply-adds depend on parameters alone and are done once a step (S2); only rows that reach the head go on after the last attention (S3); no gradient of or before what is frozen (S7); a mixture is one affine pass and its terms.");
    }

    private static void Graph(Terminal terminal, Network network)
    {
        var table = Tables.New("scope", ">id", "value", "operation", "shape", "varies", ">multiply-adds", "from");
        var scope = "";
        foreach (var value in network.Values.Where(value => value.Op is not ParameterOp))
        {
            table.Row(
                value.Scope == scope ? "" : value.Scope,
                Numbers.Text(value.Id),
                value.Hint,
                value.Op.GetType().Name.Replace("Op", "", StringComparison.Ordinal),
                value.Shape.ToString(),
                value.Shape.IsPerSample ? "per image" : "shared",
                value.Macs == 0 ? "" : Numbers.Text(value.Macs),
                string.Join(" ", value.Inputs.Select(input => input.Op is ParameterOp parameter ? parameter.Name : $"#{input.Id}")));
            scope = value.Scope;
        }
        terminal.Table(table);
        terminal.Line($"{network.Values.Count} values, {network.Parameters.Count} parameters, {Numbers.Text(network.Macs)} multiply-adds an image");
    }

    private sealed record CandidateRow(string Name, string Kind, long Own, long Shared, long Macs, double Cost);
}
