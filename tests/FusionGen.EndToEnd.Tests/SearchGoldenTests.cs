using System.Text.Json;
using FusionGen.Cli.Compilation;
using FusionGen.Compiler;
using FusionGen.Compiler.Spec;
using FusionGen.Search;
using FusionGen.Training;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.EndToEnd.Tests;

/// <summary>
/// Three steps of the released search code, and of DARTS on the same model, by a compiled supernet: every order, in float32 against the official float64 run
/// and in float64 to the last digits. First- and second-order gradients differ by 2 to 10 %, so the tolerances tell them apart.
/// </summary>
public sealed class SearchGoldenTests
{
    private const string Bank = "fusion_banks.48_17_4.";

    [TestCase("pfd_search", SearchOrder.SecondExact)]
    [TestCase("pfd_search_clip", SearchOrder.SecondExact)]
    [TestCase("pfd_search_official", SearchOrder.SecondExact)]
    [TestCase("pfd_search_first", SearchOrder.First)]
    public void Released_search_is_reproduced(string golden, SearchOrder order)
    {
        foreach (var dtype in new[] { ScalarType.Float64, ScalarType.Float32 })
        {
            using var run = new Run(golden, dtype);
            var settings = run.Settings(order, "architecture_optimizer", OptimizerKind.AdamW, OptimizerKind.AdamW) with
            {
                Entropy = run.Number("entropy_weight"),
                Cost = run.Number("cost_weight"),
                Clip = run.Number("grad_clip"),
            };
            using var steps = new BilevelSteps(run.Network, settings);
            for (var i = 0; i < 3; i++)
            {
                using var scope = NewDisposeScope();
                var seen = Run.Watch(steps);
                run.Network.Temperature = run.Numbers("temperatures")[i];
                steps.Weights.Optimizer.LearningRate = run.Case.GetProperty("weight_optimizer").GetProperty("lr")[i].GetDouble();

                steps.StepWeights(run.Batch("train", i));
                run.Near(i, "w/train_loss", tensor(steps.Weights.Figures.Last[0]));
                run.Near(i, "w/train_logits", seen["weights.logits"]);
                foreach (var weight in run.Weights)
                    run.Near(i, $"w/grad/{weight}", seen[$"weights.gradient.{Ours(weight)}"]);
                run.NearWeights(i);

                steps.StepArchitecture(run.Batch("train", i), run.Batch("val", i));
                run.Near(i, "a/alpha_grad_raw", Rows(seen, "architecture.gradient"));
                run.Near(i, "a/alpha_grad_after_clip", Rows(seen, "architecture.clipped"));
                string[] figures = ["objective", "val_loss", "grad_norm_before_clip", "negative_entropy", "expected_cost"];
                foreach (var (name, figure) in figures.Zip(steps.Architecture.Figures.Last))
                    run.Near(i, $"a/{name}", tensor(figure));
                run.NearAlpha(i);
            }
        }
    }

    [TestCase("pfd_search_darts1", SearchOrder.First)]
    [TestCase("pfd_search_darts2", SearchOrder.SecondFd)]
    public void Darts_is_reproduced(string golden, SearchOrder order)
    {
        foreach (var dtype in new[] { ScalarType.Float64, ScalarType.Float32 })
        {
            using var run = new Run(golden, dtype);
            var settings = run.Settings(order, "architecture_optimizer", OptimizerKind.Sgd, OptimizerKind.Adam) with { Entropy = 0, Cost = 0, Clip = 0 };
            using var problem = new BilevelProblem(run.Network, settings);
            using var steps = new BilevelSteps(run.Network, settings, run.Case.GetProperty("weight_optimizer").GetProperty("grad_clip_norm").GetDouble());
            run.Network.Temperature = run.Number("temperature");
            for (var i = 0; i < 3; i++)
            {
                using var scope = NewDisposeScope();
                var seen = Run.Watch(steps);
                var exact = order == SearchOrder.First ? SearchOrder.First : SearchOrder.SecondExact;
                var (gradients, _) = IArchitectureGradient.Of(exact).Compute(problem, steps.Weights.Optimizer, run.Batch("train", i), run.Batch("val", i));
                run.Near(i, "a/alpha_grad_exact", stack(gradients.Select(gradient => gradient!)));

                steps.StepArchitecture(run.Batch("train", i), run.Batch("val", i));
                run.Near(i, "a/alpha_grad", Rows(seen, "architecture.gradient"));
                run.Near(i, order == SearchOrder.First ? "a/val_loss_current" : "a/unrolled_val_loss", tensor(steps.Architecture.Figures.Last[1]));
                run.NearAlpha(i);

                steps.StepWeights(run.Batch("train", i));
                run.Near(i, "w/train_loss", tensor(steps.Weights.Figures.Last[0]));
                run.Near(i, "w/grad_norm_before_clip", seen["weights.norm"]);
                run.NearWeights(i);
            }
        }
    }

