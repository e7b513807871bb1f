using FusionGen.Search;
using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Runtime.Tests.Search;

/// <summary>Every order's gradient of α against central differences of the function it claims to differentiate, in float64.</summary>
[TestFixture]
internal sealed class ArchitectureGradientTests
{
    private static readonly OptimizerSettings Sgd = new() { Kind = OptimizerKind.Sgd, LearningRate = 0.3, Momentum = 0.9, WeightDecay = 0.01 };
    private static readonly OptimizerSettings AdamW = new() { LearningRate = 0.3, WeightDecay = 0.01 };

    [Test]
    public void First_order_is_the_gradient_of_the_objective_at_the_present_weights()
    {
        using var bench = new Bench(SearchOrder.First, AdamW);
        var expected = bench.Differences(() => bench.Problem.Objective(bench.Validation.Images, bench.Validation.Labels, bench.Problem.ForAlphas).Total);
        Assert.That(bench.Gradient(), Is.EqualTo(expected).Within(1e-8));
    }

    [Test]
    public void Exact_second_order_is_the_gradient_through_the_unrolled_step([Values] bool momentum)
    {
        using var bench = new Bench(SearchOrder.SecondExact, momentum ? Sgd : AdamW);
        var expected = bench.Differences(bench.Unrolled);
        Assert.That(bench.Gradient(), Is.EqualTo(expected).Within(1e-8));
    }

    [Test]
    public void Finite_differences_agree_with_the_exact_second_order([Values] bool momentum, [Values(SearchOrder.SecondFd, SearchOrder.SecondForward)] SearchOrder order)
    {
        var settings = momentum ? Sgd : AdamW;
        using var exact = new Bench(SearchOrder.SecondExact, settings);
        using var differences = new Bench(order, settings);
        var expected = exact.Gradient();
        Assert.That(differences.Gradient(), Is.EqualTo(expected).Within(1e-4 * expected.Max(Math.Abs)));
    }

    /// <summary>
    /// Straight through: the loss at the drawn vertex moves with the drawn candidates' shares of the relaxed draw, and with those alone; what is charged for is softmax(α).
    /// </summary>
    [Test]
    public void A_drawn_candidate_has_the_gradient_of_its_relaxed_share([Values(1, 2, 3, 4)] int seed)
    {
        using var bench = new Bench(SearchOrder.First, AdamW);
        var network = bench.Network;
        network.Relaxation = Relaxation.Gdas;
        network.Draw(SplitMix.For(seed, "draw"));
        var noise = network.Noise!;
        var start = Relaxed();
        var expected = bench.Differences(() =>
        {
            var now = Relaxed();
            using var mixture = Mixture.Shares(
                [.. now.Select((share, layer) => share.Select((s, i) => share.Length > 0 && i == Drawn(layer) ? 1 + s - start[layer][i] : 0).ToArray())], ScalarType.Float64, CPU);
            var loss = nn.functional.cross_entropy(network.Forward(bench.Validation.Images, network.Table, mixture), bench.Validation.Labels);
            var charged = network.ReadAlphas().Select((alpha, layer) => Softmax(alpha, 1).Zip(network.Layers[layer].Costs, (p, c) => (0.2 * p * Math.Log(p)) + (0.3 * p * c)).Sum()).Sum();
            return loss + charged;
        });
        Assert.That(bench.Gradient(), Is.EqualTo(expected).Within(1e-8));

        int Drawn(int layer) => Array.IndexOf(start[layer], start[layer].Max());

        double[][] Relaxed() => [.. network.ReadAlphas().Select((alpha, layer) => Softmax([.. alpha.Zip(noise[layer], (a, g) => a + g)], network.Temperature))];

        static double[] Softmax(double[] logits, double temperature)
        {
            var exponentials = Array.ConvertAll(logits, logit => Math.Exp(logit / temperature));
            return Array.ConvertAll(exponentials, e => e / exponentials.Sum());
        }
    }

    [Test]
    public void The_draw_follows_the_softmax_of_alpha_at_any_temperature([Values(0.1, 10)] double temperature)
    {
        const int draws = 4000;
        using var network = new ToySupernet { Relaxation = Relaxation.Gdas, Temperature = temperature };
        network.Initialize(7);
        var counts = network.Layers.Select(layer => new double[layer.Names.Count]).ToArray();
        for (var i = 0; i < draws; i++)
        {
            network.Draw(SplitMix.For(i, "draw"));
            using var mixture = network.Mix(network.Table);
            foreach (var (weights, count) in mixture.Weights.Zip(counts))
            {
                if (weights is not null)
                    count[Array.IndexOf(weights.detach().data<double>().ToArray(), 1)]++;
            }
        }
        foreach (var (shares, count) in MixtureReading.Of(network).Weights.Zip(counts).Where(pair => pair.First.Count > 0))
        {
            foreach (var (share, number) in shares.Zip(count))
                Assert.That(number / draws, Is.EqualTo(share).Within(4 * Math.Sqrt(share * (1 - share) / draws)));
        }
    }

    [Test]
    public void The_second_order_term_matters_in_these_tests()
    {
        using var first = new Bench(SearchOrder.First, AdamW);
        using var exact = new Bench(SearchOrder.SecondExact, AdamW);
        var gradient = exact.Gradient();
        var share = gradient.Zip(first.Gradient(), (a, b) => Math.Abs(a - b)).Max() / gradient.Max(Math.Abs);
        Assert.That(share, Is.GreaterThan(0.01));
    }

