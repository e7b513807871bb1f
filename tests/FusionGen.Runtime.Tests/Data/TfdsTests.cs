using System.Buffers.Binary;
using System.Text;
using FusionGen.Data;
using Google.Protobuf;

namespace FusionGen.Runtime.Tests.Data;

/// <summary>TFDS' record files, written by Google's own protocol buffers and a checksum of the textbook.</summary>
internal sealed class TfdsTests
{
    /// <summary>RFC 3720's vectors of CRC-32C, masked as TensorFlow masks them.</summary>
    [TestCase("313233343536373839", 0xE3069283u)]
    [TestCase("0000000000000000000000000000000000000000000000000000000000000000", 0x8A9136AAu)]
    public void ChecksumsAreCastagnolisMasked(string data, uint crc) =>
        Assert.That(RecordFile.Masked(Convert.FromHexString(data)), Is.EqualTo(unchecked(((crc >> 15) | (crc << 17)) + 0xA282EAD8)));

    [Test]
    public void ShardsAreOneSplitInOrder([Values] bool packed)
    {
        using var folder = Folder(packed);
        var data = DataSource.Open($"tfds:{folder.Path}", 0, validationShare: 0);
        Assert.Multiple(() =>
        {
            Assert.That(Labels(data.Train), Is.EqualTo(new[] { 0, 1, 2, 0, 1 }));
            Assert.That((Labels(data.Val), Labels(data.Test)), Is.EqualTo((Array.Empty<int>(), new[] { 2, 1 })));
            Assert.That(data.ClassNames, Is.EqualTo(new[] { "ant", "bee", "cow" }));
            Assert.That(data.Train.Read(4).Pixels, Is.EqualTo(Fixture.Photo().Pixels));
            Assert.That(data.Train.Name(4), Does.EndWith("tiny-train.tfrecord-00001-of-00002, record 2"));
        });
    }

    [TestCase("train=train[:2],val=train[2:4],test=train[80%:]", new[] { 0, 1 }, new[] { 2, 0 }, new[] { 1 })]
    [TestCase("train=train[:50%],val=test", new[] { 0, 1 }, new[] { 2, 1 }, new[] { 2, 1 })]
    [TestCase("val=train[4:],train=test,test=train[9:]", new[] { 2, 1 }, new[] { 1 }, new int[0])]
    public void SplitsAreCutInTfdsNotation(string cut, int[] train, int[] val, int[] test)
    {
        using var folder = Folder();
        var data = DataSource.Open($"tfds:{folder.Path}#{cut}", 0, validationShare: 0);
        Assert.That((Labels(data.Train), Labels(data.Val), Labels(data.Test)), Is.EqualTo((train, val, test)));
    }

    [Test]
    public void AMissingValidationSplitIsTakenFromEveryClass()
    {
        using var folder = new TemporaryFolder();
        Write(folder["tiny-train.tfrecord-00000-of-00001"], [.. Enumerable.Range(0, 40).Select(i => Example(i % 2))]);
        var data = DataSource.Open($"tfds:{folder.Path}", 3);
        Assert.That((data.Train.Count, Labels(data.Val).Order(), data.IsValHeldOut), Is.EqualTo((36, new[] { 0, 0, 1, 1 }, true)));
        Assert.That(data.ClassNames, Is.EqualTo(new[] { "0", "1" }));
    }

    [Test]
    public void ClassesComeFromFeaturesWhereThereAreNoNames()
    {
        using var folder = Folder();
        File.Delete(folder["label.labels.txt"]);
        File.WriteAllText(folder["features.json"], """{"featuresDict":{"features":{"id":{"classLabel":{"numClasses":"9"}},"label":{"pythonClassName":"ClassLabel","classLabel":{"numClasses":"7"}}}}}""");
        Assert.That(DataSource.Open($"tfds:{folder.Path}", 0).Classes, Is.EqualTo(7));
        File.WriteAllText(folder["features.json"], """{"featuresDict":{"features":{"label":{"classLabel":{"numClasses":"2"}}}}}""");
        Assert.That(() => DataSource.Open($"tfds:{folder.Path}", 0), Failing("record 3: label 2; there are 2 classes"));
    }