    [Test]
    public void Five_steps_of_vpt_deep_are_reproduced()
    {
        foreach (var dtype in new[] { ScalarType.Float64, ScalarType.Float32 })
        {
            using var run = new Run("vpt_deep_train5", dtype, Specs.Operator("prefix"));
            using var optimizer = Optimizer.Create(
                new OptimizerSettings { Kind = OptimizerKind.Sgd, Momentum = run.Number("momentum"), WeightDecay = run.Number("weight_decay") },
                [.. run.Tuned.Select(spec => new OptimizedParameter(spec.Name, run.Model[spec.Name], spec.Name != "head.bias"))]);
            for (var i = 0; i < 5; i++)
            {
                using var scope = NewDisposeScope();
                optimizer.LearningRate = run.Numbers("lr_per_step")[i];
                var batch = run.Batch("train", i);
                var logits = run.Model.forward(batch.Images);
                var loss = nn.functional.cross_entropy(logits, batch.Labels);
                optimizer.Step(Gradients.Of(loss, [.. optimizer.Parameters.Select(parameter => parameter.Value)]));
                run.Near(i, "train_logits", logits);
                run.Near(i, "train_loss", loss);
                using var guard = no_grad();
                run.Near(i, "after/enc.transformer.prompt_embeddings", run.Model["prompts.0"].unsqueeze(0));
                run.Near(i, "after/enc.transformer.deep_prompt_embeddings", stack(Enumerable.Range(1, 3).Select(layer => (Tensor)run.Model[$"prompts.{layer}"])));
                run.Near(i, "after/head.last_layer.weight", run.Model["head.weight"]);
                run.Near(i, "after/head.last_layer.bias", run.Model["head.bias"]);
            }
        }
    }

    private static Tensor Rows(Dictionary<string, Tensor> seen, string kind) =>
        stack(Enumerable.Range(0, 4).Select(layer => seen[$"{kind}.architecture.{layer}"]));

    /// <summary>Our name of an official parameter of prompt-fusion discovery.</summary>
    private static string Ours(string official) => official.Replace("backbone.", "", StringComparison.Ordinal).Replace(Bank, "", StringComparison.Ordinal);

    /// <summary>A golden case and the compiled network in its state.</summary>
    private sealed class Run : IDisposable
    {
        /// <summary>All search cases are of one network: it is compiled once.</summary>
        private static readonly Lazy<CompiledSpec> Searched = new(() =>
        {
            (string Name, string Kind)[] operators = [("add", "add"), ("affine", "affine"), ("concat", "concat"), ("cross", "cross-attention")];
            using var file = Open("pfd_search");
            using var prices = file.Read("state/operator_costs");
            return CompiledSpec.Compile(Document([.. operators.Select(o => Specs.Operator(o.Kind) with { Name = o.Name })], prices.data<float>().ToArray()), null);
        });

        private readonly SafeTensors file;
        private readonly SafeTensors inputs;
        private readonly ScalarType dtype;
        private readonly FusionNetwork network;

