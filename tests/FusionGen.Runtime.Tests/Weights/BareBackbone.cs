using FusionGen.Runtime.Tests.Search;
using static TorchSharp.torch;

namespace FusionGen.Runtime.Tests.Weights;

/// <summary>A network that has a backbone's parameters and computes nothing.</summary>
internal sealed class BareBackbone(IReadOnlyList<TensorSpec> specs) : FusionNetwork(Toy.Plan(), specs, null, ScalarType.Float32)
{
    public override Tensor Forward(Tensor images, IReadOnlyList<Tensor> values) => throw new NotSupportedException();

    public override Tensor Features(Tensor images, IReadOnlyList<Tensor> values) => throw new NotSupportedException();

    public float[] Values(string name) => [.. this[name].detach().data<float>()];
}
