using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace TorchSharp;

/// <summary>
/// An ATen operator, by the name and overload of its schema (<c>native_functions.yaml</c>). Found at the first call.
/// Trailing arguments left out take the schema's defaults, which is what lets one binding serve many versions of libtorch.
/// Without a libtorch, <see cref="ManagedOperators"/> has some of them.
/// </summary>
internal sealed unsafe class Operator(string name, string overload = "")
{
    /// <summary>Longest tuple an operator in use returns.</summary>
    private const int MaxResults = 4;

    private readonly Lazy<nint> handle = new(() => Native.Find(name, overload, out var found) == 0 ? found : 0);

    private readonly Lazy<ManagedOperator?> managed = new(() => ManagedOperators.Find(name, overload));

    /// <summary>Whether this libtorch has the operator.</summary>
    public bool Exists => LibTorch.IsPresent ? this.handle.Value != 0 : this.managed.Value is not null;

    /// <summary>The only result.</summary>
    public Tensor Call(params ReadOnlySpan<Argument> arguments)
    {
        Value result;
        this.Invoke(arguments, &result, 1);
        return new Tensor(result.Pointer, result.Length);
    }

    /// <summary>The first two results.</summary>
    public (Tensor First, Tensor Second) CallPair(params ReadOnlySpan<Argument> arguments)
    {
        var results = stackalloc Value[MaxResults];
        var count = this.Invoke(arguments, results, MaxResults);
        for (var i = 2; i < count; i++)
        {
            if (results[i].Tag == Tag.Tensor && results[i].Pointer != 0)
                Handles.Release(results[i].Pointer);
        }
        return (new Tensor(results[0].Pointer), new Tensor(results[1].Pointer));
    }

    /// <summary>All three results.</summary>
    public (Tensor First, Tensor Second, Tensor Third) CallTriple(params ReadOnlySpan<Argument> arguments)
    {
        var results = stackalloc Value[MaxResults];
        this.Invoke(arguments, results, 3);
        return (new Tensor(results[0].Pointer), new Tensor(results[1].Pointer), new Tensor(results[2].Pointer));
    }

    /// <summary>The result, a list.</summary>
    public Tensor[] CallList(params ReadOnlySpan<Argument> arguments)
    {
        Value result;
        LibTorch.Require($"the operator {name}");
        this.Invoke(arguments, &result, 1);
        var tensors = new Tensor[result.Length];
        for (var i = 0; i < tensors.Length; i++)
            tensors[i] = new Tensor(((nint*)result.Pointer)[i]);
        Native.FreeHandles(result.Pointer);
        return tensors;
    }

    /// <summary>The result, a number or a truth value.</summary>
    public Value CallValue(params ReadOnlySpan<Argument> arguments)
    {
        Value result;
        this.Invoke(arguments, &result, 1);
        return result;
    }

    /// <summary>For operators that work in place: the result is the first argument, and what is returned is <paramref name="self"/>.</summary>
    public Tensor CallOn(Tensor self, params ReadOnlySpan<Argument> rest)
    {
        if (!LibTorch.IsPresent)
        {
            this.RunManaged([self, .. rest]);
            return self;
        }
        var values = stackalloc Value[rest.Length + 1];
        values[0] = new Value { Tag = Tag.Tensor, Pointer = self.Handle };
        var words = stackalloc long[WordsOf(rest)];
        Write(rest, values + 1, words);
        this.Run(values, rest.Length + 1, null, 0);
        GC.KeepAlive(self);
        KeepAlive(rest);
        return self;
    }

    private int Invoke(ReadOnlySpan<Argument> arguments, Value* results, int room)
    {
        if (!LibTorch.IsPresent)
            return ManagedOperators.Unpack(this.RunManaged(arguments), new Span<Value>(results, room));
        var values = stackalloc Value[arguments.Length];
        var words = stackalloc long[WordsOf(arguments)];
        Write(arguments, values, words);
        var count = this.Run(values, arguments.Length, results, room);
        KeepAlive(arguments);
        return count;
    }

    private object RunManaged(ReadOnlySpan<Argument> arguments)
    {
        var result = (this.managed.Value ?? throw LibTorch.Needed($"the operator {name}"))(new ManagedArguments(arguments));
        KeepAlive(arguments);
        return result;
    }

    private int Run(Value* arguments, int count, Value* results, int room)
    {
        if (!this.Exists)
            throw new NotSupportedException($"libtorch {__version__} has no operator {name}{(overload.Length == 0 ? "" : ".")}{overload}");
        Native.Check(Native.Call(this.handle.Value, arguments, count, results, room, out var returned));
        return returned;
    }

    /// <summary>Words needed to lay out the lists and strings among the arguments.</summary>
    private static int WordsOf(ReadOnlySpan<Argument> arguments)
    {
        var words = 0;
        foreach (ref readonly var argument in arguments)
        {
            if (argument.Reference is Array list)
                words += list is byte[] ? (list.Length + 7) / 8 : list.Length;
        }
        return words;
    }

    private static void Write(ReadOnlySpan<Argument> arguments, Value* values, long* words)
    {
        for (var i = 0; i < arguments.Length; i++)
        {
            ref readonly var argument = ref arguments[i];
            ref var value = ref values[i];
            value.Tag = argument.Tag;
            value.Length = 0;
            switch (argument.Reference)
            {
                case null:
                    value.Integer = argument.Bits;
                    break;
                case Tensor tensor:
                    value.Pointer = tensor.Handle;
                    break;
                case Generator generator:
                    value.Pointer = generator.Handle;
                    break;
                case Tensor?[] tensors:
                    value.Length = tensors.Length;
                    value.Pointer = (nint)words;
                    foreach (var tensor in tensors)
                        *words++ = tensor is null ? 0 : tensor.Handle;
                    break;
                case byte[] text:
                    value.Length = text.Length;
                    value.Pointer = (nint)words;
                    text.CopyTo(new Span<byte>(words, text.Length));
                    words += (text.Length + 7) / 8;
                    break;
                case long[] integers:
                    value.Length = integers.Length;
                    value.Pointer = (nint)words;
                    integers.CopyTo(new Span<long>(words, integers.Length));
                    words += integers.Length;
                    break;
                case double[] reals:
                    value.Length = reals.Length;
                    value.Pointer = (nint)words;
                    reals.CopyTo(new Span<double>(words, reals.Length));
                    words += reals.Length;
                    break;
            }
        }
    }

    /// <summary>A tensor that is only an argument must not be finalised while the native side uses its handle.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void KeepAlive(ReadOnlySpan<Argument> arguments)
    {
        foreach (ref readonly var argument in arguments)
            GC.KeepAlive(argument.Reference);
    }
}
