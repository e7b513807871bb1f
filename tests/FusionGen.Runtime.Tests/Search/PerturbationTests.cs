using FusionGen.Reporting;
using FusionGen.Search;
using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Runtime.Tests.Search;

/// <summary>Policies by perturbation: the choices that trying everything makes, at any seed; the same bits wherever it was stopped.</summary>
[TestFixture]
internal sealed class PerturbationTests
{
    private static readonly SearchSettings Settings = SearchSettings.Pfd with
    {
        Order = SearchOrder.First,
        Epochs = 3,
        Warmup = 1,
        TemperatureFrom = 1,
        TemperatureTo = 1,
        Optimizer = new() { LearningRate = 0.05 },
        Architecture = new() { LearningRate = 0.1, WeightDecay = 0 },
        Discretise = Discretisation.Perturbation,
        PerturbLayers = 1,
        PerturbEpochs = 2,
    };

    /// <summary>Shares, accuracies and losses computed anew from nothing but α and the network as a function.</summary>
    [Test]
    public void The_candidate_stays_whose_removal_costs_most([Range(1, 6)] int seed)
    {
        using var network = new ToySupernet();
        using var folder = new TemporaryFolder();
        network.Initialize(seed);
        var policy = Run(network, Settings with { PerturbEpochs = 0 }, seed, folder.Path).Policy;
        using var guard = no_grad();
        var shares = network.ReadAlphas().Select(alpha => alpha.Select(a => Math.Exp(a) / alpha.Sum(Math.Exp)).ToArray()).ToArray();
        var rows = File.ReadAllLines(folder["perturb.csv"]).Skip(1).Select(line => line.Split(',')).ToList();
        var order = rows.Select(row => int.Parse(row[0], System.Globalization.CultureInfo.InvariantCulture)).Distinct().ToList();
        Assert.That(order, Is.EquivalentTo(new[] { 0, 2 }));
        foreach (var layer in order)
        {
            var worst = (Choice: -1, Correct: int.MaxValue, Loss: 0.0);
            for (var candidate = 0; candidate < shares[layer].Length; candidate++)
            {
                var without = shares.Select(share => share.ToArray()).ToArray();
                without[layer] = [.. shares[layer].Select((share, i) => i == candidate ? 0 : share / (1 - shares[layer][candidate]))];
                var (correct, loss) = Validate(network, without);
                var row = rows.Single(row => row[0] == $"{layer}" && row[1] == network.Layers[layer].Names[candidate]);
                Assert.That(double.Parse(row[3], System.Globalization.CultureInfo.InvariantCulture), Is.EqualTo(loss).Within(1e-9));
                if (correct < worst.Correct || (correct == worst.Correct && loss > worst.Loss))
                    worst = (candidate, correct, loss);
            }
            Assert.That(policy.Choices[layer], Is.EqualTo(worst.Choice), $"layer {layer}");
            shares[layer] = [.. shares[layer].Select((_, i) => i == worst.Choice ? 1.0 : 0)];
        }
    }

    [Test]
    public void Seeds_decide_the_order_of_layers() =>
        Assert.That(Enumerable.Range(1, 8).Select(seed =>
        {
            using var network = new ToySupernet();
            using var folder = new TemporaryFolder();
            network.Initialize(1);
            Run(network, Settings with { Epochs = 2, PerturbEpochs = 0 }, seed, folder.Path);
            return File.ReadAllLines(folder["perturb.csv"])[1].Split(',')[0];
        }).Distinct(), Is.EquivalentTo(new[] { "0", "2" }));

    /// <summary>Stopped in the search, in a round of fine-tuning or at its end; killed when a layer was judged but not yet saved.</summary>
    [TestCase(7, null)]
    [TestCase(15, null)]
    [TestCase(17, null)]
    [TestCase(22, null)]
    [TestCase(25, null)]
    [TestCase(0, "perturb 1/2")]
    [TestCase(0, "perturb 2/2")]
    public void It_continues_to_the_same_bits(int stopAfter, string? killAt)
    {
        var expected = Discretise(null);
        using var folder = new TemporaryFolder();
        Assert.That(() => Discretise(folder.Path, stopAfter, killAt), killAt is null ? Throws.TypeOf<FusionException>() : Throws.InvalidOperationException);
        Assert.That(Discretise(folder.Path, initial: 99), Is.EqualTo(expected));
        Assert.That(Discretise(folder.Path, initial: 98, stopAfter: 1), Is.EqualTo(expected), "nothing is left to do");
    }

    private static byte[] Discretise(string? folder, int stopAfter = 0, string? killAt = null, long initial = 1)
    {
        using var network = new ToySupernet();
        network.Initialize(1);
        using var other = new ToySupernet();
        other.Initialize(initial);
        using (no_grad())
        {
            foreach (var spec in network.Specs.Where(spec => spec.Role != TensorRole.Frozen))
                network[spec.Name].copy_(other[spec.Name]);
        }
        using var cancellation = new CancellationTokenSource();
        using var search = New(network, Settings, new RunContext { Seed = 3, Folder = folder, Progress = new Killer(killAt) });
        var steps = 0;
        search.AfterStep = (_, _) =>
        {
            if (++steps == stopAfter)
                cancellation.Cancel();
        };
        var policy = search.Run(cancellation.Token).Policy;
        return [.. network.Table.SelectMany(parameter => parameter.detach().bytes.ToArray()), .. policy.Choices.Select(choice => (byte)choice)];
    }

    private static (int Correct, double Loss) Validate(ToySupernet network, double[][] shares)
    {
        using var mixture = Mixture.Shares([.. shares.Select(share => share.Length < 2 ? [] : share)], ScalarType.Float64, CPU);
        var (correct, count, loss) = (0, 0, 0.0);
        foreach (var (images, labels) in new ToyBatches("validation", 3, 6).Epoch(0, 0))
        {
            using var scope = NewDisposeScope();
            var logits = network.Forward(images.to(ScalarType.Float64), network.Table, mixture);
            correct += (int)logits.argmax(1).eq(labels).sum().item<long>();
            loss += nn.functional.cross_entropy(logits, labels).item<double>() * labels.numel();
            count += (int)labels.numel();
        }
        return (correct, loss / count);
    }

    private static SearchResult Run(ToySupernet network, SearchSettings settings, long seed, string folder)
    {
        using var search = New(network, settings, new RunContext { Seed = seed, Folder = folder });
        return search.Run();
    }

    private static BilevelSearch New(ToySupernet network, SearchSettings settings, RunContext context) =>
        new(network, new ToyBatches("train", 5, 8), new ToyBatches("validation", 3, 6), settings, context);

    private sealed class Killer(string? at) : IProgressSink
    {
        public void Step(Progress progress)
        {
        }

        public void Epoch(Progress progress)
        {
        }

        public void Note(string text)
        {
            if (at is not null && text.StartsWith(at, StringComparison.Ordinal))
                throw new InvalidOperationException("the plug was pulled");
        }
    }
}
