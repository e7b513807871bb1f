using FusionGen.Training;
using static TorchSharp.torch;

namespace FusionGen.Runtime.Tests.Search;

/// <summary>A policy of the toy, as the generator would write it.</summary>
internal sealed record ToyPolicy(IReadOnlyList<int> Choices) : IPolicy<ToyPolicy>
{
    public static IReadOnlyList<LayerCandidates> Layers { get; } =
    [
        new(["add", "scale", "mix"], [0, 0.1, 1]),
        new(["add"], [0]),
        new(["scale", "mix"], [0.1, 1]),
    ];

    public string Model => "Toy";

    public string SpecHash => "toy";

    public IReadOnlyList<string> Names => [.. Layers.Zip(this.Choices, (layer, choice) => layer.Names[choice])];

    public static ToyPolicy FromChoices(IReadOnlyList<int> choices) => new(choices);
}

/// <summary>
/// A hand-written network small enough for finite differences in float64 and smooth enough for second derivatives:
/// three layers of tanh, each fusing by a shift, a gain or a matrix.
/// </summary>
internal static class Toy
{
    public const int Width = 4;
    public const int Classes = 3;
    public const int Side = 2;

    public static NetworkPlan Plan(TrainSettings? train = null) => new()
    {
        Model = "Toy",
        SpecHash = "toy",
        Family = "toy",
        ImageSize = Side,
        Tokens = 1,
        Width = Width,
        Depth = 3,
        Classes = Classes,
        BackboneParameters = 48,
        FrozenParameters = 48,
        TunedParameters = 64,
        HeadParameters = 15,
        Macs = 1,
        ActivationBytesPerImage = 1,
        Search = new SearchSettings(),
        Train = train ?? new TrainSettings(),
    };

    public static IReadOnlyList<TensorSpec> Specs(bool withArchitecture)
    {
        var normal = Initializer.Normal(0.5);
        List<TensorSpec> specs =
        [
            new("backbone.weight", TensorRole.Frozen, [Width, 3 * Side * Side], normal),
            new("prompts.0", TensorRole.Tuned, [Width], normal),
            new("prompts.1", TensorRole.Tuned, [Width], normal),
            new("operators.scale", TensorRole.Tuned, [Width], normal),
            new("operators.mix", TensorRole.Tuned, [Width, Width], normal),
            new("head.weight", TensorRole.Head, [Classes, Width], normal),
            new("head.bias", TensorRole.Head, [Classes], normal),
        ];
        if (withArchitecture)
        {
            specs.Add(new("architecture.0", TensorRole.Architecture, [3], normal));
            specs.Add(new("architecture.2", TensorRole.Architecture, [2], normal));
        }
        return specs;
    }

    public static Tensor Embed(Tensor images, Tensor weight) => images.reshape(images.shape[0], -1).matmul(weight.t());

    public static Tensor Apply(string name, int layer, Tensor u, Func<string, Tensor> value) => name switch
    {
        "add" => u + value(layer == 0 ? "prompts.0" : "prompts.1"),
        "scale" => u * value("operators.scale"),
        _ => u.matmul(value("operators.mix")).tanh(),
    };
}

internal sealed class ToySupernet(ScalarType dtype = ScalarType.Float64, TrainSettings? train = null)
    : Supernet<ToyPolicy>(Toy.Plan(train), Toy.Specs(withArchitecture: true), CPU, dtype)
{
    public override Tensor Forward(Tensor images, IReadOnlyList<Tensor> values, Mixture mixture)
    {
        using var scope = NewDisposeScope();
        return this.Body(images, values, mixture).matmul(values[this.IndexOf("head.weight")].t()).add(values[this.IndexOf("head.bias")]).MoveToOuterDisposeScope();
    }

    public override Tensor Features(Tensor images, IReadOnlyList<Tensor> values, Mixture mixture)
    {
        using var scope = NewDisposeScope();
        return this.Body(images, values, mixture).MoveToOuterDisposeScope();
    }

    private Tensor Body(Tensor images, IReadOnlyList<Tensor> values, Mixture mixture)
    {
        Tensor Value(string name) => values[this.IndexOf(name)];
        var u = Toy.Embed(images, Value("backbone.weight"));
        for (var layer = 0; layer < this.Layers.Count; layer++)
        {
            var candidates = this.Layers[layer].Names.Select(name => Toy.Apply(name, layer, u, Value)).ToList();
            u = mixture.Weights[layer] is { } weights
                ? candidates.Select((candidate, i) => candidate * weights.narrow(0, i, 1)).Aggregate((a, b) => a + b).tanh()
                : candidates[0].tanh();
        }
        return u;
    }
}

internal sealed class ToyModel(IReadOnlyList<string> policy, ScalarType dtype = ScalarType.Float64)
    : FusionModel(Toy.Plan(), Toy.Specs(withArchitecture: false), policy, CPU, dtype)
{
    public override Tensor Forward(Tensor images, IReadOnlyList<Tensor> values)
    {
        using var scope = NewDisposeScope();
        return this.Features(images, values).matmul(values[this.IndexOf("head.weight")].t()).add(values[this.IndexOf("head.bias")]).MoveToOuterDisposeScope();
    }

    public override Tensor Features(Tensor images, IReadOnlyList<Tensor> values)
    {
        using var scope = NewDisposeScope();
        Tensor Value(string name) => values[this.IndexOf(name)];
        var u = Toy.Embed(images, Value("backbone.weight"));
        for (var layer = 0; layer < this.Policy.Count; layer++)
            u = Toy.Apply(this.Policy[layer], layer, u, Value).tanh();
        return u.MoveToOuterDisposeScope();
    }
}

/// <summary>Images drawn by seed, split, epoch and place; every class has pixels that are brighter, so that there is something to learn.</summary>
internal sealed class ToyBatches(string split, int batches, int size) : IBatches
{
    public int Count => batches;

    public IEnumerable<(Tensor Images, Tensor Labels)> Epoch(long seed, int epoch)
    {
        for (var batch = 0; batch < batches; batch++)
        {
            // The last batch is smaller, as last batches are.
            var samples = batch == batches - 1 ? Math.Max(1, size - 1) : size;
            yield return Draw(SplitMix.For(seed, $"{split}.{epoch}.{batch}"), samples);
        }
    }

    public static (Tensor Images, Tensor Labels) Draw(SplitMix random, int samples)
    {
        const int pixels = 3 * Toy.Side * Toy.Side;
        var images = new float[samples * pixels];
        var labels = new long[samples];
        for (var i = 0; i < samples; i++)
        {
            labels[i] = random.Next(Toy.Classes);
            for (var j = 0; j < pixels; j++)
                images[(i * pixels) + j] = (float)(random.NextGaussian() + (j % Toy.Classes == labels[i] ? 2 : 0));
        }
        return (tensor(images, [samples, 3, Toy.Side, Toy.Side]), tensor(labels));
    }
}
