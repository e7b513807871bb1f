using static TorchSharp.torch;

namespace TorchSharp;

/// <summary>The arguments of a managed operator, by their places in the schema; those left out are the schema's defaults.</summary>
internal readonly ref struct ManagedArguments(ReadOnlySpan<Argument> arguments)
{
    private readonly ReadOnlySpan<Argument> arguments = arguments;

    /// <exception cref="InvalidOperationException">The tensor is libtorch's, made before it was hidden.</exception>
    public ManagedTensor Tensor(int place) => Of((Tensor)this.arguments[place].Reference!);

    public ManagedTensor[] Tensors(int place) => Array.ConvertAll((Tensor[])this.arguments[place].Reference!, Of);

    public bool Has(int place) => place < this.arguments.Length && this.arguments[place].Tag is not (Tag.None or Tag.Default);

    public bool IsReal(int place) => this.arguments[place].Tag == Tag.Double;

    public bool IsTensor(int place) => this.arguments[place].Tag == Tag.Tensor;

    public long Integer(int place, long otherwise = 0) => this.Has(place) ? (long)this.Real(place) : otherwise;

    public double Real(int place, double otherwise = 0) => !this.Has(place)
        ? otherwise
        : this.arguments[place].Tag == Tag.Double ? BitConverter.Int64BitsToDouble(this.arguments[place].Bits) : this.arguments[place].Bits;

    public bool Flag(int place, bool otherwise = false) => this.Has(place) ? this.arguments[place].Bits != 0 : otherwise;

    public long[] Integers(int place) => this.Has(place) ? (long[])this.arguments[place].Reference! : [];

    public ScalarType Type(int place, ScalarType otherwise) => this.Has(place) ? (ScalarType)this.arguments[place].Bits : otherwise;

    /// <summary>A number as a tensor without dimensions, of the type that an operation with a tensor of another type computes it in.</summary>
    public ManagedTensor Number(int place, ScalarType other) => this.arguments[place].Tag switch
    {
        Tag.Double => ManagedTensor.Of([this.Real(place)], is_floating_point(other) ? other : ScalarType.Float32),
        Tag.Bool => ManagedTensor.Of([this.Integer(place)], other),
        _ => ManagedTensor.Of([this.arguments[place].Bits], other == ScalarType.Bool ? ScalarType.Int64 : other),
    };

    /// <summary>Refuses a device other than the processor.</summary>
    public void RequireProcessor(int place)
    {
        if (this.Has(place) && (DeviceType)(this.arguments[place].Bits & 0xff) != DeviceType.CPU)
            throw LibTorch.Needed($"the device {((DeviceType)(this.arguments[place].Bits & 0xff)).ToString().ToLowerInvariant()}");
    }

    private static ManagedTensor Of(Tensor tensor) =>
        ManagedTensor.At(tensor.Handle) ?? throw new InvalidOperationException("a tensor of libtorch was given to a managed operator");
}