    [Test]
    public void OtherFeaturesCanBeNamed()
    {
        using var folder = new TemporaryFolder();
        Write(folder["norb-train.tfrecord-00000-of-00001"], [Example(1, label: "label_azimuth", image: "left"), Example(0, label: "label_azimuth", image: "left")]);
        Assert.That(Labels(DataSource.Open($"tfds:{folder.Path}#label=label_azimuth,image=left", 0, 0).Train), Is.EqualTo(new[] { 1, 0 }));
        Assert.That(() => DataSource.Open($"tfds:{folder.Path}", 0), Failing("record 1: has no feature 'label'"));
    }

    [TestCase("#train", "behind # stand train=…")]
    [TestCase("#train=train[:2", "is no split; write train")]
    [TestCase("#train=train[-2:]", "is no split; write train")]
    [TestCase("#train=../x", "is no split; write train")]
    [TestCase("#train=none", "has no split 'none'; it has test, train")]
    public void SplitsThatCannotBeMeantAreNamed(string cut, string message)
    {
        using var folder = Folder();
        Assert.That(() => DataSource.Open($"tfds:{folder.Path}{cut}", 0), Throws.TypeOf<FusionException>().With.Message.Contains(message));
    }

    [Test]
    public void SizesAreThoseOfTheInfo()
    {
        using var folder = Folder();
        File.WriteAllText(folder["dataset_info.json"], """{"name":"tiny","splits":[{"name":"train","shardLengths":["3","2"]},{"name":"test","shardLengths":["2"]}]}""");
        Assert.That(DataSource.Open($"tfds:{folder.Path}", 0).TrainVal.Count, Is.EqualTo(5));
        File.WriteAllText(folder["dataset_info.json"], """{"name":"tiny","splits":[{"name":"train","shardLengths":["3","3"]}]}""");
        Assert.That(() => DataSource.Open($"tfds:{folder.Path}", 0), Failing("split 'train' has 5 records, dataset_info.json says 6"));
        File.WriteAllText(folder["dataset_info.json"], "{\n\"splits\": [}");
        Assert.That(() => DataSource.Open($"tfds:{folder.Path}", 0), Failing("dataset_info.json(2): is no JSON"));
    }

    [Test]
    public void ShardsThatAreMissingAreNamed()
    {
        using var folder = Folder();
        File.Delete(folder["tiny-train.tfrecord-00001-of-00002"]);
        Assert.That(() => DataSource.Open($"tfds:{folder.Path}", 0), Failing("tiny-train.tfrecord-00001-of-00002: is missing"));
        File.Copy(folder["tiny-train.tfrecord-00000-of-00002"], folder["tiny-train.tfrecord-00000-of-00001"]);
        Assert.That(() => DataSource.Open($"tfds:{folder.Path}", 0), Failing("is there in two divisions"));
        using var empty = new TemporaryFolder();
        Assert.That(() => DataSource.Open($"tfds:{empty.Path}", 0), Failing("has no name-split.tfrecord"));
    }

    [Test]
    public void ADamagedPictureIsFoundWhenItIsRead()
    {
        using var folder = Folder();
        var path = folder["tiny-test.tfrecord-00000-of-00001"];
        var bytes = File.ReadAllBytes(path);
        bytes[bytes.Length / 4] ^= 1;
        File.WriteAllBytes(path, bytes);
        var data = DataSource.Open($"tfds:{folder.Path}", 0);
        Assert.That(() => data.Test.Read(0), Failing("tiny-test.tfrecord-00000-of-00001, record 1: its checksum is wrong"));
        Assert.That(data.Test.Read(1).Width, Is.EqualTo(Fixture.Width));
    }

