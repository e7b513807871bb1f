using System.Diagnostics;
using System.Text;
using FusionGen.Weights;

namespace FusionGen.Runtime.Tests.Weights;

/// <summary>Files that an enemy made: each is refused with a reason, soon, and without memory by its word.</summary>
[TestFixture]
internal sealed class HostileFilesTests
{
    private const int AllocationLimit = 200_000_000;
    private const string Tensor = "'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), ";
    private static readonly TimeSpan TimeLimit = TimeSpan.FromSeconds(20);

    private static IEnumerable<TestCaseData> Corpus()
    {
        foreach (var (name, pickle, reason) in Pickles())
        {
            yield return Case($"{name}, zip", folder => SavePickle(folder["w"], pickle), reason);
            yield return Case($"{name}, legacy", folder => File.WriteAllBytes(folder["w"], [.. WeightWriters.LegacyStart, .. pickle, .. new PickleWriter().List(["0"]).End(), 2, 0, 0, 0, 0, 0, 0, 0, .. new byte[8]]), reason);
        }
        foreach (var (name, header, reason) in Arrays())
            yield return Case(name, folder => WeightWriters.Zip(folder["w"], [("a.npy", stream => stream.Write([.. WeightWriters.ArrayHeader(header), .. new byte[24]]))]), reason);
        foreach (var (name, edit, reason) in Archives())
            yield return Case(name, folder => File.WriteAllBytes(folder["w"], edit(Archive(folder))), reason);
        foreach (var (name, path, reason) in Paths())
            yield return Case(name, folder => WeightWriters.Zip(folder["w"], [(path, stream => stream.Write([1]))]), reason);
        foreach (var (name, index, reason) in Indexes())
            yield return Case(name, folder => SaveIndex(folder, index), reason, "w.index.json");
        foreach (var (name, save, reason) in Others())
            yield return Case(name, save, reason);
    }

