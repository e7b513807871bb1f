using FusionGen.Data;

namespace FusionGen.Runtime.Tests.Data;

/// <summary>Files that Pillow made; see <c>Fixtures/make_fixtures.py</c>.</summary>
internal static class Fixture
{
    public const int Width = 33;
    public const int Height = 21;

    public static string PathOf(string name) => Path.Combine(TestContext.CurrentContext.TestDirectory, "Data", "Fixtures", name);

    public static byte[] Bytes(string name) => File.ReadAllBytes(PathOf(name));

    public static Picture Photo() => new(Width, Height, Bytes("rgb.png.rgb"));

    public static int LargestDifference(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        Assert.That(a.Length, Is.EqualTo(b.Length));
        var largest = 0;
        for (var i = 0; i < a.Length; i++)
            largest = Math.Max(largest, Math.Abs(a[i] - b[i]));
        return largest;
    }
}