        /// <summary>A supernet of the authors' four operators in the state of the search cases.</summary>
        public Run(string golden, ScalarType dtype)
            : this(golden, dtype, "pfd_search")
        {
            this.network = Searched.Value.CreateSupernet(dtype: dtype);
            foreach (var entry in this.inputs.Entries.Where(entry => entry.Name.StartsWith("state/", StringComparison.Ordinal)))
                this.LoadSearchState(entry.Name["state/".Length..]);
        }

        /// <summary>A model of one operator in every layer, in the state of a VPT case.</summary>
        public Run(string golden, ScalarType dtype, OperatorSpec everywhere)
            : this(golden, dtype, golden)
        {
            var spec = Document([everywhere], []);
            var policy = new PolicyDocument(spec.Model, SpecHash.Of(spec), Enumerable.Repeat(everywhere.Name, 4).ToEquatableArray());
            this.network = CompiledSpec.Compile(spec, policy).CreateModel(dtype: dtype);
            using var guard = no_grad();
            foreach (var parameter in this.network.Specs)
                this.network[parameter.Name].copy_(this.VptState(parameter.Name));
        }

        private Run(string golden, ScalarType dtype, string inputs)
        {
            this.dtype = dtype;
            this.file = Open(golden);
            this.inputs = Open(inputs);
            this.Case = JsonDocument.Parse(this.file.Metadata["case"]).RootElement;
            this.network = null!;
        }

        public JsonElement Case { get; }

        public Supernet Network => (Supernet)this.network;

        public FusionModel Model => (FusionModel)this.network;

        public IEnumerable<TensorSpec> Tuned => this.network.Specs.Where(spec => spec.IsTuned);

        public IReadOnlyList<string> Weights => [.. this.Case.GetProperty("representative_weights").EnumerateArray().Select(name => name.GetString()!)];

        public double Number(string name) => this.Case.GetProperty(name).GetDouble();

        public double[] Numbers(string name) => [.. this.Case.GetProperty(name).EnumerateArray().Select(number => number.GetDouble())];

        public Batch Batch(string split, int step) =>
            new(this.inputs.Read($"input/{split}_images_{step}").to(this.dtype), this.inputs.Read($"input/{split}_labels_{step}"));

        public SearchSettings Settings(SearchOrder order, string architecture, OptimizerKind weights, OptimizerKind alpha) => new()
        {
            Order = order,
            TemperatureCurve = Curve.Constant,
            Optimizer = Optimizer(this.Case.GetProperty("weight_optimizer"), weights),
            Architecture = Optimizer(this.Case.GetProperty(architecture), alpha),
        };

        /// <summary>What the steps show, kept until the next call.</summary>
        public static Dictionary<string, Tensor> Watch(BilevelSteps steps)
        {
            var seen = new Dictionary<string, Tensor>(StringComparer.Ordinal);
            steps.Trace = (name, value) => seen[name] = value.detach().clone().DetachFromDisposeScope();
            return seen;
        }

        /// <summary>Against the official float64 run: to 1e-8 in float64; in float32 to 1e-4 of the largest (the official float32 run is off by up to 1e-5).</summary>
        public void Near(int step, string name, Tensor actual)
        {
            using var scope = NewDisposeScope();
            var expected = this.file.Read($"step_f64_{step}/{name}");
            Assert.That(actual.shape, Is.EqualTo(expected.shape), name);
            var largest = expected.abs().max().item<double>();
            var tolerance = this.dtype == ScalarType.Float64 ? 1e-8 * Math.Max(1, largest) : (1e-4 * largest) + 1e-7;
            Assert.That((actual.detach().to(ScalarType.Float64) - expected).abs().max().item<double>(), Is.LessThan(tolerance), $"step {step}: {name}, {this.dtype}");
        }

        public void NearWeights(int step)
        {
            foreach (var weight in this.Weights)
                this.Near(step, $"w/after/{weight}", this.network[Ours(weight)]);
        }

        public void NearAlpha(int step) =>
            this.Near(step, "a/architecture_logits", stack(Enumerable.Range(0, 4).Select(layer => this.network[$"architecture.{layer}"].detach())));

        public void Dispose()
        {
            this.file.Dispose();
            this.inputs.Dispose();
            this.network.Dispose();
        }