    /// <summary>Every way that a record's frame can lie is refused by name, and without taking what it asks for.</summary>
    [TestCase("empty header", "ends within record 3")]
    [TestCase("truncated", "says that it has")]
    [TestCase("length", "the checksum of the length of record 1 is wrong")]
    [TestCase("huge", "record 1 says that it has 9223372036854775807 bytes; the file ends before")]
    [TestCase("negative", "record 1 says that it has 18446744073709551615 bytes; the file ends before")]
    [TestCase("short", "record 1 says that it has 3 bytes; too few for a picture")]
    [TestCase("text", "the checksum of the length of record 1 is wrong; no TFRecord file")]
    public void FramesThatLieAreRefused(string how, string message)
    {
        using var folder = Folder();
        var path = folder["tiny-test.tfrecord-00000-of-00001"];
        var bytes = File.ReadAllBytes(path);
        File.WriteAllBytes(path, how switch
        {
            "empty header" => [.. bytes, 1, 2, 3],
            "truncated" => bytes[..^20],
            "length" => [(byte)(bytes[0] ^ 1), .. bytes[1..]],
            "huge" => [.. Head(long.MaxValue), .. bytes],
            "negative" => [.. Head(ulong.MaxValue), .. bytes],
            "short" => [.. Head(3), .. bytes],
            _ => Encoding.ASCII.GetBytes(new string('x', 100)),
        });
        var before = GC.GetTotalAllocatedBytes();
        Assert.That(() => DataSource.Open($"tfds:{folder.Path}", 0), Failing(message));
        Assert.That(GC.GetTotalAllocatedBytes() - before, Is.LessThan(4 << 20));
    }

    [Test]
    public void ExamplesThatLieAreRefused()
    {
        var sound = Example(1);
        var messages = new HashSet<string>();
        // Every prefix, and every byte changed: either a sound example or a fault with the record's name.
        foreach (var bytes in Enumerable.Range(32, sound.Length - 32).Where(length => length < 90 || length > sound.Length - 40).Select(length => sound[..length])
            .Concat(Enumerable.Range(0, 100).Concat(Enumerable.Range(sound.Length - 40, 40)).Select(i => (byte[])[.. sound[..i], (byte)(sound[i] ^ 0xFF), .. sound[(i + 1)..]])))
        {
            using var folder = new TemporaryFolder();
            Write(folder["tiny-train.tfrecord-00000-of-00001"], [bytes, Example(0)]);
            try
            {
                DataSource.Open($"tfds:{folder.Path}", 0, 0);
            }
            catch (FusionException error)
            {
                Assert.That((error.Code, error.Message), Is.EqualTo((ExitCode.Data, error.Message)));
                messages.Add(error.Message[(error.Message.LastIndexOf(": ", StringComparison.Ordinal) + 2)..]);
            }
        }
        Assert.That(messages, Does.Contain("ends within a field").And.Contain("has no feature 'label'"));
    }

    [TestCase(-5, "record 1: label -5;")]
    [TestCase(long.MaxValue, "record 1: label 9223372036854775807; there are 65536 classes")]
    public void LabelsThatCannotBeMeantAreRefused(long label, string message)
    {
        using var folder = new TemporaryFolder();
        Write(folder["tiny-train.tfrecord-00000-of-00001"], [Example(label), Example(0)]);
        Assert.That(() => DataSource.Open($"tfds:{folder.Path}", 0), Failing(message));
    }

    [Test]
    public void AShardThatIsALinkOutOfTheFolderIsRefused()
    {
        using var above = new TemporaryFolder();
        Write(above["far"], [Example(0), Example(1)]);
        var root = Directory.CreateDirectory(above["data"]).FullName;
        File.CreateSymbolicLink(Path.Combine(root, "tiny-train.tfrecord-00000-of-00001"), above["far"]);
        Assert.That(() => DataSource.Open($"tfds:{root}", 0), Failing("leads out of the folder by a link"));
    }

