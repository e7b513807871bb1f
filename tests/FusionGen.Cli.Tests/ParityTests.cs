namespace FusionGen.Cli.Tests;

/// <summary>The published authors' own numbers, reproduced by compiled specs (logits 3e-5 and gradients 1e-4 in float32, logits 1e-10 in float64).</summary>
[TestFixture]
internal sealed class ParityTests
{
    private static readonly (string Layout, string[] Cases)[] Known =
    [
        ("pfd",
        [
            "pfd_add_all", "pfd_affine_all", "pfd_concat_all", "pfd_concat_top4", "pfd_cross_all", "pfd_hybrid", "pfd_hybrid_unshared",
            "pfd_mixed_t5", "pfd_mixed_t03", "pfd_mixed_unshared", "pfd_mixed_init", "pfd_mixed_avgpool", "pfd_swin", "pfd_swin_hybrid",
        ]),
        ("timm", ["vit_timm", "vit_timm_avg", "swin_timm"]),
        ("vpt", ["vpt_deep", "vpt_deep_train5"]),
    ];

    [Test]
    public void Published_numbers_are_reproduced([ValueSource(nameof(Cases))] string name, [Values("float32", "float64")] string dtype)
    {
        var layout = Known.First(known => known.Cases.Contains(name)).Layout;
        var result = CommandLine.Run("parity", "--reference", CommandLine.Golden(name), "--layout", layout, "--dtype", dtype);
        Assert.That(result.Code, Is.Zero, result.Errors + result.Output);
        Assert.That(result.Output, Does.Contain("logits").And.Contain("quantities within tolerance"));
    }

    private static IEnumerable<string> Cases() => Known.SelectMany(known => known.Cases);
}
