using System.CommandLine;
using System.Globalization;
using FusionGen.Cli.Compilation;
using FusionGen.Cli.Output;
using FusionGen.Cli.Parity;
using FusionGen.Static;
using static TorchSharp.torch;

namespace FusionGen.Cli.Commands;

/// <summary><c>fusiongen parity</c>.</summary>
internal sealed class ParityCommand : ToolCommand
{
    private readonly Option<string> spec;
    private readonly Option<string?> policy;
    private readonly Option<string> reference;
    private readonly Option<string?> layout;
    private readonly Option<string> dtype;
    private readonly Option<string> engine;
    private readonly Option<string?> weights;

    public ParityCommand()
        : base(
            "parity",
            "Compares a compiled spec with published code on a reference case: logits, loss and every gradient, every step of a training or of a search, an operator alone, schedules and optimizers.\n" +
            "Every parameter on either side must find its counterpart. Exit code 0 within tolerance, 4 otherwise.",
            "fusiongen parity --reference tests/goldens/pfd_hybrid.safetensors",
            "fusiongen parity --reference tests/goldens/vpt_deep.safetensors --dtype float64",
            "fusiongen parity --reference tests/goldens/ssf.safetensors --engine static",
            "fusiongen parity --reference tests/goldens/vit_npz.safetensors --weights tests/goldens/vit_npz_bigvision.npz",
            "fusiongen parity --reference tests/goldens/schedules.json",
            "fusiongen parity --spec my.fusion.yaml --policy my.policy.yaml --reference my-case.safetensors --layout timm")
    {
        this.spec = this.Takes(new Option<string>("--spec") { Description = "The spec; 'auto' derives spec and policy from the case.", HelpName = "file", DefaultValueFactory = _ => "auto" });
        this.policy = this.Takes(CommonOptions.Policy());
        this.reference = this.Takes(new Option<string>("--reference") { Description = "The reference case, a safetensors file, or JSON of schedules and optimizers.", HelpName = "file", Required = true });
        this.layout = this.Takes(new Option<string?>("--layout") { Description = "Whose parameter names the case has; by the repository that the case names if not given.", HelpName = string.Join('|', ReferenceLayout.All.Keys) });
        this.layout.AcceptOnlyFromAmong([.. ReferenceLayout.All.Keys]);
        this.dtype = this.Takes(new Option<string>("--dtype") { Description = "Type of our parameters and activations.", HelpName = "float32|float64", DefaultValueFactory = _ => "float32" });
        this.dtype.AcceptOnlyFromAmong("float32", "float64");
        this.engine = this.Takes(new Option<string>("--engine") { Description = "Who computes: the eager modules on libtorch, or the static program, which is in float32.", HelpName = "eager|static", DefaultValueFactory = _ => "eager" });
        this.engine.AcceptOnlyFromAmong("eager", "static");
        this.weights = this.Takes(new Option<string?>("--weights") { Description = "A file to take the backbone from instead of the case's state, in any format that import-weights reads; the npz that the case names if not given.", HelpName = "file" });
    }

    public override ExitCode Run(Invocation invocation)
    {
        LibTorch.Require("parity");
        var terminal = invocation.Terminal;
        var result = this.Compare(invocation, invocation.Get(this.reference), terminal);

        var table = Tables.New("quantity", ">largest difference", ">relative to largest", ">allowed", "");
        foreach (var difference in result.Differences)
            table.Row(difference.Name, Text(difference.Absolute), Text(difference.Relative), Text(difference.Tolerance), difference.Holds ? "ok" : "too far");
        terminal.Table(table);
        foreach (var note in result.Notes)
            terminal.Line($"not compared: {note}");
        var failed = result.Differences.Count(difference => !difference.Holds);
        terminal.Line(failed == 0
            ? $"{result.Differences.Count} quantities within tolerance"
            : $"{failed} of {result.Differences.Count} quantities out of tolerance");
        return failed == 0 ? ExitCode.Ok : ExitCode.Data;
    }

    private ParityResult Compare(Invocation invocation, string path, Terminal terminal)
    {
        if (ScheduleParity.Concerns(path))
            return ScheduleParity.Run(path);
        using var reference = ReferenceCase.Open(path);
        if (PositionParity.Concerns(reference))
            return PositionParity.Run(reference);
        var (engine, dtype) = (invocation.Get(this.engine) == "static" ? Engine.Static : Engine.Eager, invocation.Get(this.dtype) == "float64" ? ScalarType.Float64 : ScalarType.Float32);
        if (engine == Engine.Static && dtype == ScalarType.Float64)
            throw new FusionException("--dtype: the static program is in float32; float64 is for the eager modules", ExitCode.Spec);
        if (SearchParity.Concerns(reference))
            return SearchParity.Run(reference, dtype, engine, terminal);
        if (OperatorParity.Concerns(reference))
            return OperatorParity.Run(reference, dtype, engine, terminal);
        var layout = invocation.Get(this.layout) ?? ReferenceLayout.Of(reference)
            ?? throw new FusionException($"--layout: the case does not say whose parameter names it has; say one of {string.Join(", ", ReferenceLayout.All.Keys)}", ExitCode.Spec);
        ParityCheck.Require(reference);
        var compiled = this.Compile(invocation, reference, layout, terminal);
        return ParityCheck.Run(reference, layout, compiled, dtype, engine, invocation.Get(this.weights));
    }

    private CompiledSpec Compile(Invocation invocation, ReferenceCase reference, string layout, Terminal terminal)
    {
        if (invocation.Get(this.spec) != "auto")
        {
            var file = SpecFile.Load(invocation.Get(this.spec), [], terminal);
            return file.Compile(file.Policy(invocation.Get(this.policy), terminal), terminal);
        }
        var derived = SpecFile.Parse("the derived spec", ReferenceLayout.SpecOf(reference, layout), terminal);
        var policy = ReferenceLayout.PolicyOf(reference, layout, derived.Document);
        return derived.Compile(policy, terminal);
    }

    private static string Text(double value) => value.ToString("0.0e+0", CultureInfo.InvariantCulture);
}
