using System.Runtime.InteropServices;

namespace TorchSharp;

/// <summary>Computes an operator. The result is a <see cref="ManagedTensor"/>, two of them as a pair, or a number or truth value.</summary>
internal delegate object ManagedOperator(ManagedArguments arguments);

/// <summary>
/// The operators that work without libtorch, by schema name and overload: what handling parameters, batches and results of the static engine takes.
/// They are plain loops and record no gradients.
/// </summary>
internal static partial class ManagedOperators
{
    private static readonly Dictionary<string, ManagedOperator> all = new(
        new[] { Factories, Views, Pointwise, Reductions }.SelectMany(group => group), StringComparer.Ordinal);

    /// <summary>Names with overloads, as in the schema but for the namespace.</summary>
    public static IReadOnlyCollection<string> Names => all.Keys;

    /// <summary>Null where libtorch is needed. An operator in place is the plain one, its result copied into the first argument.</summary>
    public static ManagedOperator? Find(string name, string overload)
    {
        var plain = name["aten::".Length..];
        var suffix = overload.Length == 0 ? "" : "." + overload;
        if (all.TryGetValue(plain + suffix, out var found))
            return found;
        if (!plain.EndsWith('_') || !all.TryGetValue(plain[..^1] + suffix, out found))
            return null;
        return arguments =>
        {
            var self = arguments.Tensor(0);
            self.CopyFrom((ManagedTensor)found(arguments));
            return self;
        };
    }

    /// <summary>What libtorch would throw.</summary>
#pragma warning disable CA2201 // What TorchSharp throws.
    public static ExternalException Wrong(string message) => new(message);
#pragma warning restore CA2201

    /// <summary>Writes a result as the shim would; tensors get handles.</summary>
    /// <returns>How many values there are.</returns>
    public static int Unpack(object result, Span<Value> values)
    {
        if (result is (ManagedTensor first, ManagedTensor second))
        {
            values[0] = Packed(first);
            values[1] = Packed(second);
            return 2;
        }
        values[0] = result switch
        {
            ManagedTensor tensor => Packed(tensor),
            double real => new Value { Tag = Tag.Double, Real = real },
            long integer => new Value { Tag = Tag.Int, Integer = integer },
            _ => new Value { Tag = Tag.Bool, Integer = (bool)result ? 1 : 0 },
        };
        return 1;
    }

    private static Value Packed(ManagedTensor tensor) => new() { Tag = Tag.Tensor, Pointer = tensor.Own(), Length = tensor.FreshKibibytes };

    /// <summary>A dimension counted from the front.</summary>
    private static int Wrap(long dim, int count) => dim >= -Math.Max(1, count) && dim < Math.Max(1, count)
        ? (int)(dim < 0 ? dim + Math.Max(1, count) : dim)
        : throw Wrong($"dimension {dim} of a tensor with {count}");
}
