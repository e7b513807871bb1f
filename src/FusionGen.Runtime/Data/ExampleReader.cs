namespace FusionGen.Data;

/// <summary>
/// Finds features in a <c>tf.train.Example</c> without copying it: the few rules of protocol buffers' wire format that it takes. A generated reader would copy
/// every picture of a data set to learn its labels. Nothing is believed: lengths are held against the bytes there are.
/// </summary>
internal readonly ref struct ExampleReader
{
    private const int Varint = 0;
    private const int Fixed64 = 1;
    private const int Bytes = 2;
    private const int Fixed32 = 5;

    private readonly ReadOnlySpan<byte> features;

    /// <summary>Reads an example's outline.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public ExampleReader(ReadOnlySpan<byte> example) => this.features = Field(example, 1);

    /// <summary>The only bytes of a feature: <c>BytesList</c>.</summary>
    /// <exception cref="FormatException">There is no such feature, or not one value of that type.</exception>
    public ReadOnlySpan<byte> Picture(string name)
    {
        var list = Field(this.Feature(name), 1);
        var value = Field(list, 1, out var count);
        return count == 1 ? value : throw new FormatException($"feature '{name}' holds {count} texts, not one");
    }

    /// <summary>The only number of a feature: <c>Int64List</c>, packed or not.</summary>
    /// <exception cref="FormatException">There is no such feature, or not one value of that type.</exception>
    public long Number(string name)
    {
        var rest = Field(this.Feature(name), 3);
        var (value, count) = (0UL, 0);
        while (!rest.IsEmpty)
        {
            var tag = Variable(ref rest);
            if (tag == (1 << 3 | Varint))
            {
                (value, count) = (Variable(ref rest), count + 1);
            }
            else if (tag == (1 << 3 | Bytes))
            {
                for (var packed = Taken(ref rest); !packed.IsEmpty; count++)
                    value = Variable(ref packed);
            }
            else
            {
                Skip(ref rest, tag);
            }
        }
        return count == 1 ? (long)value : throw new FormatException($"feature '{name}' holds {count} whole numbers, not one");
    }

    /// <summary>The entry of a name in <c>map&lt;string, Feature&gt;</c>; of two, the last, as the format has it.</summary>
    private ReadOnlySpan<byte> Feature(string name)
    {
        Span<byte> key = stackalloc byte[System.Text.Encoding.UTF8.GetMaxByteCount(name.Length)];
        key = key[..System.Text.Encoding.UTF8.GetBytes(name, key)];
        var rest = this.features;
        var found = ReadOnlySpan<byte>.Empty;
        var isFound = false;
        while (!rest.IsEmpty)
        {
            var tag = Variable(ref rest);
            if (tag != (1 << 3 | Bytes))
            {
                Skip(ref rest, tag);
                continue;
            }
            var entry = Taken(ref rest);
            if (!Field(entry, 1).SequenceEqual(key))
                continue;
            found = Field(entry, 2);
            isFound = true;
        }
        return isFound ? found : throw new FormatException($"has no feature '{name}'");
    }

    private static ReadOnlySpan<byte> Field(ReadOnlySpan<byte> message, int number) => Field(message, number, out _);

    /// <summary>The last field of that number that holds bytes, and how many there are; empty for none.</summary>
    private static ReadOnlySpan<byte> Field(ReadOnlySpan<byte> message, int number, out int count)
    {
        count = 0;
        var value = ReadOnlySpan<byte>.Empty;
        while (!message.IsEmpty)
        {
            var tag = Variable(ref message);
            if (tag == (((ulong)number << 3) | Bytes))
            {
                value = Taken(ref message);
                count++;
            }
            else
            {
                Skip(ref message, tag);
            }
        }
        return value;
    }

    private static void Skip(scoped ref ReadOnlySpan<byte> rest, ulong tag)
    {
        switch (tag & 7)
        {
            case Varint:
                Variable(ref rest);
                break;
            case Bytes:
                Taken(ref rest);
                break;
            case Fixed32 or Fixed64:
                var size = (tag & 7) == Fixed32 ? sizeof(uint) : sizeof(ulong);
                rest = size <= rest.Length ? rest[size..] : throw new FormatException("ends within a number");
                break;
            default:
                throw new FormatException("is no tf.train.Example");
        }
    }

    private static ReadOnlySpan<byte> Taken(scoped ref ReadOnlySpan<byte> rest)
    {
        var length = Variable(ref rest);
        if (length > (ulong)rest.Length)
            throw new FormatException("ends within a field");
        var taken = rest[..(int)length];
        rest = rest[(int)length..];
        return taken;
    }

    private static ulong Variable(scoped ref ReadOnlySpan<byte> rest)
    {
        var value = 0UL;
        for (var i = 0; i < 10 && i < rest.Length; i++)
        {
            value |= (ulong)(rest[i] & 0x7F) << (7 * i);
            if (rest[i] >= 0x80)
                continue;
            rest = rest[(i + 1)..];
            return value;
        }
        throw new FormatException("ends within a number");
    }
}
