using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Text;

namespace FusionGen.Weights;

/// <summary>
/// Reads Python pickles as an accountant would: it builds tensors, dicts, lists, tuples, numbers and texts and nothing else. Any other class or function
/// that the pickle names is refused by that name before anything is made of it; no code runs. Time and memory are bounded by the pickle's own length.
/// </summary>
internal ref struct Unpickler
{
    /// <summary>Longest pickle; the tensors' elements are not in it.</summary>
    public const int LargestPickle = 16 << 20;

    private const int MostValues = 500_000;
    private const int LongestInteger = 255;
    private const int LargestRank = 64;

    private readonly ReadOnlySpan<byte> pickle;
    private readonly string path;
    private readonly List<object?> stack = [];
    private readonly List<int> marks = [];
    private readonly Dictionary<uint, object?> memo = [];
    private readonly Dictionary<string, TorchStorage> storages = new(StringComparer.Ordinal);
    private int at;
    private int values;

    private Unpickler(ReadOnlySpan<byte> pickle, string path)
    {
        this.pickle = pickle;
        this.path = path;
    }

    /// <summary>Reads one pickle from the start of some bytes.</summary>
    /// <param name="bytes">The pickle, and whatever follows it.</param>
    /// <param name="path">The file, for messages.</param>
    /// <exception cref="FusionException">It is damaged, too large or wants more than plain values.</exception>
    public static Pickle Load(ReadOnlySpan<byte> bytes, string path)
    {
        var machine = new Unpickler(bytes[..Math.Min(bytes.Length, LargestPickle)], path);
        return new Pickle(machine.Run(), machine.storages, machine.at);
    }

    private object? Run()
    {
        while (true)
        {
            var operation = this.Byte();
            switch (operation)
            {
                case 0x80: // PROTO
                    if (this.Byte() is < 2 or > 5)
                        throw this.Refused("has a protocol that is not read");
                    break;
                case 0x95: // FRAME
                    this.Take(8);
                    break;
                case (byte)'.':
                    return this.stack.Count == 1 && this.marks.Count == 0 ? this.stack[0] : throw this.Refused("does not end with one value");
                case (byte)'(':
                    this.Push(this.marks, this.stack.Count);
                    break;
                case (byte)'0':
                    this.Pop();
                    break;
                case (byte)'1':
                    this.PopMark();
                    break;
                case (byte)'2':
                    this.Push(this.Top());
                    break;
                case (byte)'N':
                    this.Push(null);
                    break;
                case 0x88:
                    this.Push(true);
                    break;
                case 0x89:
                    this.Push(false);
                    break;
                case (byte)'J':
                    this.Push((long)BinaryPrimitives.ReadInt32LittleEndian(this.Take(4)));
                    break;
                case (byte)'K':
                    this.Push((long)this.Byte());
                    break;
                case (byte)'M':
                    this.Push((long)BinaryPrimitives.ReadUInt16LittleEndian(this.Take(2)));
                    break;
                case 0x8A: // LONG1
                    this.PushInteger(this.Take(this.Byte()));
                    break;
                case 0x8B: // LONG4
                    this.PushInteger(this.Take(this.Length4(LongestInteger)));
                    break;
                case (byte)'G':
                    this.Push(BinaryPrimitives.ReadDoubleBigEndian(this.Take(8)));
                    break;
                case (byte)'X':
                    this.Push(this.Text(this.Length4()));
                    break;
                case 0x8C: // SHORT_BINUNICODE
                    this.Push(this.Text(this.Byte()));
                    break;
                case 0x8D: // BINUNICODE8
                    this.Push(this.Text(this.Length8()));
                    break;
                case (byte)'U': // SHORT_BINSTRING, of Python 2
                    this.Push(this.Text(this.Byte()));
                    break;
                case (byte)'T':
                    this.Push(this.Text(this.Length4()));
                    break;
                case (byte)'C':
                    this.Push(this.Take(this.Byte()).ToArray());
                    break;
                case (byte)'B':
                    this.Push(this.Take(this.Length4()).ToArray());
                    break;
                case 0x8E: // BINBYTES8
                    this.Push(this.Take(this.Length8()).ToArray());
                    break;
                case (byte)']':
                    this.Push(new PickleList());
                    break;
                case (byte)'a':
                    this.Append([this.Pop()]);
                    break;
                case (byte)'e':
                    this.Append(this.PopMark());
                    break;
                case (byte)'l':
                    var items = this.PopMark();
                    this.Push(new PickleList());
                    this.Append(items);
                    break;
                case (byte)')':
                    this.Push(Array.Empty<object?>());
                    break;
                case (byte)'t':
                    this.Push(this.PopMark());
                    break;
                case 0x85 or 0x86 or 0x87: // TUPLE1, TUPLE2, TUPLE3
                    this.Push(this.Pop(operation - 0x84));
                    break;
                case (byte)'}':
                    this.Push(new PickleDict());
                    break;
                case (byte)'s':
                    this.SetItems(this.Pop(2));
                    break;
                case (byte)'u':
                    this.SetItems(this.PopMark());
                    break;
                case (byte)'d':
                    var pairs = this.PopMark();
                    this.Push(new PickleDict());
                    this.SetItems(pairs);
                    break;
                case (byte)'c':
                    var module = this.Line();
                    this.Push(this.Global(module, this.Line()));
                    break;
                case 0x93: // STACK_GLOBAL
                    this.Push(this.Pop(2) is [string from, string name] ? this.Global(from, name) : throw this.Refused("names a class by something that is no text"));
                    break;
                case (byte)'R':
                    this.Push(this.Pop(2) is [var callable, object?[] arguments] ? this.Call(callable, arguments) : throw this.Refused("calls something without a tuple of arguments"));
                    break;
                case (byte)'b':
                    // State dicts carry their modules' versions as an attribute; nothing else has state.
                    if (this.Pop() is not PickleDict || this.Top() is not PickleDict)
                        throw this.Refused("sets the state of an object; only dicts have one here");
                    break;
                case (byte)'Q':
                    this.Push(this.Storage(this.Pop()));
                    break;
                case (byte)'q':
                    this.Memoize(this.Byte());
                    break;
                case (byte)'r':
                    this.Memoize(BinaryPrimitives.ReadUInt32LittleEndian(this.Take(4)));
                    break;
                case 0x94: // MEMOIZE
                    this.Memoize((uint)this.memo.Count);
                    break;
                case (byte)'h':
                    this.Push(this.Recall(this.Byte()));
                    break;
                case (byte)'j':
                    this.Push(this.Recall(BinaryPrimitives.ReadUInt32LittleEndian(this.Take(4))));
                    break;
                default:
                    throw this.Refused(string.Create(CultureInfo.InvariantCulture, $"has operation 0x{operation:X2}, which plain values and tensors do not need"));
            }
        }
    }

    private readonly FusionException Refused(string what, Exception? cause = null) =>
        new(string.Create(CultureInfo.InvariantCulture, $"{this.path}: the pickle {what} (at byte {this.at})"), ExitCode.Data, cause);

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > this.pickle.Length - this.at)
            throw this.Refused(this.pickle.Length == LargestPickle ? $"is longer than {LargestPickle} bytes" : "is cut short");
        this.at += count;
        return this.pickle.Slice(this.at - count, count);
    }

    private byte Byte() => this.Take(1)[0];

    private int Length4(int limit = int.MaxValue) => BinaryPrimitives.ReadUInt32LittleEndian(this.Take(4)) is var length && length <= limit
        ? (int)length
        : throw this.Refused("has a length that is too large");

    private int Length8() => BinaryPrimitives.ReadUInt64LittleEndian(this.Take(8)) is <= int.MaxValue and var length
        ? (int)length
        : throw this.Refused("has a length that is too large");

    private string Text(int length) => Encoding.UTF8.GetString(this.Take(length));

    private string Line()
    {
        var end = this.pickle[this.at..].IndexOf((byte)'\n');
        if (end is < 0 or > 256)
            throw this.Refused("names a class that has no end");
        var line = this.Text(end);
        this.at++;
        return line;
    }

    private void PushInteger(ReadOnlySpan<byte> bytes)
    {
        var value = new BigInteger(bytes);
        if (value >= long.MinValue && value <= long.MaxValue)
            this.Push((long)value);
        else
            this.Push(value);
    }

    private void Push(object? value)
    {
        if (++this.values > MostValues)
            throw this.Refused($"has more than {MostValues} values");
        this.stack.Add(value);
    }

    private void Push(List<int> to, int mark)
    {
        if (++this.values > MostValues)
            throw this.Refused($"has more than {MostValues} values");
        to.Add(mark);
    }

    private readonly int Floor => this.marks.Count == 0 ? 0 : this.marks[^1];

    private object? Top() => this.stack.Count > this.Floor ? this.stack[^1] : throw this.Refused("takes a value that is not there");

    private object? Pop()
    {
        var value = this.Top();
        this.stack.RemoveAt(this.stack.Count - 1);
        return value;
    }

    private object?[] Pop(int count)
    {
        if (this.stack.Count - this.Floor < count)
            throw this.Refused("takes a value that is not there");
        var popped = this.stack.GetRange(this.stack.Count - count, count).ToArray();
        this.stack.RemoveRange(this.stack.Count - count, count);
        return popped;
    }

    private object?[] PopMark()
    {
        if (this.marks.Count == 0)
            throw this.Refused("ends a group that it did not begin");
        var popped = this.Pop(this.stack.Count - this.marks[^1]);
        this.marks.RemoveAt(this.marks.Count - 1);
        return popped;
    }

    private void Append(object?[] items)
    {
        if (this.Top() is not PickleList list)
            throw this.Refused("appends to something that is no list");
        foreach (var item in items)
            list.Add(item);
    }

    private void SetItems(object?[] pairs)
    {
        if (this.Top() is not PickleDict dict || pairs.Length % 2 != 0)
            throw this.Refused("sets items of something that is no dict");
        for (var i = 0; i < pairs.Length; i += 2)
            this.Set(dict, pairs[i], pairs[i + 1]);
    }

    private readonly void Set(PickleDict dict, object? key, object? value)
    {
        if (key is not (string or long or bool or double))
            throw this.Refused("has a dict whose key is neither text nor number");
        if (!dict.TryAdd(key, value))
            throw this.Refused($"has a dict with the key {SafeTensorsHeader.Quote(Convert.ToString(key, CultureInfo.InvariantCulture) ?? "")} twice");
    }

    private void Memoize(uint key)
    {
        if (++this.values > MostValues)
            throw this.Refused($"has more than {MostValues} values");
        this.memo[key] = this.Top();
    }

    private readonly object? Recall(uint key) => this.memo.TryGetValue(key, out var value) ? value : throw this.Refused("recalls a value that it did not keep");

    private readonly object Global(string module, string name) => $"{module}.{name}" switch
    {
        "collections.OrderedDict" => PickleCallable.OrderedDict,
        "torch._utils._rebuild_tensor_v2" => PickleCallable.RebuildTensor,
        "torch._utils._rebuild_parameter" => PickleCallable.RebuildParameter,
        "torch.DoubleStorage" => new TorchStorageType("F64"),
        "torch.FloatStorage" => new TorchStorageType("F32"),
        "torch.HalfStorage" => new TorchStorageType("F16"),
        "torch.BFloat16Storage" => new TorchStorageType("BF16"),
        "torch.LongStorage" => new TorchStorageType("I64"),
        "torch.IntStorage" => new TorchStorageType("I32"),
        "torch.ShortStorage" => new TorchStorageType("I16"),
        "torch.CharStorage" => new TorchStorageType("I8"),
        "torch.ByteStorage" => new TorchStorageType("U8"),
        "torch.BoolStorage" => new TorchStorageType("BOOL"),
        var other => throw this.Refused($"wants {SafeTensorsHeader.Quote(other)}, which is neither a tensor nor a plain container; refused. Save the state dict alone: torch.save(model.state_dict(), path)"),
    };

    private readonly object? Call(object? callable, object?[] arguments) => (callable, arguments) switch
    {
        (PickleCallable.OrderedDict, []) => new PickleDict(),
        (PickleCallable.OrderedDict, [PickleList pairs]) => this.DictOf(pairs),
        (PickleCallable.RebuildTensor, [TorchStorage storage, long offset, object?[] shape, object?[] strides, ..]) => this.TensorOf(storage, offset, shape, strides),
        (PickleCallable.RebuildParameter, [TorchTensor tensor, ..]) => tensor,
        (PickleCallable, _) => throw this.Refused($"calls {callable} with other arguments than PyTorch does"),
        _ => throw this.Refused("calls something that is no function"),
    };

    private readonly PickleDict DictOf(PickleList pairs)
    {
        var dict = new PickleDict();
        foreach (var item in pairs.Items)
        {
            var (key, value) = item switch
            {
                object?[] and [var first, var second] => (first, second),
                PickleList { Items: [var first, var second] } => (first, second),
                _ => throw this.Refused("makes a dict of something that is no list of pairs"),
            };
            this.Set(dict, key, value);
        }
        return dict;
    }

    /// <summary>A view that stays inside its storage, whatever its numbers.</summary>
    private readonly TorchTensor TensorOf(TorchStorage storage, long offset, object?[] sizes, object?[] steps)
    {
        if (sizes.Length != steps.Length || sizes.Length > LargestRank || sizes.Concat(steps).Any(value => value is not (long and >= 0L)))
            throw this.Refused("has a tensor whose shape or strides are not all whole, non-negative numbers");
        var (shape, strides) = (sizes.Cast<long>().ToArray(), steps.Cast<long>().ToArray());
        var isEmpty = shape.Contains(0);
        var (last, count, isDense) = ((Int128)offset, (Int128)1, true);
        for (var axis = shape.Length - 1; axis >= 0 && !isEmpty; axis--)
        {
            isDense &= shape[axis] == 1 || strides[axis] == count;
            count *= shape[axis];
            last += (Int128)(shape[axis] - 1) * strides[axis];
            // A view of stride 0 has more elements than its storage, but not more than can be counted.
            if (count > int.MaxValue || last >= storage.Count)
                throw this.Refused(string.Create(CultureInfo.InvariantCulture, $"has a tensor of shape ({string.Join(", ", shape)}) that leaves its storage of {storage.Count} elements, or has too many"));
        }
        return offset >= 0 && (isEmpty || last < storage.Count)
            ? new TorchTensor(storage, offset, shape, isDense || isEmpty ? null : strides)
            : throw this.Refused("has a tensor that starts outside its storage");
    }

    /// <summary>A storage, by what PyTorch writes in its place.</summary>
    private readonly TorchStorage Storage(object? id)
    {
        if (id is not (object?[] and [string kind, ..]))
            throw this.Refused("refers to something outside of it that is no storage");
        if (kind != "storage")
            throw this.Refused($"refers to a {SafeTensorsHeader.Quote(kind)} outside of it, which is no storage");
        // Files from before 1.6 may describe a view of a storage in a sixth place; where there is none it is null.
        if (id is not (object?[] and [_, TorchStorageType { Type: var type }, string key, string, long and >= 0 and var count, .. var view]) || view.Any(part => part is not null))
            throw this.Refused("has a storage that is described in an unknown way");
        var storage = new TorchStorage(key, type, count);
        return this.storages.TryAdd(key, storage) || this.storages[key] == storage
            ? storage
            : throw this.Refused($"describes storage {SafeTensorsHeader.Quote(key)} in two ways");
    }
}
