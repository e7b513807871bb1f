using System.Globalization;
using FusionGen.Cli.Compilation;
using FusionGen.Cli.Output;
using FusionGen.Search;
using FusionGen.Static;
using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Cli.Parity;

/// <summary>
/// Follows the released search of prompt-fusion discovery, or DARTS on the same model, step by step: what each level computes, and where it leads. First- and
/// second-order gradients differ by 2 to 10 %, so the tolerances tell them apart.
/// </summary>
internal static class SearchParity
{
    private const double Single = 1e-4;
    private const double SingleFloor = 1e-7;
    private const double Double = 1e-8;
    private const string Alphas = "architecture_logits";

    /// <summary>Whether a case is of that kind.</summary>
    public static bool Concerns(ReferenceCase reference) => reference.Text("method").StartsWith("pfd_search", StringComparison.Ordinal);

    /// <summary>Searches as the case says and compares.</summary>
    /// <exception cref="FusionException">The reference does not map totally onto the network.</exception>
    public static ParityResult Run(ReferenceCase reference, ScalarType dtype, Engine engine, Terminal terminal)
    {
        // The searches of a set share state and batches, which one file holds.
        using var shared = reference.Has("input/train_images_0") ? null : ReferenceCase.Open(Path.Combine(Path.GetDirectoryName(reference.Path) ?? "", "pfd_search.safetensors"));
        var source = shared ?? reference;
        using var network = Create(source, dtype, terminal, out var map);
        network.Engine = engine;
        if (reference.State.Contains(Alphas))
            Load(map, reference, network);
        var isDarts = reference.Text("method") == "pfd_search_darts";
        var settings = Settings(reference, isDarts);
        using var steps = new BilevelSteps(network, settings, isDarts ? reference.Number("weight_optimizer.grad_clip_norm") : 0);
        var differences = new List<Difference>();
        for (var step = 0; reference.Names($"step_f64_{step}/").Count > 0; step++)
        {
            using var scope = NewDisposeScope();
            using var comparison = new Step(reference, map, network, steps, $"step_f64_{step}/", dtype == ScalarType.Float64);
            var (train, validation) = (Batch(source, "train", step, dtype), Batch(source, "val", step, dtype));
            if (isDarts)
            {
                network.Temperature = reference.Number("temperature");
                comparison.Exact(settings, train, validation);
                steps.StepArchitecture(train, validation);
                comparison.Architecture(settings.Order);
                steps.StepWeights(train);
                comparison.Weights();
            }
            else
            {
                network.Temperature = reference.Numbers("temperatures")[step];
                steps.Weights.Optimizer.LearningRate = reference.Numbers("weight_optimizer.lr")[step];
                steps.StepWeights(train);
                comparison.Weights();
                steps.StepArchitecture(train, validation);
                comparison.Architecture(settings.Order);
            }
            differences.AddRange(comparison.Differences);
        }
        return new ParityResult(differences, []);
    }

    private static Supernet Create(ReferenceCase source, ScalarType dtype, Terminal terminal, out ParameterMap map)
    {
        using var prices = source.ReadState("operator_costs");
        var costs = source.Texts("operators").Zip(prices.data<float>().ToArray(), (name, price) => string.Create(CultureInfo.InvariantCulture, $"operators.{name}.cost={(double)price:R}"));
        var file = SpecFile.Parse("the derived spec", PfdLayout.Spec(source), terminal).With([.. costs], terminal);
        var network = file.Compile(null, terminal).CreateSupernet(dtype: dtype);
        try
        {
            map = ParameterMap.Of(source, new PfdLayout(source, file.Document, null), network);
            map.Load(source, network);
            return network;
        }
        catch
        {
            network.Dispose();
            throw;
        }
    }

