using FusionGen.Weights;

namespace FusionGen.Runtime.Tests.Weights;

/// <summary>Files that PyTorch and NumPy themselves wrote: Fixtures/make_fixtures.py.</summary>
[TestFixture]
internal sealed class FormatTests
{
    private static readonly float[] X = [.. Enumerable.Range(0, 24).Select(i => (i - 12) / 8f)];

    [TestCase("torch-zip.pth", "PyTorch, zip")]
    [TestCase("torch-legacy.pth", "PyTorch, before 1.6")]
    public void What_pytorch_saves_is_read_in_every_type_and_view(string name, string format)
    {
        using var file = WeightFile.Open(Fixture(name));
        Assert.That(file.Format, Is.EqualTo(format));
        Assert.That(file.Entries.Select(entry => entry.Name), Is.EqualTo(new[] { "f32", "f64", "f16", "bf16", "transposed", "column", "rows", "expanded", "scalar", "empty", "parameter", "count" }));
        foreach (var type in new[] { "f32", "f64", "f16", "bf16" })
            Is_(file, type, [4, 6], X);
        Is_(file, "transposed", [6, 4], [.. Enumerable.Range(0, 24).Select(i => X[(i % 4 * 6) + (i / 4)])]);
        Is_(file, "column", [4], [X[2], X[8], X[14], X[20]]);
        Is_(file, "rows", [2, 6], X[6..18]);
        Is_(file, "expanded", [3, 5], [.. Enumerable.Repeat(X[0], 15)]);
        Is_(file, "scalar", [], [2.5f]);
        Is_(file, "empty", [0, 3], []);
        Is_(file, "parameter", [2, 6], X[..12]);
        Assert.That(file.Entry("count").Type, Is.EqualTo("I64"));
        Assert.That(() => file.Read(file.Entry("count"), 0, new float[1]), Throws.TypeOf<FusionException>().With.Message.Contains("not floating point"));
        var part = new float[5];
        file.Read(file.Entry("transposed"), 3, part);
        Assert.That(part, Is.EqualTo(Enumerable.Range(3, 5).Select(i => X[(i % 4 * 6) + (i / 4)])), "from the middle of a view");
    }

    [TestCase("numpy.npz")]
    [TestCase("numpy-compressed.npz")]
    public void What_numpy_saves_is_read_in_every_type_and_order(string name)
    {
        using var file = WeightFile.Open(Fixture(name));
        Assert.That(file.Format, Is.EqualTo("NumPy npz"));
        foreach (var array in new[] { "f32", "f64", "f16", "bf16", "fortran" })
            Is_(file, array, [4, 6], X);
        Is_(file, "deep/name", [2, 2, 6], X);
        Is_(file, "scalar", [], [2.5f]);
        Is_(file, "empty", [0, 3], []);
        Assert.That(file.Entry("count").Type, Is.EqualTo("I64"));
        var part = new float[3];
        file.Read(file.Entry("f32"), 20, part);
        file.Read(file.Entry("f32"), 7, part);
        Assert.That(part, Is.EqualTo(X[7..10]), "backwards too");
    }

    [TestCase("module.pth", "wants 'torch.nn.modules.linear.Linear'")]
    [TestCase("objects.npz", "has dtype '|O'")]
    public void Objects_are_refused_by_their_names(string name, string expected) =>
        Assert.That(() => WeightFile.Open(Fixture(name)), Throws.TypeOf<FusionException>().With.Message.Contains(expected));

    [Test]
    public void Shards_are_one_file()
    {
        using var folder = new TemporaryFolder();
        WeightWriters.SafeTensors(folder["model-00001-of-00002.safetensors"], [Named.Of("a", 2), Named.Of("b", 3)]);
        WeightWriters.Torch(folder["model-00002-of-00002.bin"], [Named.Of("c", 2, 2)]);
        File.WriteAllText(folder["model.safetensors.index.json"], """{"metadata":{"total_size":36},"weight_map":{"b":"model-00001-of-00002.safetensors","a":"model-00001-of-00002.safetensors","c":"model-00002-of-00002.bin"}}""");
        using var file = WeightFile.Open(folder["model.safetensors.index.json"]);
        Is_(file, "a", [2], [-48, -47]);
        Is_(file, "b", [3], [-48, -47, -46]);
        Is_(file, "c", [2, 2], [-48, -47, -46, -45]);
    }

    [Test]
    public void A_state_dict_among_several_is_chosen_by_custom_or_not_at_all()
    {
        using var folder = new TemporaryFolder();
        void Save(string first, string second) => WeightWriters.Zip(folder["w"],
        [
            ("a/data.pkl", stream => stream.Write(new PickleWriter().Op('}').Op('(')
                .Text(first).Op('}').Op('(').Text("x").Tensor("0", "FloatStorage", 2, 0, [2], [1]).Op('u')
                .Text(second).Op('}').Op('(').Text("y").Tensor("0", "FloatStorage", 2, 0, [2], [1]).Op('u').Op('u').End())),
            ("a/data/0", stream => stream.Write(new byte[8])),
        ]);

        Save("model_ema", "model");
        using (var file = WeightFile.Open(folder["w"]))
            Assert.That(file.Entries.Single().Name, Is.EqualTo("y"));
        Save("student", "teacher");
        Assert.That(() => WeightFile.Open(folder["w"]), Throws.TypeOf<FusionException>().With.Message.Contains("several dicts of tensors ('student', 'teacher')"));
    }

    [Test]
    public void Damage_of_an_archive_is_found_by_its_checksum()
    {
        using var folder = new TemporaryFolder();
        WeightWriters.Numpy(folder["w"], [Named.Of("a", 1000)]);
        var bytes = File.ReadAllBytes(folder["w"]);
        bytes[2000] ^= 1;
        File.WriteAllBytes(folder["w"], bytes);
        using var file = WeightFile.Open(folder["w"]);
        Assert.That(() => file.Read(file.Entry("a"), 0, new float[4]), Throws.TypeOf<FusionException>().With.Message.Contains("'a.npy' does not have its checksum"));
    }

    private static void Is_(WeightFile file, string name, long[] shape, float[] values)
    {
        var entry = file.Entry(name);
        Assert.That(entry.Shape, Is.EqualTo(shape), name);
        var read = new float[entry.Count];
        file.Read(entry, 0, read);
        Assert.That(read, Is.EqualTo(values), name);
    }

    private static string Fixture(string name) => Path.Combine(TestContext.CurrentContext.TestDirectory, "Weights", "Fixtures", name);
}
