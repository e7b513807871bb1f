using System.Buffers.Binary;
using System.Text;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Runtime.Tests.Weights;

[TestFixture]
internal sealed class SafeTensorsTests
{
    private static readonly ScalarType[] Types =
    [
        ScalarType.Float64, ScalarType.Float32, ScalarType.Float16, ScalarType.BFloat16, ScalarType.Int64, ScalarType.Int32, ScalarType.Byte, ScalarType.Bool,
    ];

    [TestCaseSource(nameof(Types))]
    public void Every_type_survives_the_round_trip(ScalarType type)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var values = tensor(new[] { 0.0, 1.0, 1.0, 0.0, 1.0, 0.0 }, [2, 3]).to(type);
        SafeTensors.Write(folder["x"], Pairs(("a", values), ("scalar", ones(1).sum().to(type)), ("empty", zeros(0, 3).to(type))));
        using var file = SafeTensors.Open(folder["x"]);
        Assert.That(file.Read("a").dtype, Is.EqualTo(type));
        Assert.That(file.Read("a").shape, Is.EqualTo(new long[] { 2, 3 }));
        Assert.That(file.Read("a").bytes.ToArray(), Is.EqualTo(values.bytes.ToArray()));
        Assert.That(file.Read("scalar").shape, Is.Empty);
        Assert.That(file.Read("empty").shape, Is.EqualTo(new long[] { 0, 3 }));
    }

    [Test]
    public void A_file_is_laid_out_as_the_reference_implementation_does()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        SafeTensors.Write(
            folder["x"],
            Pairs(("b", tensor(new byte[] { 7 })), ("z", tensor(new[] { 1f })), ("a", tensor(new[] { 2f })), ("q", tensor(new[] { 5L }))),
            new Dictionary<string, string> { ["k"] = "v" });
        var bytes = File.ReadAllBytes(folder["x"]);
        var length = (int)BinaryPrimitives.ReadInt64LittleEndian(bytes);
        Assert.That(length % 8, Is.Zero);
        var header = Encoding.UTF8.GetString(bytes, 8, length).TrimEnd(' ');
        Assert.That(header, Is.EqualTo(
            """{"__metadata__":{"k":"v"},"q":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"z":{"dtype":"F32","shape":[1],"data_offsets":[12,16]},"b":{"dtype":"U8","shape":[1],"data_offsets":[16,17]}}"""));
        Assert.That(bytes, Has.Length.EqualTo(8 + length + 17));
    }

    [Test]
    public void Digest_depends_on_tensors_and_not_on_their_order_or_the_metadata()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var (a, b) = (tensor(new[] { 1f, 2f }), tensor(new[] { 3f }));
        string Digest(string name, IEnumerable<KeyValuePair<string, Tensor>> tensors, string note)
        {
            SafeTensors.Write(folder[name], tensors, new Dictionary<string, string> { ["note"] = note });
            using var file = SafeTensors.Open(folder[name]);
            return file.Digest();
        }

        var digest = Digest("1", Pairs(("a", a), ("b", b)), "x");
        Assert.That(digest, Does.Match("^[0-9a-f]{64}$"));
        Assert.That(Digest("2", Pairs(("b", b), ("a", a)), "y"), Is.EqualTo(digest));
        Assert.That(Digest("3", Pairs(("a", a), ("b", b + 1)), "x"), Is.Not.EqualTo(digest));
        Assert.That(Digest("4", Pairs(("a", a.reshape(2, 1)), ("b", b)), "x"), Is.Not.EqualTo(digest));
    }

    [TestCase("", "shorter than the 8 bytes")]
    [TestCase("{\"a\":1", "not valid")]
    [TestCase("[]", "does not start with '{'")]
    [TestCase("{} x", "not valid")]
    [TestCase("{\"a\":1}", "entry 'a' is not an object")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", "tensor 'a' of shape (2) and dtype F32 does not fill the 4 bytes")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,16]}}", "claims bytes 0 to 16 of 8")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "claims bytes 8 to 0")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", "whole, non-negative")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[2.5],\"data_offsets\":[0,8]}}", "whole, non-negative")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,8]}}", "does not fill")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,9223372036854775807,9223372036854775807],\"data_offsets\":[0,8]}}", "does not fill")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,8]}}", "whole, non-negative")]
    [TestCase("{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[0,8]}}", "dtype 'F8_E4M3'")]
    [TestCase("{\"a\":{\"dtype\":4,\"shape\":[2],\"data_offsets\":[0,8]}}", "dtype that is not a string")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "lacks one of")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}", "more than 2")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":{},\"data_offsets\":[0,8]}}", "shape that is not a list")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "dtype twice")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":{}}}", "unknown field 'x'")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "'a' is named twice")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "tensor 'b' overlaps")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "overlaps")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "tensor 'a' leaves a gap")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "4 bytes at its end belong to no tensor")]
    [TestCase("{\"__metadata__\":{\"k\":1},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "metadata 'k' is not a string")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[[[[[[[[2]]]]]]]],\"data_offsets\":[0,8]}}", "not all whole")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"\\ud800\":1}}", "not valid")]
    public void A_hostile_file_is_refused_by_name(string header, string expected)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["evil"], header.Length == 0 ? [1, 2, 3] : Bytes(header, new byte[8]));
        var error = Assert.Throws<FusionException>(() => SafeTensors.Open(folder["evil"]).Dispose());
        Assert.That(error.Code, Is.EqualTo(ExitCode.Data));
        Assert.That(error.Message, Does.StartWith(folder["evil"]).And.Contain(expected));
    }

    [TestCase(ulong.MaxValue)]
    [TestCase(1UL << 63)]
    [TestCase(99_999_999UL)]
    [TestCase(9UL)]
    public void A_header_longer_than_the_file_is_refused_before_it_is_allocated(ulong length)
    {
        using var folder = new TemporaryFolder();
        var bytes = new byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, length);
        File.WriteAllBytes(folder["evil"], bytes);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var error = Assert.Throws<FusionException>(() => SafeTensors.Open(folder["evil"]).Dispose());
        Assert.That(error.Message, Does.Contain("its header claims"));
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(1_000_000));
    }

    [Test]
    public void Names_in_messages_cannot_steer_a_terminal()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["evil"], Bytes("{\"\\u001b[2J" + new string('x', 5000) + "\":1}", []));
        var error = Assert.Throws<FusionException>(() => SafeTensors.Open(folder["evil"]).Dispose());
        Assert.That(error.Message, Does.Not.Contain("\u001b"));
        Assert.That(error.Message, Has.Length.LessThan(400));
    }

    [Test]
    public void A_bool_that_is_neither_is_refused()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["evil"], Bytes("{\"a\":{\"dtype\":\"BOOL\",\"shape\":[2],\"data_offsets\":[0,2]}}", [1, 7]));
        using var file = SafeTensors.Open(folder["evil"]);
        Assert.That(() => file.Read("a"), Throws.TypeOf<FusionException>().With.Message.Contains("other bytes than 0 and 1"));
    }

    [Test]
    public void A_file_that_shrinks_while_open_is_an_error_that_names_the_tensor()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        SafeTensors.Write(folder["x"], Pairs(("a", ones(1000))));
        using var file = SafeTensors.Open(folder["x"]);
        using (var handle = File.OpenHandle(folder["x"], FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            RandomAccess.SetLength(handle, 100);
        Assert.That(() => file.Read("a"), Throws.TypeOf<FusionException>().With.Message.Contains("tensor 'a'"));
    }

    [Test]
    public void Random_damage_never_escapes_as_another_exception()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        SafeTensors.Write(
            folder["x"],
            Pairs(("first", ones(3, 2)), ("second", tensor(new[] { 1L, 2L })), ("third", tensor(new[] { true, false }))),
            new Dictionary<string, string> { ["key"] = "value" });
        var healthy = File.ReadAllBytes(folder["x"]);
        var random = SplitMix.For(1, "safetensors-fuzz");
        var (refused, read) = (0, 0);
        for (var round = 0; round < 1000; round++)
        {
            var bytes = healthy.ToList();
            for (var edits = 1 + random.Next(4); edits > 0; edits--)
            {
                var at = random.Next(Math.Min(bytes.Count, 280));
                switch (random.Next(4))
                {
                    case 0: bytes[at] = (byte)random.Next(256); break;
                    case 1: bytes.RemoveAt(at); break;
                    case 2: bytes.Insert(at, (byte)"0123456789[]{},:\"\\"[random.Next(18)]); break;
                    default: bytes.RemoveRange(bytes.Count - random.Next(20), 0); bytes.RemoveAt(bytes.Count - 1); break;
                }
            }
            File.WriteAllBytes(folder["y"], [.. bytes]);
            try
            {
                using var inner = NewDisposeScope();
                using var file = SafeTensors.Open(folder["y"]);
                foreach (var entry in file.Entries)
                    file.Read(entry.Name);
                read++;
            }
            catch (FusionException error)
            {
                Assert.That(error.Code, Is.EqualTo(ExitCode.Data));
                refused++;
            }
        }
        Assert.That(refused, Is.GreaterThan(600));
        Assert.That(read, Is.GreaterThan(0));
    }

    internal static IEnumerable<KeyValuePair<string, Tensor>> Pairs(params (string Name, Tensor Value)[] tensors) =>
        tensors.Select(pair => new KeyValuePair<string, Tensor>(pair.Name, pair.Value));

    private static byte[] Bytes(string header, byte[] data)
    {
        var json = Encoding.UTF8.GetBytes(header);
        var bytes = new byte[8 + json.Length + data.Length];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, json.Length);
        json.CopyTo(bytes, 8);
        data.CopyTo(bytes, 8 + json.Length);
        return bytes;
    }
}