    private static void Load(ParameterMap map, ReferenceCase reference, Supernet network)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var alphas = reference.ReadState(Alphas);
        foreach (var placement in map.Placements.Where(placement => placement.Reference == Alphas))
            network[placement.Parameter].copy_(placement.OfReference(alphas));
    }

    private static SearchSettings Settings(ReferenceCase reference, bool isDarts) => new()
    {
        Order = isDarts
            ? reference.Flag("unrolled") ? SearchOrder.SecondFd : SearchOrder.First
            : reference.Numbers("inner_lr").All(rate => rate == 0) ? SearchOrder.First : SearchOrder.SecondExact,
        TemperatureCurve = Curve.Constant,
        Entropy = isDarts ? 0 : reference.Number("entropy_weight"),
        Cost = isDarts ? 0 : reference.Number("cost_weight"),
        Clip = isDarts ? 0 : reference.Number("grad_clip"),
        Optimizer = isDarts
            ? new OptimizerSettings
            {
                Kind = OptimizerKind.Sgd,
                LearningRate = reference.Number("weight_optimizer.lr"),
                Momentum = reference.Number("weight_optimizer.momentum"),
                WeightDecay = reference.Number("weight_optimizer.weight_decay"),
            }
            : Adam(reference, "weight_optimizer", OptimizerKind.AdamW, 0),
        Architecture = Adam(reference, "architecture_optimizer", isDarts ? OptimizerKind.Adam : OptimizerKind.AdamW, reference.Number("architecture_optimizer.lr")),
    };

    private static OptimizerSettings Adam(ReferenceCase reference, string key, OptimizerKind kind, double rate) => new()
    {
        Kind = kind,
        LearningRate = rate,
        WeightDecay = reference.Number($"{key}.weight_decay"),
        Beta1 = reference.Numbers($"{key}.betas")[0],
        Beta2 = reference.Numbers($"{key}.betas")[1],
    };

    private static Batch Batch(ReferenceCase source, string split, int step, ScalarType dtype) =>
        new(source.Read($"input/{split}_images_{step}").to(dtype), source.Read($"input/{split}_labels_{step}"));

    /// <summary>What one step shows, held against what the reference has of it.</summary>
    private sealed class Step : IDisposable
    {
        private readonly ReferenceCase reference;
        private readonly ParameterMap map;
        private readonly Supernet network;
        private readonly BilevelSteps steps;
        private readonly string prefix;
        private readonly bool isDouble;
        private readonly Dictionary<string, Tensor> seen = new(StringComparer.Ordinal);

        public Step(ReferenceCase reference, ParameterMap map, Supernet network, BilevelSteps steps, string prefix, bool isDouble)
        {
            (this.reference, this.map, this.network, this.steps, this.prefix, this.isDouble) = (reference, map, network, steps, prefix, isDouble);
            steps.Trace = this.See;
        }

        public List<Difference> Differences { get; } = [];

        public void Weights()
        {
            this.Compare("w/train_loss", tensor(this.steps.Weights.Figures.Last[0]));
            this.Compare("w/train_logits", this.seen["weights.logits"]);
            this.Compare("w/grad_norm_before_clip", this.seen["weights.norm"]);
            foreach (var name in this.Names("w/grad/"))
                this.Compare($"w/grad/{name}", name, parameter => this.seen[$"weights.gradient.{parameter}"]);
            foreach (var name in this.Names("w/after/"))
                this.Compare($"w/after/{name}", name, parameter => this.network[parameter].detach());
        }

        public void Architecture(SearchOrder order)
        {
            Tensor Gradient(string parameter) => this.seen[$"architecture.gradient.{parameter}"];
            this.Compare("a/alpha_grad", Alphas, Gradient);
            this.Compare("a/alpha_grad_raw", Alphas, Gradient);
            this.Compare("a/alpha_grad_after_clip", Alphas, parameter => this.seen[$"architecture.clipped.{parameter}"]);
            this.Compare("a/architecture_logits", Alphas, parameter => this.network[parameter].detach());
            string[] figures = ["objective", "val_loss", "grad_norm_before_clip", "negative_entropy", "expected_cost"];
            foreach (var (name, figure) in figures.Zip(this.steps.Architecture.Figures.Last))
                this.Compare($"a/{name}", tensor(figure));
            this.Compare(order == SearchOrder.First ? "a/val_loss_current" : "a/unrolled_val_loss", tensor(this.steps.Architecture.Figures.Last[1]));
        }

        /// <summary>The gradient that a finite difference stands for, by double backward.</summary>
        public void Exact(SearchSettings settings, Batch train, Batch validation)
        {
            using var problem = new BilevelProblem(this.network, settings);
            var order = settings.Order == SearchOrder.First ? SearchOrder.First : SearchOrder.SecondExact;
            var (gradients, _) = IArchitectureGradient.Of(order).Compute(problem, this.steps.Weights.Optimizer, train, validation);
            var layers = this.map.Placements.Where(placement => placement.Reference == Alphas).Select(placement => placement.Parameter).ToList();
            this.Compare("a/alpha_grad_exact", Alphas, parameter => gradients[layers.IndexOf(parameter)]!);
        }

        public void Dispose()
        {
            foreach (var tensor in this.seen.Values)
                tensor.Dispose();
        }

        // The step's own scope ends before anything is compared.
        private void See(string name, Tensor value)
        {
            if (this.seen.TryGetValue(name, out var before))
                before.Dispose();
            this.seen[name] = value.detach().clone().DetachFromDisposeScope();
        }

        private IReadOnlyList<string> Names(string kind) => this.reference.Names(this.prefix + kind);

        private void Compare(string name, Tensor ours)
        {
            if (this.reference.Has(this.prefix + name))
                this.Add(name, [(ours, this.reference.Read(this.prefix + name))]);
        }

        /// <summary>A tensor in the place of one of the reference's parameters: each of ours that it fills.</summary>
        private void Compare(string name, string parameter, Func<string, Tensor> ours)
        {
            if (!this.reference.Has(this.prefix + name))
                return;
            this.Add(name, this.map.Pairs(parameter, this.reference.Read(this.prefix + name), ours));
        }

        private void Add(string name, IEnumerable<(Tensor, Tensor)> pairs) => this.Differences.Add(Difference.Of(
            $"{this.prefix["step_f64_".Length..^1]}: {name}", pairs, largest => this.isDouble ? Double * Math.Max(1, largest) : (Single * largest) + SingleFloor));
    }
}