    [TestCaseSource(nameof(Corpus))]
    public void Is_refused(Action<TemporaryFolder> save, string file, string reason)
    {
        using var folder = new TemporaryFolder();
        save(folder);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var watch = Stopwatch.StartNew();
        var error = Assert.Throws<FusionException>(() =>
        {
            using var opened = WeightFile.Open(folder[file]);
            foreach (var entry in opened.Entries)
                opened.Read(entry, 0, new float[Math.Min(entry.Count, 1000)]);
        });
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(AllocationLimit));
        Assert.That(watch.Elapsed, Is.LessThan(TimeLimit));
        Assert.That(error.Code, Is.EqualTo(ExitCode.Data));
        Assert.That(error.Message, Does.Contain(folder.Path).And.Contain(reason).And.Not.Contain("\u001b"));
    }

    [Test]
    public void The_corpus_is_large() => Assert.That(Corpus().Count(), Is.GreaterThanOrEqualTo(60));

    [TestCase("w.pth")]
    [TestCase("legacy.pth")]
    [TestCase("w.npz")]
    [TestCase("packed.npz")]
    [TestCase("w.safetensors")]
    public void Random_damage_never_escapes_as_another_exception(string name)
    {
        using var folder = new TemporaryFolder();
        IReadOnlyList<Named> tensors = [Named.Of("first", 3, 2), Named.Of("second", 4)];
        if (name == "w.pth")
            WeightWriters.Torch(folder["x"], tensors, "model");
        else if (name == "legacy.pth")
            WeightWriters.TorchLegacy(folder["x"], tensors, "model");
        else if (name == "w.safetensors")
            WeightWriters.SafeTensors(folder["x"], tensors);
        else
            WeightWriters.Numpy(folder["x"], tensors, name == "packed.npz");
        var healthy = File.ReadAllBytes(folder["x"]);
        var random = SplitMix.For(2, name);
        var refused = 0;
        for (var round = 0; round < 1500; round++)
        {
            var bytes = healthy.ToList();
            for (var edits = 1 + random.Next(4); edits > 0; edits--)
            {
                var at = random.Next(bytes.Count);
                switch (random.Next(4))
                {
                    case 0: bytes[at] = (byte)random.Next(256); break;
                    case 1: bytes.RemoveAt(at); break;
                    case 2: bytes.Insert(at, healthy[random.Next(healthy.Length)]); break;
                    default: bytes.RemoveRange(at, Math.Min(random.Next(16), bytes.Count - at)); break;
                }
            }
            File.WriteAllBytes(folder["y"], [.. bytes]);
            try
            {
                using var file = WeightFile.Open(folder["y"]);
                foreach (var entry in file.Entries)
                    file.Read(entry, 0, new float[Math.Min(entry.Count, 1000)]);
            }
            catch (FusionException error)
            {
                Assert.That(error.Code, Is.EqualTo(ExitCode.Data));
                refused++;
            }
        }
        Assert.That(refused, Is.GreaterThan(500));
    }

    private static TestCaseData Case(string name, Action<TemporaryFolder> save, string reason, string file = "w") => new TestCaseData(save, file, reason).SetName($"Is_refused({name})");

    private static PickleWriter P() => new();

    private static PickleWriter Dict() => P().Op('}').Op('(').Text("x");

    /// <summary>A dict with one tensor of the only storage, of two floats.</summary>
    private static byte[] View(long offset, long[] shape, long[] strides, long count = 2, string type = "FloatStorage", string key = "0") =>
        Dict().Tensor(key, type, count, offset, shape, strides).Op('u').End();

    private static byte[] Long(string module, string name) => P().Global(module, name).Op('(').Text("touch /tmp/owned").Op('t').Op('R').End();

    private static IEnumerable<(string Name, byte[] Pickle, string Reason)> Pickles() =>
    [
        ("runs a command", Long("posix", "system"), "wants 'posix.system'"),
        ("evaluates", Long("builtins", "eval"), "wants 'builtins.eval'"),
        ("evaluates as Python 2", Long("__builtin__", "eval"), "wants '__builtin__.eval'"),
        ("imports", Long("importlib", "import_module"), "wants 'importlib.import_module'"),
        ("gets attributes", Long("builtins", "getattr"), "wants 'builtins.getattr'"),
        ("makes a module", Long("torch.nn.modules.linear", "Linear"), "wants 'torch.nn.modules.linear.Linear'"),
        ("loads another file", Long("torch", "load"), "wants 'torch.load'"),
        ("a NumPy scalar", Long("numpy.core.multiarray", "scalar"), "wants 'numpy.core.multiarray.scalar'"),
        ("a stacked global", P().Text("os").Text("system").Op('\u0093').End(), "wants 'os.system'"),
        ("an escape in a name", P().Global("o\u001b[2J", "x").End(), "wants 'o?[2J.x'"),
        ("an instance of old", P().Op('(').Op('i', [.. "os\nsystem\n"u8]).End(), "operation 0x69"),
        ("a new object", P().Global("collections", "OrderedDict").Op(')').Op('\u0081').End(), "operation 0x81"),
        ("an extension", P().Op('\u0082', 1).End(), "operation 0x82"),
        ("a text persistent id", P().Op('P', [.. "x\n"u8]).End(), "operation 0x50"),
        ("a foreign persistent id", P().Op('(').Text("module").Text("x").Op('t').Op('Q').End(), "refers to a 'module'"),
        ("an untyped persistent id", P().Integer(3).Op('Q').End(), "is no storage"),
        ("a negative storage", P().Storage("0", "FloatStorage", -1).End(), "described in an unknown way"),
        ("state of a tensor", Dict().Tensor("0", "FloatStorage", 2, 0, [2], [1]).Op('}').Op('b').Op('u').End(), "sets the state"),
        ("calls a text", P().Text("x").Op(')').Op('R').End(), "is no function"),
        ("calls with other arguments", P().Global("torch._utils", "_rebuild_tensor_v2").Op(')').Op('R').End(), "with other arguments"),
        ("a key twice", Dict().Integer(1).Text("x").Integer(2).Op('u').End(), "the key 'x' twice"),
        ("a list as key", P().Op('}').Op(']').Integer(1).Op('s').End(), "neither text nor number"),
        ("a negative shape", View(0, [-2], [1]), "non-negative"),
        ("a negative stride", View(1, [2], [-1]), "non-negative"),
        ("a negative offset", View(-1, [2], [1]), "outside its storage"),
        ("an offset beyond", View(2, [1], [1]), "leaves its storage"),
        ("a view that leaves", View(1, [2], [1]), "leaves its storage"),
        ("a stride that leaves", View(0, [2], [4611686018427387904]), "leaves its storage"),
        ("a shape that overflows", View(0, [4611686018427387904, 4, 4611686018427387904], [0, 0, 0]), "too many"),
        ("more elements than can be counted", View(0, [2147483647, 2147483647], [0, 0]), "too many"),
        ("shape and strides of two ranks", View(0, [2], [1, 1]), "non-negative"),
        ("a storage that is not there", View(0, [2], [1], key: "7"), "storage"),
        ("a storage that climbs", View(0, [2], [1], key: "../../../etc/passwd"), "storage"),
        ("a storage larger than its bytes", View(0, [1], [1], count: 1L << 40), "storage '0'"),
        ("a storage of other bytes", View(0, [2], [1], type: "DoubleStorage"), "storage '0'"),
        ("a storage in two ways", Dict().Tensor("0", "FloatStorage", 2, 0, [2], [1]).Text("y").Tensor("0", "FloatStorage", 1, 0, [1], [1]).Op('u').End(), "in two ways"),
        ("no tensors", P().Op('}').End(), "no dict of tensors"),
        ("no dict", P().Integer(1).End(), "no dict of tensors"),
        ("tensors without names", P().Op('}').Op('(').Integer(1).Tensor("0", "FloatStorage", 2, 0, [2], [1]).Op('u').End(), "without names"),
        ("an empty stack", P().Op('0').End(), "not there"),
        ("a mark too few", P().Op('t').End(), "did not begin"),
        ("a mark too many", P().Op('(').Op('N').End(), "one value"),
        ("recalls what it did not keep", P().Op('h', 9).End(), "did not keep"),
        ("a text longer than the file", P().Op('X', 255, 255, 255, 127).End(), "cut short"),
        ("a text of 64 bits", P().Op('\u008d', 0, 0, 0, 0, 0, 0, 0, 128).End(), "too large"),
        ("an integer of gigabytes", P().Op('\u008b', 255, 255, 255, 127).End(), "too large"),
        ("ten million dicts", [0x80, 2, .. Enumerable.Repeat((byte)'}', 10_000_000), (byte)'.'], "more than 500000 values"),
        ("ten million marks", [0x80, 2, .. Enumerable.Repeat((byte)'(', 10_000_000), (byte)'.'], "more than 500000 values"),
        ("a deep nest", [0x80, 2, .. Enumerable.Repeat((byte)']', 300_000), .. Enumerable.Repeat((byte)'a', 299_999), (byte)'.'], "no dict of tensors"),
        ("a list in itself", P().Op('}').Op('q', 0).Text("x").Op('h', 0).Op('s').End(), "no dict of tensors"),
        ("memory at every step", [0x80, 2, (byte)'N', .. Enumerable.Repeat((byte)0x94, 2_000_000), (byte)'.'], "more than 500000 values"),
        ("no end", [0x80, 2, (byte)'}'], ""),
        ("longer than is read", [0x80, 2, (byte)'}', .. Enumerable.Repeat((byte)'0', 1), (byte)'B', 0, 0, 0, 1, .. new byte[(16 << 20) + 10], (byte)'.'], "longer than 16777216 bytes"),
    ];

    private static IEnumerable<(string Name, string Header, string Reason)> Arrays() =>
    [
        ("an array of objects", "{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }", "has dtype '|O'"),
        ("an array of structures", "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }", "not understood"),
        ("a big-endian array", "{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }", "has dtype '>f4'"),
        ("an array larger than its bytes", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 300000), }", "does not fill its 24 bytes"),
        ("an array smaller than its bytes", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "does not fill its 24 bytes"),
        ("an array whose size overflows", "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4, 4611686018427387904), }", "does not fill"),
        ("an array of a number too long", "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,), }", "shape that is not understood"),
        ("an array of a negative size", "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3), }", "not understood"),
        ("an array of a hundred dimensions", $"{{'descr': '<f4', 'fortran_order': False, 'shape': ({string.Concat(Enumerable.Repeat("1, ", 100))}), }}", "shape that is not understood"),
        ("an array with a call in its header", "__import__('os').system('x')", "not understood"),
        ("an array with more keys", $"{{{Tensor}'x': 1, }}", "not understood"),
        ("an array with its shape twice", $"{{{Tensor}'shape': (1,), }}", "not understood"),
    ];

    /// <summary>Edits of an archive with one stored array, a.npy.</summary>
    private static IEnumerable<(string Name, Func<byte[], byte[]> Edit, string Reason)> Archives() =>
    [
        ("an archive without its end", bytes => bytes[..^30], "truncated"),
        ("an archive of 65535 records", bytes => Set(bytes, End(bytes) + 8, 254, 255, 254, 255), "claims 65534 records"),
        ("an archive of two volumes", bytes => Set(bytes, End(bytes) + 4, 1), "several volumes"),
        ("a directory outside of the file", bytes => Set(bytes, End(bytes) + 16, 255, 255, 255, 127), "not inside the file"),
        ("a directory of gigabytes", bytes => Set(bytes, End(bytes) + 12, 255, 255, 255, 127), "not inside the file"),
        ("a damaged directory", bytes => Set(bytes, Directory(bytes), 0), "is damaged"),
        ("an encrypted record", bytes => Set(bytes, Directory(bytes) + 8, 1), "is encrypted"),
        ("a record compressed in an unknown way", bytes => Set(bytes, Directory(bytes) + 10, 14), "compressed by method 14"),
        ("a stored record of two lengths", bytes => Set(bytes, Directory(bytes) + 24, 255, 255, 255, 127), "its two lengths differ"),
        ("a record that inflates too well", bytes => Set(Set(bytes, Directory(bytes) + 10, 8), Directory(bytes) + 24, 255, 255, 255, 127), "which no compression can"),
        ("a record outside of the file", bytes => Set(bytes, Directory(bytes) + 42, 255, 255, 255, 127), "not inside the file"),
        ("a record that starts elsewhere", bytes => Set(bytes, Directory(bytes) + 42, 4), "does not start where"),
        ("a record of another name", bytes => Set(bytes, 30, (byte)'b'), "is another than the directory says"),
        ("a record of another checksum", bytes => Set(bytes, Directory(bytes) + 16, 1, 2, 3, 4), "does not have its checksum"),
        ("a stored record that claims to be deflated", bytes => Set(bytes, Directory(bytes) + 10, 8), "compressed"),
        ("a name that is cut short", bytes => Set(bytes, Directory(bytes) + 28, 255, 255), "cut short"),
    ];

    private static IEnumerable<(string Name, string Path, string Reason)> Paths() =>
    [
        ("an absolute path", "/etc/passwd.npy", "leaves the archive"),
        ("a path that climbs", "a/../../b.npy", "leaves the archive"),
        ("a path of Windows", "C:\\a.npy", "leaves the archive"),
        ("a path with a control character", "a\u001b[2J.npy", "leaves the archive"),
        ("a path without end", new string('a', 5000) + ".npy", "too long"),
        ("neither NumPy's nor PyTorch's", "a.txt", "neither NumPy's"),
    ];

    private static IEnumerable<(string Name, string Index, string Reason)> Indexes() =>
    [
        ("an index with an absolute path", """{"weight_map":{"a":"/etc/passwd"}}""", "lie in its own folder"),
        ("an index that climbs", """{"weight_map":{"a":"../w.safetensors"}}""", "lie in its own folder"),
        ("an index that climbs backwards", """{"weight_map":{"a":"..\\w.safetensors"}}""", "lie in its own folder"),
        ("an index of a hidden file", """{"weight_map":{"a":".."}}""", "lie in its own folder"),
        ("an index with a tensor twice", """{"weight_map":{"a":"shard","a":"shard"}}""", "'a' twice"),
        ("an index with its map twice", """{"weight_map":{"a":"shard"},"weight_map":{"a":"shard"}}""", "weight_map twice"),
        ("an index of what is not there", """{"weight_map":{"a":"shard","z":"shard"}}""", "'z' is in 'shard'"),
        ("an index without all of a file", """{"weight_map":{"a":"shard"}}""", "does not name tensor 'b'"),
        ("an index of a missing file", """{"weight_map":{"a":"nothing"}}""", "cannot be read"),
        ("an index of numbers", """{"weight_map":{"a":1}}""", "in which file"),
        ("an index without a map", """{"a":1}""", "no weight_map"),
        ("an index that is a list", "[]", "not a JSON object"),
        ("an index that is no JSON", "{", "no valid index"),
        ("a deep index", string.Concat(Enumerable.Repeat("{\"a\":", 1000)), "no valid index"),
        ("an index of itself", """{"weight_map":{"a":"w.index.json"}}""", "w.index.json"),
    ];

    private static IEnumerable<(string Name, Action<TemporaryFolder> Save, string Reason)> Others() =>
    [
        ("a record twice", folder => WeightWriters.Zip(folder["w"], [("a.npy", Array), ("a.npy", Array)]), "'a.npy' is there twice"),
        ("records that overlap", Overlapping, "overlap"),
        ("a deflated record that goes on", folder => File.WriteAllBytes(folder["w"], Bomb()), "says it has"),
        ("two pickles", folder => WeightWriters.Zip(folder["w"], [("a/data.pkl", stream => stream.Write("N."u8)), ("b/data.pkl", stream => stream.Write("N."u8))]), "more than one data.pkl"),
        ("a TorchScript program", folder => WeightWriters.Zip(folder["w"], [("a/data.pkl", stream => stream.Write("N."u8)), ("a/constants.pkl", stream => stream.Write("N."u8))]), "TorchScript"),
        ("big-endian storages", folder => WeightWriters.Zip(folder["w"], [("a/data.pkl", stream => stream.Write(View(0, [2], [1]))), ("a/data/0", stream => stream.Write(new byte[8])), ("a/byteorder", stream => stream.Write("big"u8))]), "little-endian"),
        ("a pickle bomb", folder => WeightWriters.Zip(folder["w"], [("a/data.pkl", stream => stream.Write(new byte[100_000_000]))], compressed: true), "longer than"),
        ("another pickle", folder => File.WriteAllBytes(folder["w"], P().Integer(5).End()), "not one that torch.save wrote"),
        ("bytes after a legacy checkpoint", folder => Longer(folder, 1), "belong to no storage"),
        ("a legacy checkpoint that is cut", folder => Longer(folder, -1), "leaves the file"),
        ("a single array", folder => File.WriteAllBytes(folder["w"], [.. WeightWriters.ArrayHeader($"{{{Tensor}}}"), .. new byte[24]]), "single NumPy array"),
        ("a tar", folder => File.WriteAllBytes(folder["w"], [.. new byte[257], .. "ustar"u8, .. new byte[1000]]), "tar archive"),
        ("an empty file", folder => File.WriteAllBytes(folder["w"], []), "shorter than the 8 bytes"),
        ("nothing", _ => { }, "cannot be read"),
        ("a folder", folder => System.IO.Directory.CreateDirectory(folder["w"]), "cannot be read"),
    ];

    private static void Array(Stream stream) => stream.Write([.. WeightWriters.ArrayHeader($"{{{Tensor}}}"), .. new byte[24]]);

    private static void SavePickle(string path, byte[] pickle) =>
        WeightWriters.Zip(path, [("a/data.pkl", stream => stream.Write(pickle)), ("a/data/0", stream => stream.Write(new byte[8]))]);

    private static void SaveIndex(TemporaryFolder folder, string index)
    {
        WeightWriters.SafeTensors(folder["shard"], [Named.Of("a", 2), Named.Of("b", 2)]);
        File.WriteAllText(folder["w.index.json"], index, new UTF8Encoding(false));
    }

    private static byte[] Archive(TemporaryFolder folder)
    {
        WeightWriters.Zip(folder["archive"], [("a.npy", Array)]);
        return File.ReadAllBytes(folder["archive"]);
    }

    /// <summary>Two records of the directory, one of which lies in the other: the way to a quadratic bomb.</summary>
    private static void Overlapping(TemporaryFolder folder)
    {
        WeightWriters.Zip(folder["inner"], [("b.npy", Array)]);
        var inner = File.ReadAllBytes(folder["inner"]);
        WeightWriters.Zip(folder["outer"], [("a.npy", stream => stream.Write(inner.AsSpan(0, Directory(inner)))), ("b.npy", Array)]);
        var outer = File.ReadAllBytes(folder["outer"]);
        var directory = Directory(outer);
        File.WriteAllBytes(folder["w"], Set(outer, directory + 46 + "a.npy".Length + 42, [.. BitConverter.GetBytes(30 + "a.npy".Length)]));
    }

    /// <summary>An array that inflates to more than its record says.</summary>
    private static byte[] Bomb()
    {
        using var folder = new TemporaryFolder();
        WeightWriters.Zip(folder["w"], [("a.npy", stream => { Array(stream); stream.Write(new byte[50_000_000]); })], compressed: true);
        var bytes = File.ReadAllBytes(folder["w"]);
        return Set(bytes, Directory(bytes) + 24, [.. BitConverter.GetBytes(WeightWriters.ArrayHeader($"{{{Tensor}}}").Length + 24)]);
    }

    private static void Longer(TemporaryFolder folder, int by)
    {
        WeightWriters.TorchLegacy(folder["w"], [Named.Of("a", 2)]);
        var bytes = File.ReadAllBytes(folder["w"]);
        File.WriteAllBytes(folder["w"], by > 0 ? [.. bytes, 0] : bytes[..^1]);
    }

    private static int End(byte[] bytes) => bytes.AsSpan().LastIndexOf("PK\u0005\u0006"u8);

    private static int Directory(byte[] bytes) => bytes.AsSpan().IndexOf("PK\u0001\u0002"u8);

    private static byte[] Set(byte[] bytes, int at, params byte[] values)
    {
        values.CopyTo(bytes, at);
        return bytes;
    }
}