    private static TemporaryFolder Folder(bool packed = true)
    {
        var folder = new TemporaryFolder();
        Write(folder["tiny-train.tfrecord-00000-of-00002"], [.. new[] { 0, 1, 2 }.Select(label => Example(label, packed))]);
        Write(folder["tiny-train.tfrecord-00001-of-00002"], [.. new[] { 0, 1 }.Select(label => Example(label, packed))]);
        Write(folder["tiny-test.tfrecord-00000-of-00001"], [.. new[] { 2, 1 }.Select(label => Example(label, packed))]);
        File.WriteAllText(folder["label.labels.txt"], "ant\nbee\ncow\n");
        return folder;
    }

    /// <summary>A <c>tf.train.Example</c> with a picture, a label and a feature nobody asks for.</summary>
    private static byte[] Example(long number, bool packed = true, string label = "label", string image = "image")
    {
        var floats = Message(output => output.WriteBytes(2, Message(list => list.WriteBytes(1, ByteString.CopyFrom(0, 0, 128, 63)))));
        var bytes = Message(output => output.WriteBytes(1, Message(list => list.WriteBytes(1, ByteString.CopyFrom(Fixture.Bytes("rgb.png"))))));
        var numbers = Message(output => output.WriteBytes(3, Message(list =>
        {
            if (packed)
                list.WriteBytes(1, Message(values => values.WriteInt64(number)));
            else
                list.WriteVarint(1, number);
        })));
        var features = Message(output =>
        {
            foreach (var (name, feature) in new[] { ("confidence", floats), (image, bytes), (label, numbers) })
                output.WriteBytes(1, Message(entry => { entry.WriteBytes(1, ByteString.CopyFromUtf8(name)); entry.WriteBytes(2, feature); }));
        });
        return Message(output => output.WriteBytes(1, features)).ToByteArray();
    }

    private static ByteString Message(Action<CodedOutputStream> write)
    {
        using var stream = new MemoryStream();
        using (var output = new CodedOutputStream(stream, leaveOpen: true))
            write(output);
        return ByteString.CopyFrom(stream.ToArray());
    }

    private static void Write(string path, byte[][] records)
    {
        using var file = File.Create(path);
        foreach (var record in records)
        {
            file.Write(Head((ulong)record.Length));
            file.Write(record);
            file.Write(BitConverter.GetBytes(Masked(record)));
        }
    }

    private static byte[] Head(ulong length)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, length);
        return [.. bytes, .. BitConverter.GetBytes(Masked(bytes))];
    }

    /// <summary>Bit by bit, as the standard defines it.</summary>
    private static uint Masked(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes)
        {
            crc ^= value;
            for (var bit = 0; bit < 8; bit++)
                crc = (crc & 1) == 0 ? crc >> 1 : (crc >> 1) ^ 0x82F63B78;
        }
        crc = ~crc;
        return ((crc >> 15) | (crc << 17)) + 0xA282EAD8;
    }

    private static NUnit.Framework.Constraints.EqualConstraint<ExitCode> Failing(string message) =>
        Throws.TypeOf<FusionException>().With.Message.Contains(message).And.Property(nameof(FusionException.Code)).EqualTo(ExitCode.Data);

    private static int[] Labels(Split split) => [.. Enumerable.Range(0, split.Count).Select(split.Label)];
}

/// <summary>Fields of a message by their numbers.</summary>
internal static class Fields
{
    public static void WriteBytes(this CodedOutputStream output, int number, ByteString value)
    {
        output.WriteTag(number, WireFormat.WireType.LengthDelimited);
        output.WriteBytes(value);
    }

    public static void WriteVarint(this CodedOutputStream output, int number, long value)
    {
        output.WriteTag(number, WireFormat.WireType.Varint);
        output.WriteInt64(value);
    }
}