        private static SafeTensors Open(string golden) => SafeTensors.Open(Path.Combine(TestContext.CurrentContext.TestDirectory, "goldens", $"{golden}.safetensors"));

        private static OptimizerSettings Optimizer(JsonElement given, OptimizerKind kind)
        {
            var settings = new OptimizerSettings
            {
                Kind = kind,
                LearningRate = given.GetProperty("lr") is { ValueKind: JsonValueKind.Number } rate ? rate.GetDouble() : 0,
                WeightDecay = given.GetProperty("weight_decay").GetDouble(),
            };
            return kind == OptimizerKind.Sgd
                ? settings with { Momentum = given.GetProperty("momentum").GetDouble() }
                : settings with { Beta1 = given.GetProperty("betas")[0].GetDouble(), Beta2 = given.GetProperty("betas")[1].GetDouble() };
        }

        /// <summary>The network of the cases: 32×32 images in 8×8 patches, width 48, 4 blocks of 4 heads, 5 prompts, 7 classes.</summary>
        private static SpecDocument Document(IReadOnlyList<OperatorSpec> operators, float[] prices) => Specs.Tiny(depth: 4) with
        {
            Operators = operators.Select((kind, i) => prices.Length == 0 ? kind : kind with
            {
                Options = kind.Options.Where(option => option.Name != "cost").Append(new OptionValue("cost", prices[i])).ToEquatableArray(),
            }).ToEquatableArray(),
            Layers = Enumerable.Repeat(new LayerSpec(operators.Select(kind => kind.Name).ToEquatableArray()), 4).ToEquatableArray(),
        };

        private void LoadSearchState(string official)
        {
            if (official is "selected_operators" or "operator_costs")
                return;
            using var guard = no_grad();
            using var scope = NewDisposeScope();
            if (official == "architecture_logits")
            {
                var alpha = (this.file.Has("state/architecture_logits") ? this.file : this.inputs).Read("state/architecture_logits");
                for (var layer = 0; layer < 4; layer++)
                    this.network[$"architecture.{layer}"].copy_(alpha[layer]);
                return;
            }
            this.network[Ours(official)].copy_(this.inputs.Read($"state/{official}"));
        }

        private Tensor VptState(string name)
        {
            const string transformer = "state/enc.transformer.";
            Tensor Read(string rest) => this.inputs.Read(rest);
            if (name.StartsWith("head.", StringComparison.Ordinal))
                return Read($"state/head.last_layer.{name["head.".Length..]}");
            if (name == "prompts.0")
                return Read($"{transformer}prompt_embeddings").squeeze(0);
            if (name.StartsWith("prompts.", StringComparison.Ordinal))
                return Read($"{transformer}deep_prompt_embeddings")[int.Parse(name["prompts.".Length..], System.Globalization.CultureInfo.InvariantCulture) - 1];
            if (name.Contains("attn.qkv.", StringComparison.Ordinal))
            {
                string[] parts = ["query", "key", "value"];
                return cat([.. parts.Select(part => Read(Official(name.Replace("qkv", part, StringComparison.Ordinal))))]);
            }
            return Read(Official(name));

            static string Official(string name) => transformer + (name
                .Replace("blocks.", "encoder.layer.", StringComparison.Ordinal)
                .Replace("norm1", "attention_norm", StringComparison.Ordinal)
                .Replace("norm2", "ffn_norm", StringComparison.Ordinal)
                .Replace("attn.proj", "attn.out", StringComparison.Ordinal)
                .Replace("mlp.", "ffn.", StringComparison.Ordinal)
                .Replace("cls_token", "embeddings.cls_token", StringComparison.Ordinal)
                .Replace("pos_embed", "embeddings.position_embeddings", StringComparison.Ordinal)
                .Replace("patch_embed.proj", "embeddings.patch_embeddings", StringComparison.Ordinal) switch
                {
                    "norm.weight" => "encoder.encoder_norm.weight",
                    "norm.bias" => "encoder.encoder_norm.bias",
                    var other => other,
                });
        }
    }
}
