using FusionGen.Pretraining;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Runtime.Tests.Pretraining;

public class GrowthTests
{
    [Test]
    public void ADeeperNetworkComputesWhatTheShallowerOneDid()
    {
        using var folder = new TemporaryFolder();
        using var shallow = new Residual(2);
        shallow.Initialize(1);
        Save(shallow, folder["2"]);
        using var deep = new Residual(6);
        deep.Initialize(2);
        Growth.Deepen(deep, folder["2"]);
        using var images = ones(3, 3, 4, 4) * 0.3;
        using var before = shallow.forward(images);
        using var after = deep.forward(images);
        Assert.Multiple(() =>
        {
            Assert.That(after.data<float>().ToArray(), Is.EqualTo(before.data<float>().ToArray()));
            // The copies differ from their originals in what they add alone, and so can learn.
            Assert.That(deep["blocks.2.mlp.fc1.weight"].data<float>().ToArray(), Is.EqualTo(shallow["blocks.0.mlp.fc1.weight"].data<float>().ToArray()));
            Assert.That(deep["blocks.3.mlp.fc2.weight"].data<float>().ToArray(), Is.EqualTo(shallow["blocks.1.mlp.fc2.weight"].data<float>().ToArray()));
            Assert.That(deep["blocks.4.mlp.fc2.weight"].data<float>().ToArray(), Is.All.Zero);
        });
    }

    [Test]
    public void WeightsThatDoNotFitAreNamed()
    {
        using var folder = new TemporaryFolder();
        using var shallow = new Residual(4);
        Save(shallow, folder["4"]);
        using var deep = new Residual(6);
        Assert.That(() => Growth.Deepen(deep, folder["4"]), Throws.TypeOf<FusionException>().With.Message.Contains("6 blocks cannot be grown from 4"));
        using var wide = new Residual(8, width: 9);
        Assert.That(() => Growth.Deepen(wide, folder["4"]), Throws.TypeOf<FusionException>().With.Message.Contains("wanted (9, 48) for 'embed'"));
    }

    private static void Save(FusionNetwork network, string path) =>
        SafeTensors.Write(path, network.Specs.Zip(network.Table).Select(pair => KeyValuePair.Create(pair.First.Name, (Tensor)pair.Second)));

    /// <summary>x ← x + fc2·relu(fc1·x), some times.</summary>
    private sealed class Residual(int depth, int width = 8) : FusionNetwork(Plans.Of(4, width, depth, classes: 5), Parameters(depth, width), CPU, ScalarType.Float32)
    {
        public override Tensor Forward(Tensor images, IReadOnlyList<Tensor> values) => nn.functional.linear(this.Features(images, values), values[^1]);

        public override Tensor Features(Tensor images, IReadOnlyList<Tensor> values)
        {
            var x = nn.functional.linear(images.reshape(images.shape[0], -1), values[0]);
            for (var block = 0; block < this.Plan.Depth; block++)
                x = x + nn.functional.linear(nn.functional.linear(x, values[1 + (2 * block)]).relu(), values[2 + (2 * block)]);
            return x;
        }

        private static TensorSpec[] Parameters(int depth, int width) =>
        [
            new("embed", TensorRole.Tuned, [width, 48], Initializer.Normal(0.2)),
            .. Enumerable.Range(0, depth).SelectMany(block => new TensorSpec[]
            {
                new($"blocks.{block}.mlp.fc1.weight", TensorRole.Tuned, [width, width], Initializer.Normal(0.3)),
                new($"blocks.{block}.mlp.fc2.weight", TensorRole.Tuned, [width, width], Initializer.Normal(0.3)),
            }),
            new("head.weight", TensorRole.Head, [5, width], Initializer.Normal(0.3)),
        ];
    }
}
