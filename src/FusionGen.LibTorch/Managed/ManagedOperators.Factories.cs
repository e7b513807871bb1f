using static TorchSharp.torch;

namespace TorchSharp;

/// <summary>New tensors, copies, conversions.</summary>
internal static partial class ManagedOperators
{
    private static Dictionary<string, ManagedOperator> Factories => new(StringComparer.Ordinal)
    {
        ["empty.memory_format"] = a => New(a, 1),
        ["zeros"] = a => Filled(New(a, 1), 0),
        ["ones"] = a => Filled(New(a, 1), 1),
        ["full"] = a => Filled(New(a, 2), a.Real(1)),
        ["empty_like"] = a => Like(a, 1),
        ["zeros_like"] = a => Filled(Like(a, 1), 0),
        ["ones_like"] = a => Filled(Like(a, 1), 1),
        ["full_like"] = a => Filled(Like(a, 2), a.Real(1)),
        ["arange.start_step"] = Range,
        ["clone"] = a => a.Tensor(0).Converted(a.Tensor(0).Type),
        ["contiguous"] = a => a.Tensor(0).Contiguous(),
        ["to.dtype"] = a => To(a.Tensor(0), a.Type(1, ScalarType.Float32), a.Flag(3)),
        ["to.device"] = a =>
        {
            a.RequireProcessor(1);
            return To(a.Tensor(0), a.Type(2, ScalarType.Float32), a.Flag(4));
        },
        ["copy_"] = a =>
        {
            a.Tensor(0).CopyFrom(a.Tensor(1));
            return a.Tensor(0);
        },
        ["zero_"] = a => Filled(a.Tensor(0), 0),
        ["fill_.Scalar"] = a => Filled(a.Tensor(0), a.Real(1)),
        ["item"] = a =>
        {
            var tensor = a.Tensor(0);
            if (tensor.Count != 1)
                throw Wrong("a Tensor with other than one element cannot be converted to Scalar");
            return is_floating_point(tensor.Type) ? tensor.Reals()[0] : tensor.Type == ScalarType.Bool ? tensor.Integers()[0] != 0 : tensor.Integers()[0];
        },
    };

    // Schema: size or like, (value,) dtype, layout, device.
    private static ManagedTensor New(ManagedArguments a, int options)
    {
        a.RequireProcessor(options + 2);
        return ManagedTensor.Empty(a.Type(options, ScalarType.Float32), (long[])a.Integers(0).Clone());
    }

    private static ManagedTensor Like(ManagedArguments a, int options)
    {
        a.RequireProcessor(options + 2);
        return ManagedTensor.Empty(a.Type(options, a.Tensor(0).Type), a.Tensor(0).Shape);
    }

    private static ManagedTensor Filled(ManagedTensor tensor, double value)
    {
        tensor.CopyFrom(ManagedTensor.Of([value], tensor.Type));
        return tensor;
    }

    private static ManagedTensor Range(ManagedArguments a)
    {
        a.RequireProcessor(5);
        var (start, stop, step) = (a.Real(0), a.Real(1), a.Real(2));
        var values = new double[Math.Max(0, (long)Math.Ceiling((stop - start) / step))];
        for (var i = 0; i < values.Length; i++)
            values[i] = start + (i * step);
        return ManagedTensor.Of(values, a.Type(3, a.IsReal(0) || a.IsReal(1) || a.IsReal(2) ? ScalarType.Float32 : ScalarType.Int64), values.Length);
    }

    private static ManagedTensor To(ManagedTensor tensor, ScalarType type, bool copy) => copy ? tensor.Converted(type) : In(tensor, type);
}