    [Test]
    public void No_order_moves_anything([Values] SearchOrder order)
    {
        using var bench = new Bench(order, Sgd);
        var before = bench.Network.Table.Select(parameter => parameter.detach().clone()).ToList();
        bench.Gradient();
        foreach (var (old, now) in before.Zip(bench.Network.Table))
            Assert.That(now.detach().bytes.SequenceEqual(old.bytes), Is.True);
    }

    [Test]
    public void The_regulariser_sums_over_layers_with_a_choice()
    {
        using var bench = new Bench(SearchOrder.First, AdamW);
        using var guard = no_grad();
        var objective = bench.Problem.Objective(bench.Validation.Images, bench.Validation.Labels, bench.Problem.Whole);
        double entropy = 0, cost = 0;
        foreach (var (alpha, layer) in bench.Network.Architecture(bench.Network.Table).Zip(bench.Network.Layers))
        {
            if (alpha is null)
                continue;
            var exponentials = alpha.detach().data<double>().ToArray().Select(a => Math.Exp(a / bench.Network.Temperature)).ToList();
            var shares = exponentials.Select(e => e / exponentials.Sum()).ToList();
            entropy += shares.Sum(p => p * Math.Log(p));
            cost += shares.Zip(layer.Costs, (p, c) => p * c).Sum();
        }
        Assert.That(objective.NegativeEntropy.item<double>(), Is.EqualTo(entropy).Within(1e-12));
        Assert.That(objective.Cost.item<double>(), Is.EqualTo(cost).Within(1e-12));
        var settings = bench.Problem.Settings;
        Assert.That(
            objective.Total.item<double>(),
            Is.EqualTo(objective.Loss.item<double>() + (settings.Entropy * entropy) + (settings.Cost * cost)).Within(1e-12));
    }

    /// <summary>A network two weight steps into a search, so that momentum is not zero, and two fixed batches.</summary>
    private sealed class Bench : IDisposable
    {
        private readonly IArchitectureGradient order;
        private readonly Optimizer optimizer;

        public Bench(SearchOrder order, OptimizerSettings settings)
        {
            this.order = IArchitectureGradient.Of(order);
            this.Network = new ToySupernet { Temperature = 0.7 };
            this.Network.Initialize(seed: 7);
            var search = new SearchSettings { Order = order, Entropy = 0.2, Cost = 0.3, Optimizer = settings };
            this.Problem = new BilevelProblem(this.Network, search);
            var names = this.Network.Specs.Where(spec => spec.IsTuned).Select(spec => spec.Name);
            this.optimizer = Optimizer.Create(settings, [.. names.Select(name => new OptimizedParameter(name, this.Network[name]))]);
            this.Train = Draw("train");
            this.Validation = Draw("validation");
            for (var i = 0; i < 2; i++)
            {
                using var scope = NewDisposeScope();
                var loss = this.Problem.Loss(this.Train.Images, this.Train.Labels, this.Problem.ForWeights);
                this.optimizer.Step(Gradients.Of(loss, this.Problem.Weights));
            }
        }

        public ToySupernet Network { get; }

        public BilevelProblem Problem { get; }

        public Batch Train { get; }

        public Batch Validation { get; }

        public double[] Gradient()
        {
            using var scope = NewDisposeScope();
            var (gradients, _) = this.order.Compute(this.Problem, this.optimizer, this.Train, this.Validation);
            return [.. gradients.SelectMany(gradient => gradient!.data<double>().ToArray())];
        }

        /// <summary>L_val(w − ξ(∇w L_train(w, α) + …), α) + regulariser, with nothing differentiated but the step itself.</summary>
        public Tensor Unrolled()
        {
            var loss = this.Problem.Loss(this.Train.Images, this.Train.Labels, this.Problem.ForWeights);
            var gradients = Gradients.Of(loss, this.Problem.Weights);
            Tensor[] stepped = [.. gradients.Select((gradient, i) => this.optimizer.VirtualStep(i, gradient!).detach())];
            return this.Problem.Objective(this.Validation.Images, this.Validation.Labels, this.Problem.At(stepped)).Total;
        }

        /// <summary>Central differences over every α.</summary>
        public double[] Differences(Func<Tensor> function)
        {
            const double h = 1e-5;
            var found = new List<double>();
            foreach (var alpha in this.Problem.Alphas)
            {
                for (var i = 0; i < alpha.NumberOfElements; i++)
                {
                    var up = At(alpha, i, h, function);
                    found.Add((up - At(alpha, i, -h, function)) / (2 * h));
                }
            }
            return [.. found];
        }

        public void Dispose()
        {
            this.optimizer.Dispose();
            this.Problem.Dispose();
            this.Train.Dispose();
            this.Validation.Dispose();
            this.Network.Dispose();
        }

        private static Batch Draw(string purpose)
        {
            var (images, labels) = ToyBatches.Draw(SplitMix.For(3, purpose), 6);
            return new Batch(images.to(ScalarType.Float64), labels);
        }

        private static double At(Tensor alpha, int index, double change, Func<Tensor> function)
        {
            using var scope = NewDisposeScope();
            var shift = new double[alpha.NumberOfElements];
            shift[index] = change;
            using (no_grad())
                alpha.add_(tensor(shift));
            var value = function().detach().item<double>();
            using (no_grad())
                alpha.sub_(tensor(shift));
            return value;
        }
    }
}
